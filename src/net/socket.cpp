// SPDX-License-Identifier: LGPL-2.1-or-later
#include "net/socket.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <cerrno>

namespace segue::net {

Result<Descriptor> make_socket(int family) {
    Descriptor made(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!made) return fail_errno("cannot make a socket of family", std::to_string(family), errno);
    if (family != AF_UNIX) set_tcp_options(made.get());
    return made;
}

void set_tcp_options(int descriptor) {
    const int on = 1;
    // Neither matters to correctness: a socket that refuses them still works.
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
}

void notice_dead_host(int descriptor, bool in_flight) {
    const auto set = [descriptor](int option, int value) {
        setsockopt(descriptor, IPPROTO_TCP, option, &value, sizeof value);
    };
    set(TCP_KEEPIDLE, 5);
    set(TCP_KEEPINTVL, 2);
    set(TCP_KEEPCNT, 3);
    if (in_flight) set(TCP_USER_TIMEOUT, 15000);
}

Result<> set_non_blocking(int descriptor) {
    const int flags = fcntl(descriptor, F_GETFL);
    if (flags < 0 || fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) < 0) {
        return fail_errno("cannot make non-blocking: descriptor", std::to_string(descriptor),
                          errno);
    }
    return {};
}

Result<> set_blocking(int descriptor) {
    const int flags = fcntl(descriptor, F_GETFL);
    if (flags < 0 || fcntl(descriptor, F_SETFL, flags & ~O_NONBLOCK) < 0) {
        return fail_errno("cannot make blocking: descriptor", std::to_string(descriptor), errno);
    }
    return {};
}

Result<std::array<Descriptor, 2>> make_socket_pair() {
    int pair[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) {
        return fail_errno("cannot make a socket pair", "unix", errno);
    }
    return std::array<Descriptor, 2>{Descriptor(pair[0]), Descriptor(pair[1])};
}

std::optional<PeerCredentials> peer_credentials(int descriptor) {
    ucred credentials{};
    socklen_t size = sizeof credentials;
    if (SocketAddress::local_of(descriptor).family() != AF_UNIX ||
        getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
        return std::nullopt;
    }
    return PeerCredentials{credentials.pid, credentials.uid, credentials.gid};
}

}  // namespace segue::net
