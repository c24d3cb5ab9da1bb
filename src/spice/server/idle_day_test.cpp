// SPDX-License-Identifier: LGPL-2.1-or-later
// A server whose machine draws nothing and whose client does nothing, for a day of its clock.
#include <gtest/gtest.h>
#include <malloc.h>
#include <spice/enums.h>

#include "net/socket.h"
#include "spice/server/display/guest/fake_device.h"
#include "spice/server/fake_client.h"
#include "spice/server/server.h"
#include "spice/server/virtual_loop.h"
#include "spice/wire/common.schema.h"
#include "spice/wire/display.schema.h"
#include "spice/wire/link.h"
#include "spice/wire/main.schema.h"

namespace segue::spice::server {
namespace {

using wire::ChannelType;
constexpr Duration kHour = std::chrono::hours(1);
constexpr std::uint64_t kPingsInHour = 360;
// In a day: what a leak of one byte a ping would be.
constexpr std::size_t kMostGrowth = 22 * kPingsInHour;
constexpr std::uint32_t kSide = 64;

// One channel of a client that shows nothing and counts what it is sent.
class CountingChannel {
  public:
    CountingChannel(Loop& loop, net::Descriptor socket, ChannelType type, std::uint32_t session)
        : link_(request(type, session)), transport_(std::move(socket)) {
        Transport::Handlers handlers;
        handlers.on_input = [this](ByteView bytes) {
            if (is_linked_) {
                hear(bytes);
            } else {
                run(link_.feed(bytes));
            }
            return bytes.size();
        };
        handlers.on_lost = [this](const std::string&) { is_lost_ = true; };
        transport_.attach(loop, std::move(handlers));
        run(link_.start());
    }

    template <class Message>
    void say(const Message& message) {
        transport_.send(from_client(message));
    }
    bool is_open() const { return is_linked_ && !is_lost_; }
    std::uint64_t count(std::uint16_t number) const {
        const auto found = counts_.find(number);
        return found == counts_.end() ? 0 : found->second;
    }
    std::uint64_t messages() const { return messages_; }
    std::uint32_t session() const { return session_; }

  private:
    static wire::ClientLink::Request request(ChannelType type, std::uint32_t session) {
        wire::ClientLink::Request made;
        made.connection_id = session;
        made.channel_type = type;
        made.common = wire::Capabilities::of({wire::CommonCapability::auth_selection,
                                              wire::CommonCapability::auth_spice,
                                              wire::CommonCapability::mini_header});
        return made;
    }
    void run(const wire::LinkActions& actions) {
        for (const wire::LinkAction& action : actions) {
            if (const auto* send = std::get_if<wire::SendBytes>(&action)) {
                transport_.send(send->bytes);
            } else if (std::holds_alternative<wire::EncryptTicket>(action)) {
                run(link_.send_ticket({}));  // the server asks for none
            } else if (std::holds_alternative<wire::Linked>(action)) {
                is_linked_ = true;
                hear(link_.take_rest());
            }
        }
    }
    void hear(ByteView bytes) {
        reader_.feed(bytes);
        for (auto message = reader_.next(); message && *message; message = reader_.next())
            handle(**message);
    }
    void handle(const wire::IncomingMessage& message) {
        ++messages_;
        ++counts_[message.number];
        if (message.number == wire::common::SetAck::kFromServer) {
            const auto asked = wire::parse<wire::common::SetAck>(message.body).value();
            window_ = until_ack_ = asked.window;
            wire::common::AckSync sync;
            sync.generation = asked.generation;
            return say(sync);
        }
        if (message.number == wire::common::Ping::kFromServer) {
            const auto asked = wire::parse<wire::common::Ping>(message.body).value();
            wire::common::Pong pong;
            pong.id = asked.id;
            pong.timestamp = asked.timestamp;
            say(pong);
        }
        if (message.number == wire::main::Init::kFromServer && session_ == 0)
            session_ = wire::parse<wire::main::Init>(message.body)->session_id;
        if (window_ == 0 || --until_ack_ != 0) return;
        until_ack_ = window_;
        say(wire::common::Ack{});
    }

    wire::ClientLink link_;
    Transport transport_;
    wire::MessageReader reader_{wire::HeaderKind::mini, std::size_t{1} << 20};
    bool is_linked_ = false;
    bool is_lost_ = false;
    std::uint32_t session_ = 0;  // of its Init: main channel only
    std::uint32_t window_ = 0, until_ack_ = 0;
    std::uint64_t messages_ = 0;
    std::map<std::uint16_t, std::uint64_t> counts_;
};

class NoEvents final : public HostEvents {
    void peer_event(PeerEvent, const PeerInfo&) override {}
};

class IdleDay : public testing::Test {
  protected:
    void SetUp() override {
        server_.options().authenticate = false;
        ASSERT_TRUE(server_.start(home_, events_));
        auto made = std::make_unique<FakeDevice>(std::size_t{1} << 20);
        device_ = made.get();
        display_ = server_.add_display(std::move(made)).value();
        display_->add_slot(device_->slot());
        PrimarySurface primary;
        primary.width = primary.height = kSide;
        primary.stride = kSide * 4;
        primary.format = SPICE_SURFACE_FMT_32_xRGB;
        primary.group = FakeDevice::kGroup;
        primary.memory = FakeDevice::kBase;
        display_->create_primary(0, primary);
        server_.vm_start();
        CountingChannel& main = open(ChannelType::main, 0);
        ASSERT_NE(main.session(), 0U);
        main.say(wire::main::AttachChannels{});
        for (const ChannelType type :
             {ChannelType::display, ChannelType::inputs, ChannelType::cursor})
            open(type, main.session());
        wire::display::Init init;
        init.pixmap_cache_size = init.glz_window_size = 1 << 20;
        of(ChannelType::display).say(init);
        time_.run_for(home_, 1s);
        ASSERT_TRUE(is_whole());
    }

    CountingChannel& open(ChannelType type, std::uint32_t session) {
        auto pair = net::make_socket_pair().value();
        EXPECT_TRUE(server_.add_connection(pair[0].release(), false, true));
        auto& made = channels_[type];
        made = std::make_unique<CountingChannel>(home_, std::move(pair[1]), type, session);
        time_.run_for(home_, 1s);
        return *made;
    }
    CountingChannel& of(ChannelType type) { return *channels_.at(type); }
    bool is_whole() const {
        return channels_.size() == 4 &&
               std::all_of(channels_.begin(), channels_.end(),
                           [](const auto& entry) { return entry.second->is_open(); });
    }
    void fill() {
        QXLDrawable fill{};
        fill.type = QXL_DRAW_FILL;
        fill.bbox = {0, 0, kSide, kSide};
        fill.u.fill.brush.type = SPICE_BRUSH_TYPE_SOLID;
        fill.u.fill.brush.u.color = ++colour_;
        fill.u.fill.rop_descriptor = SPICE_ROPD_OP_PUT;
        device_->used = kSide * kSide * 4;  // the last one has been given back
        device_->queue(QXL_CMD_DRAW, device_->put(fill));
        display_->wakeup();
    }
    struct Hour {
        std::size_t bytes = 0;  // in use of the heap
        std::size_t timers_set = 0;
        std::uint64_t timers_rung = 0, pings = 0, messages = 0;
    };
    // How it stands before the first hour and after each of 24.
    std::vector<Hour> day(const std::function<void()>& pass_hour) {
        std::vector<Hour> hours(25);
        for (Hour& hour : hours) {
            if (&hour != hours.data()) pass_hour();
            hour.bytes = ::mallinfo2().uordblks;
            hour.timers_set = time_.timers_set();
            hour.timers_rung = time_.timers_rung();
            hour.pings = of(ChannelType::main).count(wire::common::Ping::kFromServer);
            hour.messages = messages();
        }
        return hours;
    }
    void expect_same_hours(const std::vector<Hour>& hours) const;
    // The client is whole, and what is drawn now reaches it.
    void expect_served() {
        EXPECT_EQ(server_.client_count(), 1);
        EXPECT_TRUE(is_whole());
        const auto shown = [&] {
            return of(ChannelType::display).count(wire::display::DrawFill::kFromServer);
        };
        const std::uint64_t before = shown();
        fill();
        time_.run_for(home_, 1s);
        EXPECT_EQ(shown(), before + 1);
    }
    std::uint64_t messages() const {
        std::uint64_t sum = 0;
        for (const auto& [type, channel] : channels_)
            sum += channel->messages();
        return sum;
    }

    VirtualTime time_;
    VirtualLoop home_{time_};
    NoEvents events_;
    Server server_{[this] { return time_.make_loop(); }};
    FakeDevice* device_ = nullptr;  // the display's
    Display* display_ = nullptr;
    std::uint32_t colour_ = 0;
    std::map<ChannelType, std::unique_ptr<CountingChannel>> channels_;
};

// Exact, because nothing but the loops' own order decides what is done when.
void IdleDay::expect_same_hours(const std::vector<Hour>& hours) const {
    const Hour& second = hours.at(2);
    const std::uint64_t rung = second.timers_rung - hours[1].timers_rung;
    const std::uint64_t messages = second.messages - hours[1].messages;
    for (std::size_t at = 3; at < hours.size(); ++at) {
        SCOPED_TRACE(at);
        EXPECT_EQ(hours[at].pings - hours[at - 1].pings, kPingsInHour);
        EXPECT_EQ(hours[at].timers_rung - hours[at - 1].timers_rung, rung);
        EXPECT_EQ(hours[at].messages - hours[at - 1].messages, messages);
        EXPECT_EQ(hours[at].timers_set, second.timers_set);
    }
    // A sanitizer's heap tells nothing here: there is none of glibc's.
    const std::size_t last = hours.back().bytes;
    EXPECT_LE(last > second.bytes ? last - second.bytes : second.bytes - last, kMostGrowth)
        << second.bytes << " bytes in use after 2 hours, " << last << " after 24";
}

TEST_F(IdleDay, LeavesNoGrowth) {
    const std::vector<Hour> hours = day([&] { time_.run_for(home_, kHour); });
    expect_same_hours(hours);
    EXPECT_LE(hours[2].timers_rung - hours[1].timers_rung, 2 * kPingsInHour);
    EXPECT_EQ(hours[24].messages - hours[2].messages, 22 * kPingsInHour) << "pings, and no more";
    expect_served();
}

// Its screen shows a clock.
TEST_F(IdleDay, LeavesNoGrowthWhereAMinuteHandMoves) {
    const std::vector<Hour> hours = day([&] {
        for (int minute = 0; minute < 60; ++minute) {
            fill();
            time_.run_for(home_, kHour / 60);
        }
    });
    expect_same_hours(hours);
    EXPECT_LE(hours[2].timers_rung - hours[1].timers_rung, kPingsInHour + 60 * 20);
    expect_served();
}

}  // namespace
}  // namespace segue::spice::server
