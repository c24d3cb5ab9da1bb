// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/ports.h"

#include "net/socket.h"

namespace segue {
namespace {

Result<> try_bind(const std::string& address, std::uint16_t port) {
    const auto socket_address = TRY(net::SocketAddress::of_numeric(address, port));
    const auto socket = TRY(net::make_socket(socket_address.family()));
    const int on = 1;
    ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (::bind(socket.get(), socket_address.get(), socket_address.size) == 0) return {};
    return fail_errno("bind", socket_address.text(), errno);
}

bool can_bind(const std::string& address, std::uint16_t port) {
    return try_bind(address, port).has_value();
}

}  // namespace

Result<std::uint16_t> PortBroker::take(const std::string& address) {
    const std::uint32_t size = range_.high - range_.low + 1U;
    for (std::uint32_t tried = 0; tried < size; ++tried) {
        const auto port = static_cast<std::uint16_t>(range_.low + next_);
        next_ = (next_ + 1) % size;
        if (taken_.count(port) == 0 && can_bind(address, port)) {
            taken_.insert(port);
            return port;
        }
    }
    return fail(ErrorCode::operation_failed,
                "all ports {} are in use on '{}': widen the range in the configuration",
                range_.text(), address);
}

bool PortBroker::take_exactly(std::uint16_t port) {
    return taken_.insert(port).second;
}

Result<> PortBroker::check_free(const std::string& address, std::uint16_t port) {
    const auto bound = try_bind(address, port);
    if (bound) return {};
    return fail(ErrorCode::operation_failed, "port {} cannot be used: {}", port,
                bound.error().message);
}

void PortBroker::give_back(std::uint16_t port) {
    taken_.erase(port);
}

}  // namespace segue
