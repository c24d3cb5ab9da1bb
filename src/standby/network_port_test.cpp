// SPDX-License-Identifier: LGPL-2.1-or-later
#include "standby/network_port.h"

#include <gmock/gmock.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "net/test_loop.h"
#include "standby/test_peer.h"

namespace segue::standby {
namespace {

std::unique_ptr<NetworkPort> open(net::TestLoop& loop, const TestFolder& folder,
                                  const std::string& datagrams = {}) {
    Options::Net options;
    options.datagram_path = datagrams;
    options.out = folder.file("out.sock");
    return NetworkPort::make(*loop, options, nullptr,
                             {folder.file("gate.sock"), folder.file("vm.sock")})
        .value();
}

TEST(NetworkPort, AnAgentsFramesBeyondAFullGateAreDroppedAndCounted) {
    net::TestLoop loop;
    TestFolder folder;
    const auto port = open(loop, folder);
    port->hold();
    const Bytes frame = framed(Bytes(60000, 'f'));
    constexpr std::size_t kSent = 2 * FrameGate::kMaxHeldBytes / 60000;
    for (std::size_t count = 0; count < kSent; ++count)
        ASSERT_TRUE(port->agent_sent(frame).has_value());
    EXPECT_EQ(port->held_frames(), FrameGate::kMaxHeldBytes / frame.size() + 1);
    EXPECT_EQ(port->held_frames() + port->dropped_frames(), kSent);
}

TEST(NetworkPort, AFrameThatIsTooLongIsTheAgentsErrorAndNothingStays) {
    net::TestLoop loop;
    TestFolder folder;
    const auto port = open(loop, folder);
    port->hold();
    Bytes bad(100, 0xff);
    EXPECT_EQ(port->agent_sent(bad).error().code, ErrorCode::limit_exceeded);
    EXPECT_TRUE(port->agent_sent(framed(Bytes(60, 'f'))).has_value());
    EXPECT_EQ(port->held_frames(), 1U);
}

// QEMU lets ten frames wait, and reads them when it has a turn.
TEST(NetworkPort, AGuestThatReadsLateGetsEveryFrameInItsOrder) {
    net::TestLoop loop;
    TestFolder folder;
    const auto port = open(loop, folder);
    const net::Descriptor vm(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const auto address = net::SocketAddress::of_unix(folder.file("vm.sock")).value();
    ASSERT_EQ(::bind(vm.get(), address.get(), address.size), 0);
    port->serve_vm();
    const TestPeer outside(*loop, folder.file("out.sock"));
    constexpr std::size_t kSent = 200;
    for (std::size_t number = 0; number < kSent; ++number)
        outside.connection->send_copy(framed(Bytes(60, static_cast<std::uint8_t>(number))));
    std::vector<std::uint8_t> heard;
    EXPECT_TRUE(loop.run_until([&] {
        std::uint8_t frame[100];
        while (::recv(vm.get(), frame, sizeof frame, 0) == 60)
            heard.push_back(frame[0]);
        return heard.size() >= kSent;
    }));
    for (std::size_t number = 0; number < heard.size(); ++number)
        ASSERT_EQ(heard[number], number);
    EXPECT_EQ(port->dropped_frames(), 0U);
}

// Runs in a process of its own. A namespace whose sockets hold many datagrams, where that is
// possible; where it is not, the test is the smaller one. Returns what is wrong.
int datagrams_that_miss_their_epoch() {
    if (::unshare(CLONE_NEWNET) == 0) std::ofstream("/proc/sys/net/unix/max_dgram_qlen") << 2000;
    net::TestLoop loop;
    TestFolder folder;
    const std::string path = folder.file("net.dgram");
    const auto port = open(loop, folder, path);
    port->hold();
    const net::Descriptor nic(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0));
    const auto address = net::SocketAddress::of_unix(path).value();
    std::size_t sent = 0;
    const Bytes frame(60, 'f');
    while (sent < 1000 &&
           ::sendto(nic.get(), frame.data(), frame.size(), 0, address.get(), address.size) > 0)
        ++sent;
    port->seal(2);
    return sent > 0 && port->held_frames() == sent ? 0 : 1;
}

TEST(NetworkPort, EveryDatagramThatWaitsBelongsToTheSealedEpoch) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(datagrams_that_miss_their_epoch());
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
}

// Fails by hanging.
TEST(NetworkPort, WhoeverSendsWithoutEndHoldsNoEpochUp) {
    net::TestLoop loop;
    TestFolder folder;
    Options::Net options;
    options.stream = net::Address::of_unix(folder.file("net.sock"));
    options.out = folder.file("out.sock");
    const auto port = NetworkPort::make(*loop, options, nullptr,
                                        {folder.file("gate.sock"), folder.file("vm.sock")})
                          .value();
    port->hold();
    const auto address = net::SocketAddress::of_unix(folder.file("net.sock")).value();
    const net::Descriptor nic(::socket(AF_UNIX, SOCK_STREAM, 0));
    ASSERT_EQ(::connect(nic.get(), address.get(), address.size), 0);
    std::atomic<bool> over = false;
    std::thread sender([&] {
        const Bytes frame = framed(Bytes(60000, 'f'));
        while (!over && ::send(nic.get(), frame.data(), frame.size(), MSG_NOSIGNAL) > 0) {
        }
    });
    EXPECT_TRUE(loop.run_until([&] { return port->held_frames() > 0; }));
    port->seal(2);
    EXPECT_GT(port->held_frames(), 0U);
    over = true;
    ::shutdown(nic.get(), SHUT_RDWR);
    sender.join();
}

}  // namespace
}  // namespace segue::standby
