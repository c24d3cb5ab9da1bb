// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/link/listen_socket.h"

#include <netdb.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <memory>

#include "net/address.h"

namespace segue::spice::server {
namespace {

constexpr int kBacklog = 128;

struct FreeAddresses {
    void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
};

Result<net::Descriptor> listen_unix(const std::string& path) {
    const net::SocketAddress address = TRY(net::SocketAddress::of_unix(path));
    net::Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket) return fail_errno("create", "a unix socket", errno);
    ::unlink(path.c_str());
    if (::bind(socket.get(), address.get(), address.size) != 0)
        return fail_errno("bind", path, errno);
    if (::listen(socket.get(), kBacklog) != 0) return fail_errno("listen on", path, errno);
    return socket;
}

}  // namespace

Result<net::Descriptor> listen_socket(const std::string& address, int port, int flags) {
    if ((flags & AddressFlags::kUnix) != 0) return listen_unix(address);
    addrinfo hints{};
    hints.ai_flags = AI_PASSIVE;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_family = (flags & AddressFlags::kIpv4Only) != 0   ? AF_INET
                      : (flags & AddressFlags::kIpv6Only) != 0 ? AF_INET6
                                                               : AF_UNSPEC;
    const std::string service = std::to_string(port);
    addrinfo* found = nullptr;
    const int error =
        ::getaddrinfo(address.empty() ? nullptr : address.c_str(), service.c_str(), &hints, &found);
    if (error != 0) {
        return fail(ErrorCode::invalid_argument, "cannot listen on '{}', port {}: {}", address,
                    port, ::gai_strerror(error));
    }
    const std::unique_ptr<addrinfo, FreeAddresses> list(found);
    int last_error = EADDRNOTAVAIL;
    for (const addrinfo* at = list.get(); at != nullptr; at = at->ai_next) {
        net::Descriptor socket(
            ::socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, at->ai_protocol));
        if (!socket) continue;
        const int on = 1;
        ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (::bind(socket.get(), at->ai_addr, at->ai_addrlen) == 0 &&
            ::listen(socket.get(), kBacklog) == 0) {
            return socket;
        }
        last_error = errno;
    }
    return fail_errno("listen on", fmt::format("{}:{}", address, port), last_error);
}

}  // namespace segue::spice::server
