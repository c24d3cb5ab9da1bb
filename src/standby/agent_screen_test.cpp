// SPDX-License-Identifier: LGPL-2.1-or-later
// The agent and the SPICE server of its QEMU: what is shown leaves with its epoch.
#include <gmock/gmock.h>

#include "net/test_loop.h"
#include "qemu/stream_test_support.h"
#include "spice/control/messages.h"
#include "spice/control/screen_word.h"
#include "standby/agent.h"
#include "standby/test_peer.h"

namespace segue::standby {
namespace {

using spice::control::ScreenAnswer;
using spice::control::ScreenWord;
using ::testing::HasSubstr;
using Kind = ScreenWord::Kind;

// A QEMU with a server of ours, a standby, and an agent between them.
struct HeldScreen : ::testing::Test {
    explicit HeldScreen(bool passes = false) : picture_passes(passes) {}
    net::TestLoop loop;
    TestFolder folder;
    std::unique_ptr<net::Listener> standby_listener, screen_listener;
    std::unique_ptr<net::Connection> standby, screen;
    Bytes streamed;
    std::string screen_input;
    std::vector<ScreenWord> words;
    bool screen_answers = true, screen_refuses = false;
    const bool picture_passes;
    std::unique_ptr<TestPeer> qemu;
    AgentLink link{AgentLink::End::standby};
    Bytes link_input;
    AgentOptions options;
    std::unique_ptr<Agent> agent;

    void SetUp() override {
        const auto listen = [this](const std::string& name, auto accepted) {
            return net::Listener::make(
                       *loop, net::Address::of_unix(folder.file(name)), {},
                       [accepted](net::Descriptor socket, const net::SocketAddress&) {
                           accepted(std::move(socket));
                       })
                .value();
        };
        standby_listener = listen("standby.sock", [this](net::Descriptor socket) {
            standby = peer(std::move(socket), [this](ByteView bytes) { standby_hears(bytes); });
            standby->send(AgentLink::tell(AgentLink::Kind::welcome));
        });
        screen_listener = listen("screen.sock", [this](net::Descriptor socket) {
            screen = peer(std::move(socket), [this](ByteView bytes) { screen_hears(bytes); });
        });
        options.state = folder.file("agent");
        options.standby = net::Address::of_unix(folder.file("standby.sock"));
        options.screen = folder.file("screen.sock");
        options.picture_passes = picture_passes;
        agent = Agent::make(loop.owned(), options).value();
        ASSERT_TRUE(comes_to("ready"));
    }
    std::unique_ptr<net::Connection> peer(net::Descriptor socket,
                                          std::function<void(ByteView)> hears) {
        net::Connection::Handlers handlers;
        handlers.on_input = std::move(hears);
        handlers.on_closed = [](const Error&) {};
        auto made =
            std::make_unique<net::Connection>(*loop, std::move(socket), std::move(handlers));
        made->start();
        return made;
    }
    void standby_hears(ByteView bytes) {
        link_input.insert(link_input.end(), bytes.begin(), bytes.end());
        AgentLink::Message message;
        for (;;) {
            const auto used = link.next(link_input, message);
            if (!used || *used == 0) return;
            if (message.kind == AgentLink::Kind::stream)
                streamed.insert(streamed.end(), message.bytes.begin(), message.bytes.end());
            link_input.erase(link_input.begin(),
                             link_input.begin() + static_cast<std::ptrdiff_t>(*used));
        }
    }
    void screen_hears(ByteView bytes) {
        screen_input += as_text(bytes);
        for (std::size_t end; (end = screen_input.find('\n')) != std::string::npos;) {
            words.push_back(
                spice::control::parse_screen_word(screen_input.substr(0, end)).value().value());
            screen_input.erase(0, end + 1);
            if (screen_refuses) say(spice::control::error_line("unknown command 'screen'"));
            if (screen_answers && !screen_refuses) answer();
        }
    }
    void say(const std::string& line) { screen->send_copy(as_bytes(line + "\n")); }
    void answer() { say(to_line(ScreenAnswer{words.back().kind != Kind::pass, 3})); }
    Json status() {
        TestPeer asker(*loop, options.state + "/control.sock");
        asker.connection->send_copy(as_bytes("{\"cmd\":\"status\"}\n"));
        EXPECT_TRUE(
            loop.run_until([&] { return !asker.input.empty() && asker.input.back() == '\n'; }));
        return Json::parse(as_text(asker.input)).value();
    }
    std::string state() { return std::string(status().text("state")); }
    // Asked from outside the loop: a question inside a wait would end that.
    bool comes_to(std::string_view wanted) {
        for (int tries = 0; tries < 20000; ++tries) {
            if (state() == wanted) return true;
            loop.run_for(2ms);
        }
        return false;
    }
    // A stream of a real QEMU's, until the standby has it.
    void run(const Bytes& stream) {
        const std::size_t before = streamed.size();
        qemu->send(stream);
        ASSERT_TRUE(loop.run_until([&] { return streamed.size() == before + stream.size(); }, 60s));
    }
    void send_first_state() {
        qemu = std::make_unique<TestPeer>(*loop, options.state + "/colo.sock");
        run(captured("microvm-first.bin"));
        ASSERT_TRUE(loop.run_until([&] { return !words.empty(); }));
        ASSERT_EQ(words[0], (ScreenWord{Kind::hold, {}, picture_passes}));
        standby->send(AgentLink::word(ColoMessage::checkpoint_ready));
    }
    void protect() {
        send_first_state();
        ASSERT_TRUE(comes_to("protected"));
        ASSERT_TRUE(loop.run_until([&] { return words.size() == 2; }));
        EXPECT_EQ(words[1].kind, Kind::release);
    }
};

struct EarlyPicture : HeldScreen {
    EarlyPicture() : HeldScreen(true) {}
};

TEST_F(EarlyPicture, WhatTheDevicesSayLeavesWithItsCheckpoint) {
    protect();
    run(captured("microvm-checkpoint-1.bin"));
    EXPECT_EQ(words.size(), 2u);
    standby->send(AgentLink::word(ColoMessage::vmstate_received));
    ASSERT_TRUE(loop.run_until([&] { return words.size() == 3; }));
    EXPECT_EQ(words[2].kind, Kind::release);
}

TEST_F(HeldScreen, TheGuestRunsWhenNothingOfItIsSeenTooEarly) {
    screen_answers = false;
    send_first_state();
    loop.run_for(20ms);
    EXPECT_EQ(state(), "syncing");
    EXPECT_TRUE(qemu->input.empty());
    answer();
    EXPECT_TRUE(comes_to("protected"));
    EXPECT_TRUE(loop.run_until([&] { return qemu->input.size() >= 4; }));
}

TEST_F(HeldScreen, APictureLeavesWithTheCheckpointThatKnowsOfIt) {
    protect();
    const Instant before = (*loop).now();
    run(captured("microvm-checkpoint-1.bin"));
    const Instant sealed_by = (*loop).now();
    loop.run_for(20ms);
    EXPECT_EQ(words.size(), 2u);
    EXPECT_LT(words[1].until, before);
    standby->send(AgentLink::word(ColoMessage::vmstate_received));
    ASSERT_TRUE(loop.run_until([&] { return words.size() == 3; }));
    EXPECT_EQ(words[2].kind, Kind::release);
    EXPECT_GE(words[2].until, before);
    EXPECT_LE(words[2].until, sealed_by);
    for (int tries = 0; tries < 20000 && status().u64("held_screen") != 3; ++tries)
        loop.run_for(2ms);
    EXPECT_EQ(status().u64("held_screen"), 3u);
}

TEST_F(HeldScreen, NothingWaitsForAStandbyThatIsLost) {
    protect();
    standby->close();
    ASSERT_TRUE(comes_to("lost"));
    ASSERT_TRUE(loop.run_until([&] { return words.size() == 3; }));
    EXPECT_EQ(words[2].kind, Kind::pass);
}

// Stock's library, or an older one of ours.
TEST_F(HeldScreen, AServerThatDoesNotKnowHowIsNoneToProtect) {
    screen_refuses = true;
    send_first_state();
    ASSERT_TRUE(comes_to("lost"));
    EXPECT_THAT(std::string(status().text("reason")), HasSubstr("does not hold back"));
}

TEST_F(HeldScreen, AServerThatIsGoneIsNoneToProtect) {
    protect();
    screen->close();
    ASSERT_TRUE(comes_to("lost"));
    EXPECT_THAT(std::string(status().text("reason")), HasSubstr("does not hold back"));
}

}  // namespace
}  // namespace segue::standby
