// SPDX-License-Identifier: LGPL-2.1-or-later
// A machine with two displays, each with two memory slots, and a client that looks at both: what
// guest and client do, in which order, is the input. Guest memory begins with one command of every
// kind, all of them right: the input spoils them.
#include <spice/enums.h>

#include <algorithm>
#include <cstdlib>

#include "base/log.h"
#include "spice/server/cursor/cursor_channel.h"
#include "spice/server/display/client/display_channel.h"
#include "spice/server/display/guest/every_command.h"

namespace segue::spice::server {
namespace {

// The second slot: as QEMU's, the address' upper bytes are slot and generation.
constexpr QXLPHYSICAL kSecondSlot = QXLPHYSICAL{1} << 56;

class Bytes8 {  // of the input, zeros behind its end
  public:
    Bytes8(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}
    bool empty() const { return size_ == 0; }
    std::uint8_t u8() {
        if (size_ == 0) return 0;
        --size_;
        return *data_++;
    }
    std::uint16_t u16() {
        const std::uint8_t low = u8();
        return static_cast<std::uint16_t>(low | u8() << 8);
    }
    std::uint32_t u32() {
        const std::uint32_t low = u16();
        return low | std::uint32_t{u16()} << 16;
    }

  private:
    const std::uint8_t* data_;
    std::size_t size_;
};

// What goes to a client is whole messages, whatever the guest does.
class Output final : public ChannelOutput {
  public:
    void write(std::vector<wire::SharedBytes> pieces) override {
        for (const wire::SharedBytes& piece : pieces)
            reader_.feed(piece.view());
        for (;;) {
            auto message = reader_.next();
            if (!message) std::abort();
            if (!*message) return;
        }
    }
    std::size_t waiting() const override { return blocked ? Channel::kMostWaiting : 0; }

    bool blocked = false;

  private:
    wire::MessageReader reader_{wire::HeaderKind::mini, 64u << 20};
};

// One display and what the client has of it.
class Screen final : private DisplayListener {
  public:
    Screen(std::uint8_t id, const EncoderOptions& options, const Clock& clock,
           std::shared_ptr<ClientCaches> caches, std::shared_ptr<PendingTotal> pending)
        : id_(id), options_(options), clock_(clock), caches_(std::move(caches)) {
        device_.memory = commands_.memory;
        guest_ = std::move(
            GuestDisplay::make(device_, device_.geometry(), *this, std::move(pending)).value());
        add_slots();
        guest_->set_running(true);
        create_primary(SPICE_SURFACE_FMT_32_xRGB, false);
    }
    ~Screen() override {
        close();
        guest_->draw_pending();
        // Never more often than the device gave it.
        for (const auto& [info, times] : device_.released) {
            if (times > queued_[info]) std::abort();
        }
    }

    void act(Bytes8& input);
    void open(std::uint32_t capabilities) {
        if (channel_) return;
        ChannelSetup setup;
        setup.key = {wire::ChannelType::display, id_};
        setup.client_caps = wire::Capabilities({capabilities});
        channel_ =
            std::make_unique<DisplayChannel>(setup, output_, *guest_, options_, caches_, clock_);
        channel_->start();
    }
    void close() { channel_.reset(); }
    void pump() {
        if (channel_) channel_->pump();
    }

  private:
    void add_slots() {
        // The second begins in the middle of the first.
        MemorySlot first = device_.slot(), second = device_.slot();
        second.slot = 1;
        second.start += kPixels;
        second.address_delta = second.start - (kSecondSlot | FakeDevice::kBase);
        [[maybe_unused]] const auto one = guest_->add_slot(first);
        [[maybe_unused]] const auto other = guest_->add_slot(second);
    }
    void create_primary(std::uint32_t format, bool keep_data) {
        PrimarySurface primary;
        primary.width = primary.height = kSide;
        primary.stride = kSide * 4;
        primary.format = format;
        primary.group = FakeDevice::kGroup;
        primary.memory = FakeDevice::kBase;
        primary.keep_data = keep_data;
        [[maybe_unused]] const auto made = guest_->create_primary(0, primary);
    }
    // By which slot a command comes is the input's choice.
    void queue(std::uint32_t type, QXLPHYSICAL address, bool through_second) {
        const std::size_t at = address - FakeDevice::kBase;
        if (through_second && at >= kPixels && at <= device_.memory.size())
            address = kSecondSlot | (address - kPixels);
        ++queued_[reinterpret_cast<QXLReleaseInfo*>(device_.memory.data() + at)];
        device_.queue(type, address);
        if (type != QXL_CMD_CURSOR) return;
        device_.cursor_commands.push_back(device_.commands.back());
        device_.commands.pop_back();
    }
    void spoil(Bytes8& input) {
        const std::size_t span = device_.memory.size() - kPixels;
        const std::size_t at = kPixels + input.u16() % span;
        device_.memory[at] = input.u8();
    }
    void draw(Bytes8& input) {
        const std::uint8_t which = input.u8();
        queue(QXL_CMD_DRAW, commands_.draws[which % commands_.draws.size()], (which & 128) != 0);
    }
    void receive(Bytes8& input);

    void surface_created(const Surface& surface) override {
        if (channel_) channel_->surface_created(surface.id);
    }
    void surface_destroyed(std::uint32_t) override {}
    void drawn(const Drawing& drawing) override {
        if (channel_) channel_->drawn(drawing);
    }
    void monitors_changed(const MonitorsConfig&) override {}
    void cursor_changed(const CursorCommand&) override {}
    void cursor_reset() override {}
    void image_cache_reset() override {
        if (channel_) channel_->image_cache_reset();
    }

    const std::uint8_t id_;
    const EncoderOptions options_;
    const Clock& clock_;
    const std::shared_ptr<ClientCaches> caches_;
    FakeDevice device_{kPixels + kGuestData};
    const EveryCommand& commands_ = every_command();
    std::map<QXLReleaseInfo*, int> queued_;
    std::unique_ptr<GuestDisplay> guest_;
    Output output_;
    std::unique_ptr<DisplayChannel> channel_;
};

// A message of the client; one that breaks the protocol loses its connection.
void Screen::receive(Bytes8& input) {
    if (!channel_) return;
    LittleWriter writer;
    const std::uint8_t kind = input.u8();
    if ((kind & 1) == 0) {  // DISPLAY_INIT with sizes of the input's
        writer.u16(101);
        writer.u32(14);
        writer.u8(static_cast<std::uint8_t>(kind >> 6));
        writer.u64(input.u16() * std::uint64_t{64});
        writer.u8(static_cast<std::uint8_t>(kind >> 4 & 3));
        writer.u32(input.u16() * 16u);
    } else {
        const std::size_t size = kind >> 3;
        writer.u16(input.u8());
        writer.u32(static_cast<std::uint32_t>(size));
        for (std::size_t at = 0; at < size; ++at)
            writer.u8(input.u8());
    }
    if (!channel_->receive(writer.take())) close();
}

void Screen::act(Bytes8& input) {
    const std::uint8_t what = input.u8();
    switch (what % 20) {
        case 0:
        case 1:
        case 2:
        case 3: draw(input); break;
        case 4:
        case 5: spoil(input); break;
        case 6: queue(QXL_CMD_SURFACE, commands_.surfaces[what / 20 % 4], (what & 128) != 0); break;
        case 7: queue(QXL_CMD_CURSOR, commands_.cursors[what / 20 % 3], false); break;
        case 8:
            queue(what & 128 ? QXL_CMD_DRAW : QXL_CMD_SURFACE,
                  FakeDevice::kBase + kPixels + input.u16() % kGuestData, false);
            break;
        case 9: guest_->take_commands(1 + what / 20); break;
        case 10: pump(); break;
        case 11: receive(input); break;
        case 12: output_.blocked = !output_.blocked; break;
        case 13: {
            const std::int32_t edge = input.u8() % 40;
            guest_->update_area(what / 20 % 3, {edge, edge / 2, edge + 9, edge + 20}, what & 128);
            break;
        }
        case 14: guest_->set_running(!guest_->is_running()); break;
        case 15:
            guest_->remove_slot(FakeDevice::kGroup, what / 20 % 2);
            add_slots();
            break;
        case 16: {
            constexpr std::uint32_t kFormats[] = {
                SPICE_SURFACE_FMT_32_xRGB, SPICE_SURFACE_FMT_32_ARGB, SPICE_SURFACE_FMT_16_565};
            guest_->destroy_primary(0);
            create_primary(kFormats[what / 20 % 3], (what & 128) != 0);
            break;
        }
        case 17: {
            [[maybe_unused]] const auto done =
                guest_->set_monitors(FakeDevice::kGroup, commands_.monitors, 4);
            break;
        }
        case 18:
            if (what & 128) {
                guest_->reset_image_cache();
            } else {
                guest_->destroy_surface(1);
            }
            break;
        default:
            if (channel_) channel_->rest();
    }
}

}  // namespace
}  // namespace segue::spice::server

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace segue::spice::server;
    segue::set_log_level(segue::LogLevel::error);
    Bytes8 input(data, size);
    EncoderOptions options;
    options.compression = static_cast<ImageCompression>(1 + input.u8() % 7);
    const std::uint8_t wan = input.u8();
    options.jpeg = wan & 1 ? WanCompression::always : WanCompression::never;
    options.zlib_glz = wan & 2 ? WanCompression::always : WanCompression::never;
    options.streaming = wan & 4 ? StreamVideo::all : StreamVideo::off;
    const std::uint32_t capabilities = input.u32();
    const segue::SystemClock clock;
    const auto caches = std::make_shared<ClientCaches>();
    const auto pending = std::make_shared<PendingTotal>();
    Screen one(0, options, clock, caches, pending), other(1, options, clock, caches, pending);
    for (Screen* screen : {&one, &other})
        screen->open(capabilities);
    for (int steps = 0; steps < 256 && !input.empty(); ++steps) {
        const std::uint8_t whose = input.u8();
        Screen& screen = whose & 1 ? other : one;
        screen.act(input);
        if (whose >= 250) screen.close();
        if (whose == 249) screen.open(capabilities);
    }
    for (Screen* screen : {&one, &other})
        screen->pump();
    return 0;
}
