// SPDX-License-Identifier: LGPL-2.1-or-later
#include "net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <charconv>
#include <cstddef>
#include <cstring>

namespace segue::net {
namespace {

Result<std::uint16_t> parse_port(std::string_view text, std::string_view whole) {
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (error != std::errc{} || end != text.data() + text.size()) {
        return fail(ErrorCode::invalid_argument, "'{}': the port must be a number from 0 to 65535",
                    whole);
    }
    return port;
}

// HOST:PORT or [HOST]:PORT.
Result<Address> parse_host_port(Transport transport, std::string_view text,
                                std::string_view whole) {
    std::string_view host;
    if (!text.empty() && text.front() == '[') {
        const std::size_t end = text.find("]:");
        if (end == text.npos) {
            return fail(ErrorCode::invalid_argument, "'{}': expected [IPv6 address]:PORT", whole);
        }
        host = text.substr(1, end - 1);
        text.remove_prefix(end + 2);
    } else {
        const std::size_t colon = text.rfind(':');
        if (colon == text.npos || text.find(':') != colon) {
            return fail(ErrorCode::invalid_argument,
                        "'{}': expected HOST:PORT, with an IPv6 address in brackets", whole);
        }
        host = text.substr(0, colon);
        text.remove_prefix(colon + 1);
    }
    if (host.empty()) {
        return fail(ErrorCode::invalid_argument, "'{}': the host is empty", whole);
    }
    Address address;
    address.transport = transport;
    address.host = host;
    address.port = TRY(parse_port(text, whole));
    return address;
}

}  // namespace

Address Address::of_unix(std::string path) {
    Address address;
    address.transport = Transport::unix_socket;
    address.path = std::move(path);
    return address;
}

Address Address::of_tcp(std::string host, std::uint16_t port) {
    Address address;
    address.host = std::move(host);
    address.port = port;
    return address;
}

Result<Address> Address::parse(std::string_view text) {
    if (text.substr(0, 5) == "unix:") {
        if (text.size() == 5) {
            return fail(ErrorCode::invalid_argument, "'{}': the path is empty", text);
        }
        return of_unix(std::string(text.substr(5)));
    }
    if (text.substr(0, 4) == "tcp:") return parse_host_port(Transport::tcp, text.substr(4), text);
    if (text.substr(0, 4) == "tls:") return parse_host_port(Transport::tls, text.substr(4), text);
    return fail(ErrorCode::invalid_argument,
                "'{}': an address is unix:PATH, tcp:HOST:PORT or tls:HOST:PORT", text);
}

std::string Address::text() const {
    if (transport == Transport::unix_socket) return "unix:" + path;
    const std::string_view kind = transport == Transport::tcp ? "tcp" : "tls";
    if (host.find(':') != host.npos) return fmt::format("{}:[{}]:{}", kind, host, port);
    return fmt::format("{}:{}:{}", kind, host, port);
}

std::string SocketAddress::text() const {
    char host[INET6_ADDRSTRLEN] = "";
    if (family() == AF_INET) {
        const auto* in = reinterpret_cast<const sockaddr_in*>(&storage);
        inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
        return fmt::format("{}:{}", host, ntohs(in->sin_port));
    }
    if (family() == AF_INET6) {
        const auto* in = reinterpret_cast<const sockaddr_in6*>(&storage);
        inet_ntop(AF_INET6, &in->sin6_addr, host, sizeof host);
        return fmt::format("[{}]:{}", host, ntohs(in->sin6_port));
    }
    if (family() == AF_UNIX && size > offsetof(sockaddr_un, sun_path)) {
        const auto* local = reinterpret_cast<const sockaddr_un*>(&storage);
        return std::string(local->sun_path, strnlen(local->sun_path, sizeof local->sun_path));
    }
    return {};
}

std::uint16_t SocketAddress::port() const {
    if (family() == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in*>(&storage)->sin_port);
    if (family() == AF_INET6) {
        return ntohs(reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_port);
    }
    return 0;
}

bool SocketAddress::is_loopback() const {
    if (family() == AF_UNIX) return true;
    if (family() == AF_INET) {
        const auto* in = reinterpret_cast<const sockaddr_in*>(&storage);
        return (ntohl(in->sin_addr.s_addr) >> 24) == 127;
    }
    if (family() == AF_INET6) {
        const auto* in = reinterpret_cast<const sockaddr_in6*>(&storage);
        return IN6_IS_ADDR_LOOPBACK(&in->sin6_addr);
    }
    return false;
}

Result<SocketAddress> SocketAddress::of_unix(const std::string& path) {
    SocketAddress address;
    auto* local = reinterpret_cast<sockaddr_un*>(&address.storage);
    if (path.empty() || path.size() >= sizeof local->sun_path) {
        return fail(ErrorCode::invalid_argument,
                    "socket path '{}' has {} characters: 1 to {} are possible", path, path.size(),
                    sizeof local->sun_path - 1);
    }
    local->sun_family = AF_UNIX;
    std::memcpy(local->sun_path, path.data(), path.size());
    address.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
    return address;
}

Result<SocketAddress> SocketAddress::of_numeric(const std::string& host, std::uint16_t port) {
    SocketAddress address;
    auto* in4 = reinterpret_cast<sockaddr_in*>(&address.storage);
    auto* in6 = reinterpret_cast<sockaddr_in6*>(&address.storage);
    const std::string text = host.empty() || host == "*" ? "0.0.0.0" : host;
    if (inet_pton(AF_INET, text.c_str(), &in4->sin_addr) == 1) {
        in4->sin_family = AF_INET;
        in4->sin_port = htons(port);
        address.size = sizeof *in4;
        return address;
    }
    if (inet_pton(AF_INET6, text.c_str(), &in6->sin6_addr) == 1) {
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(port);
        address.size = sizeof *in6;
        return address;
    }
    return fail(ErrorCode::invalid_argument, "'{}' is not a numeric IPv4 or IPv6 address", host);
}

SocketAddress SocketAddress::local_of(int descriptor) {
    SocketAddress address;
    address.size = sizeof address.storage;
    if (getsockname(descriptor, address.get(), &address.size) != 0) address.size = 0;
    return address;
}

SocketAddress SocketAddress::peer_of(int descriptor) {
    SocketAddress address;
    address.size = sizeof address.storage;
    if (getpeername(descriptor, address.get(), &address.size) != 0) address.size = 0;
    return address;
}

}  // namespace segue::net
