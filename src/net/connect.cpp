// SPDX-License-Identifier: LGPL-2.1-or-later
#include "net/connect.h"

#include <cerrno>
#include <system_error>

namespace segue::net {

Connector::Connector(Loop& loop, Resolver& resolver, Address address, Duration timeout,
                     OnConnected on_connected)
    : loop_(loop),
      address_(std::move(address)),
      timeout_(timeout),
      on_connected_(std::move(on_connected)) {
    timer_ = loop_.make_timer([this] {
        finish(fail(ErrorCode::timeout, "no connection to '{}' within {} ms", address_.text(),
                    to_ms(timeout_)));
    });
    timer_->start(timeout_);
    if (address_.transport != Transport::unix_socket) {
        question_ = resolver.resolve(address_.host, address_.port,
                                     [this](auto found) { begin(std::move(found)); });
        return;
    }
    // Through the loop, so that the callback never runs inside this constructor.
    const auto alive = std::make_shared<bool>(true);
    question_ = alive;
    loop_.post([this, weak = std::weak_ptr<bool>(alive)] {
        if (weak.expired()) return;
        auto local = SocketAddress::of_unix(address_.path);
        if (!local) return finish(tl::make_unexpected(local.error()));
        begin(std::vector<SocketAddress>{*local});
    });
}

Connector::~Connector() = default;

void Connector::begin(Result<std::vector<SocketAddress>> addresses) {
    if (!addresses) return finish(tl::make_unexpected(addresses.error()));
    candidates_ = std::move(*addresses);
    last_error_ = {ErrorCode::system,
                   fmt::format("host name '{}' has no addresses", address_.host)};
    try_next();
}

void Connector::try_next() {
    while (next_ < candidates_.size()) {
        const SocketAddress& candidate = candidates_[next_++];
        watch_.reset();
        auto made = make_socket(candidate.family());
        if (!made) {
            last_error_ = made.error();
            continue;
        }
        socket_ = std::move(*made);
        if (::connect(socket_.get(), candidate.get(), candidate.size) == 0) {
            return finish(std::move(socket_));
        }
        // EAGAIN on a unix socket: the server's queue is full. That is an answer, not a wait.
        if (errno == EINPROGRESS) {
            watch_ = loop_.watch(socket_.get(), [this](Loop::Ready) { check(); });
            watch_->set_interest(false, true);
            return;
        }
        note_failure(errno);
    }
    finish(tl::make_unexpected(last_error_));
}

void Connector::note_failure(int error_number) {
    last_error_ = fail_errno("cannot connect to", address_.text(), error_number).value();
    // ENOENT, EAGAIN: of unix sockets. Nobody listens, or nobody accepts.
    was_refused_ = was_refused_ || error_number == ECONNREFUSED || error_number == ENOENT ||
                   error_number == EAGAIN;
}

void Connector::check() {
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
    if (error == 0) return finish(std::move(socket_));
    note_failure(error);
    try_next();
}

void Connector::finish(Result<Descriptor> outcome) {
    watch_.reset();
    timer_->cancel();
    question_.reset();
    // The callback may destroy this object.
    const OnConnected on_connected = std::move(on_connected_);
    on_connected(std::move(outcome));
}

}  // namespace segue::net
