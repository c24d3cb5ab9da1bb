// SPDX-License-Identifier: LGPL-2.1-or-later
#include "standby/datagram_path.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <thread>

#include "net/address.h"
#include "standby/test_peer.h"

namespace segue::standby {
namespace {

// How many datagrams fit, of one who does not wait.
std::size_t send_all(const std::string& path, std::size_t most) {
    const net::Descriptor sender(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const auto address = net::SocketAddress::of_unix(path).value();
    std::size_t sent = 0;
    while (sent < most && ::sendto(sender.get(), "frame", 5, 0, address.get(), address.size) == 5)
        ++sent;
    return sent;
}

bool may_have_namespaces() {
    bool may = false;
    std::thread([&may] { may = ::unshare(CLONE_NEWNET) == 0; }).join();
    return may;
}

std::size_t receive_all(const net::Descriptor& socket) {
    std::size_t got = 0;
    char buffer[8];
    while (::recv(socket.get(), buffer, sizeof buffer, 0) == 5)
        ++got;
    return got;
}

TEST(DatagramPath, EverythingThatWaitsIsReadFromAPathThatIsOursAlone) {
    const TestFolder folder;
    const std::string path = folder.file("gate");
    const auto former = bind_datagrams(path, 100).value();
    const auto socket = bind_datagrams(path, 100).value();
    struct stat status {};
    ASSERT_EQ(::stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0600U);
    // Limited by the sender's own buffer, too: a hundred small ones always fit there.
    const std::size_t sent = send_all(path, 100);
    EXPECT_GE(sent, may_have_namespaces() ? 100U : 10U);
    EXPECT_EQ(receive_all(socket), sent);
    EXPECT_EQ(receive_all(former), 0U);
}

TEST(DatagramPath, AnErrorNamesThePath) {
    const auto socket = bind_datagrams("/nowhere/gate", 100);
    ASSERT_FALSE(socket);
    EXPECT_NE(socket.error().message.find("/nowhere/gate"), std::string::npos);
}

}  // namespace
}  // namespace segue::standby
