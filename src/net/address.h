// SPDX-License-Identifier: LGPL-2.1-or-later
// Where to listen or connect: unix:PATH, tcp:HOST:PORT, tls:HOST:PORT; IPv6 in brackets.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace segue::net {

enum class Transport { unix_socket, tcp, tls };

struct Address {
    Transport transport = Transport::tcp;
    std::string path;  // unix_socket
    std::string host;  // tcp, tls: a name, an IPv4 or an IPv6 address without brackets
    std::uint16_t port = 0;

    static Address of_unix(std::string path);
    static Address of_tcp(std::string host, std::uint16_t port);

    // "unix:/run/x", "tcp:127.0.0.1:16509", "tls:[::1]:16514". Port 0 means "any" for listeners.
    static Result<Address> parse(std::string_view text);
    // The form that parse() reads.
    std::string text() const;

    friend bool operator==(const Address&, const Address&) = default;
};

// A socket address of the kernel with its length.
struct SocketAddress {
    sockaddr_storage storage{};
    socklen_t size = 0;

    const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
    sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
    int family() const { return storage.ss_family; }
    // "127.0.0.1:5900", "[::1]:5900", or the path of a unix socket (may be empty).
    std::string text() const;
    // 0 for unix sockets.
    std::uint16_t port() const;
    // 127.0.0.0/8, ::1, and unix sockets.
    bool is_loopback() const;

    // sun_path holds 107 characters: longer paths are refused.
    static Result<SocketAddress> of_unix(const std::string& path);
    // Numeric hosts only: never asks a name server. "*" and "" mean every IPv4 address.
    static Result<SocketAddress> of_numeric(const std::string& host, std::uint16_t port);
    static SocketAddress local_of(int descriptor);
    static SocketAddress peer_of(int descriptor);
};

}  // namespace segue::net
