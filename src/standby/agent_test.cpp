// SPDX-License-Identifier: LGPL-2.1-or-later
#include "standby/agent.h"

#include <gmock/gmock.h>

#include "net/test_loop.h"
#include "standby/test_peer.h"

namespace segue::standby {
namespace {

// What a control socket answers.
Json ask(net::TestLoop& loop, const std::string& path, std::string_view request) {
    TestPeer peer(*loop, path);
    peer.connection->send_copy(as_bytes(request));
    EXPECT_TRUE(loop.run_until([&] { return !peer.input.empty() && peer.input.back() == '\n'; }));
    return Json::parse(as_text(peer.input)).value();
}

// A standby that greets and then reads nothing, and an agent that it has welcomed.
struct AgentTest : ::testing::Test {
    net::TestLoop loop;
    TestFolder folder;
    std::unique_ptr<net::Listener> listener;
    std::unique_ptr<net::Connection> standby;
    Bytes heard;
    bool greeted = false;
    AgentOptions options;
    std::unique_ptr<Agent> agent;
    std::string control;

    void SetUp() override {
        const auto address = net::Address::of_unix(folder.file("standby.sock"));
        listener = net::Listener::make(*loop, address, {},
                                       [this](net::Descriptor socket, const net::SocketAddress&) {
                                           greet(std::move(socket));
                                       })
                       .value();
        options.state = folder.file("agent");
        options.standby = address;
        agent = Agent::make(loop.owned(), options).value();
        control = options.state + "/control.sock";
        for (int tries = 0; tries < 1000 && state() == "linking";)
            ++tries;
        ASSERT_EQ(state(), "ready");
    }
    void greet(net::Descriptor socket) {
        net::Connection::Handlers handlers;
        handlers.on_input = [this](ByteView bytes) {
            heard.insert(heard.end(), bytes.begin(), bytes.end());
            if (std::exchange(greeted, true)) return;
            standby->set_reading(false);
            standby->send(AgentLink::tell(AgentLink::Kind::welcome));
        };
        handlers.on_closed = [](const Error&) {};
        // Until we close: a standby does when it has heard the farewell.
        handlers.on_end_of_input = [] {};
        standby = std::make_unique<net::Connection>(*loop, std::move(socket), std::move(handlers));
        standby->start();
    }
    std::string state() {
        return std::string(ask(loop, control, "{\"cmd\":\"status\"}\n").text("state"));
    }
    // The last one that is whole.
    std::optional<AgentLink::Kind> last_heard() const {
        AgentLink link(AgentLink::End::standby);
        std::optional<AgentLink::Kind> last;
        AgentLink::Message message;
        for (std::size_t at = 0, now = 1; now != 0; at += now) {
            now = link.next(ByteView(heard).subspan(at), message).value();
            if (now != 0) last = message.kind;
        }
        return last;
    }
};

TEST_F(AgentTest, FramesBeyondAFullLinkAreDroppedAndTheProtectionGoesOn) {
    const Bytes frame = framed(Bytes(60000, 'f'));
    const TestPeer nic(*loop, options.state + "/net-out.sock");
    constexpr std::size_t kSent = 200U * 1000 * 1000 / 60000;
    for (std::size_t count = 0; count < kSent; ++count)
        nic.connection->send_copy(frame);
    ASSERT_TRUE(loop.run_until([&] { return nic.connection->output_waiting() == 0; }, 60s));
    const Json said = ask(loop, control, "{\"cmd\":\"status\"}\n");
    EXPECT_EQ(said.text("state"), "ready");
    EXPECT_GT(said.u64("dropped_frames"), kSent / 4);
    EXPECT_LT(said.u64("backlog_bytes"), std::uint64_t{100} << 20);
}

// Whoever ended the agent before its word arrived would look like a loss: a second copy.
TEST_F(AgentTest, AnEndIsAnsweredWhenTheStandbyHasHeardOfIt) {
    const TestPeer nic(*loop, options.state + "/net-out.sock");
    for (int count = 0; count < 100; ++count)
        nic.connection->send(framed(Bytes(60000, 'f')));
    ASSERT_TRUE(loop.run_until([&] { return nic.connection->output_waiting() == 0; }, 60s));
    const TestPeer asker(*loop, control);
    asker.connection->send_copy(as_bytes("{\"cmd\":\"end\"}\n"));
    ASSERT_TRUE(loop.run_until([&] { return state() == "ended"; }));
    EXPECT_THAT(asker.input, ::testing::IsEmpty());
    // A word that nobody reads any more does not cost the farewell.
    standby->send(AgentLink::word(ColoMessage::vmstate_received));
    standby->set_reading(true);
    ASSERT_TRUE(loop.run_until([&] { return last_heard() == AgentLink::Kind::ends; }, 60s));
    EXPECT_THAT(asker.input, ::testing::IsEmpty());
    standby->close();
    EXPECT_TRUE(loop.run_until([&] { return !asker.input.empty(); }));
    EXPECT_EQ(Json::parse(as_text(asker.input)).value().text("state"), "ended");
}

}  // namespace
}  // namespace segue::standby
