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

// A standby that greets and then reads nothing.
TEST(Agent, FramesBeyondAFullLinkAreDroppedAndTheProtectionGoesOn) {
    net::TestLoop loop;
    TestFolder folder;
    std::unique_ptr<net::Connection> standby;
    const auto listener =
        net::Listener::make(*loop, net::Address::of_unix(folder.file("standby.sock")), {},
                            [&](net::Descriptor socket, const net::SocketAddress&) {
                                net::Connection::Handlers handlers;
                                handlers.on_input = [&](ByteView) {
                                    standby->set_reading(false);
                                    standby->send(AgentLink::tell(AgentLink::Kind::welcome));
                                };
                                handlers.on_closed = [](const Error&) {};
                                standby = std::make_unique<net::Connection>(
                                    *loop, std::move(socket), std::move(handlers));
                                standby->start();
                            })
            .value();
    AgentOptions options;
    options.state = folder.file("agent");
    options.standby = net::Address::of_unix(folder.file("standby.sock"));
    const auto agent = Agent::make(loop.owned(), options).value();
    const std::string control = options.state + "/control.sock";
    const auto state = [&] {
        return std::string(ask(loop, control, "{\"cmd\":\"status\"}\n").text("state"));
    };
    for (int tries = 0; tries < 1000 && state() == "linking";)
        ++tries;
    ASSERT_EQ(state(), "ready");

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

}  // namespace
}  // namespace segue::standby
