// SPDX-License-Identifier: LGPL-2.1-or-later
#include "standby/datagram_path.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <thread>

#include "net/address.h"

namespace segue::standby {
namespace {

int make_datagrams() {
    return ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

// A socket has the queue that its network namespace says when it is made, and a path leads to it
// from every one: so it is made in a namespace of its own, by a thread that ends with it.
int make_datagrams_elsewhere(int waiting) {
    int made = -1;
    std::thread([&made, waiting] {
        if (::unshare(CLONE_NEWNET) != 0) return;
        const net::Descriptor limit(
            ::open("/proc/sys/net/unix/max_dgram_qlen", O_WRONLY | O_CLOEXEC));
        const std::string text = std::to_string(waiting);
        if (limit && ::write(limit.get(), text.data(), text.size()) > 0) made = make_datagrams();
    }).join();
    return made;
}

}  // namespace

Result<net::Descriptor> bind_datagrams(const std::string& path, int waiting) {
    const auto address = TRY(net::SocketAddress::of_unix(path));
    net::Descriptor socket(make_datagrams_elsewhere(waiting));
    if (!socket) socket = net::Descriptor(make_datagrams());
    if (!socket) return fail_errno("make a socket for", path, errno);
    (void)::unlink(path.c_str());
    if (::bind(socket.get(), address.get(), address.size) != 0)
        return fail_errno("bind", path, errno);
    (void)::chmod(path.c_str(), 0600);
    return socket;
}

}  // namespace segue::standby
