// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/ports.h"

#include "net/socket.h"

namespace segue {
namespace {

bool can_bind(const std::string& address, std::uint16_t port) {
    auto socket_address = net::SocketAddress::of_numeric(address, port);
    if (!socket_address) return false;
    auto socket = net::make_socket(socket_address->family());
    if (!socket) return false;
    const int on = 1;
    ::setsockopt(socket->get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    return ::bind(socket->get(), socket_address->get(), socket_address->size) == 0;
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

void PortBroker::give_back(std::uint16_t port) {
    taken_.erase(port);
}

}  // namespace segue
