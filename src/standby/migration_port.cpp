// SPDX-License-Identifier: LGPL-2.1-or-later
#include "standby/migration_port.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/log.h"

namespace segue::standby {
namespace {

// Between two looks at the other sockets of the loop.
constexpr std::size_t kBytesPerTurn = 16U << 20;
// How long bytes of ours, or a probe, may stay unanswered before the primary's host counts as gone.
constexpr int kDeadHostMs = 3000;

// QEMU writes a checkpoint's words one by one with Nagle on: a delayed ACK of ours would cost it 40
// to 87 ms each. The kernel clears this option by itself, so it is set again and again.
void acknowledge_quickly(int socket) {
    const int on = 1;
    (void)::setsockopt(socket, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
}

void detect_dead_host(int socket) {
    const auto set = [socket](int level, int option, int value) {
        (void)::setsockopt(socket, level, option, &value, sizeof value);
    };
    set(SOL_SOCKET, SO_KEEPALIVE, 1);
    set(IPPROTO_TCP, TCP_KEEPIDLE, 1);
    set(IPPROTO_TCP, TCP_KEEPINTVL, 1);
    set(IPPROTO_TCP, TCP_KEEPCNT, kDeadHostMs / 1000);
    set(IPPROTO_TCP, TCP_USER_TIMEOUT, kDeadHostMs);
}

Error end_of_stream() {
    return {ErrorCode::connection_lost, "the primary's link ended"};
}

}  // namespace

Result<std::unique_ptr<MigrationPort>> MigrationPort::make(Loop& loop, const net::Address& address,
                                                           std::shared_ptr<net::TlsContext> tls,
                                                           Handlers handlers) {
    std::unique_ptr<MigrationPort> port(
        new MigrationPort(loop, std::move(tls), std::move(handlers)));
    net::ListenOptions options;
    options.mode = 0600;
    port->listener_ = TRY(net::Listener::make(
        loop, address, options,
        [raw = port.get()](net::Descriptor socket, const net::SocketAddress& peer) {
            raw->accept(std::move(socket), peer);
        }));
    return port;
}

MigrationPort::MigrationPort(Loop& loop, std::shared_ptr<net::TlsContext> tls, Handlers handlers)
    : loop_(loop), tls_(std::move(tls)), handlers_(std::move(handlers)) {}

void MigrationPort::accept(net::Descriptor socket, const net::SocketAddress& peer) {
    const std::string name = peer.text().empty() ? "a local process" : peer.text();
    if (!handlers_.connected()) {
        log_warning("standby", "{} refused on the migration link", name);
        return;
    }
    socket_ = std::move(socket);
    peer_ = name;
    ++link_;
    is_tcp_ = peer.family() != AF_UNIX;
    if (is_tcp_) detect_dead_host(socket_.get());
    if (tls_ != nullptr && is_tcp_) {
        auto filter = tls_->make_filter("");
        if (!filter) return close_with(filter.error(), false);
        filter_ = std::move(*filter);
    }
    watch_ = loop_.watch(socket_.get(), [this](Loop::Ready) { on_readable(); });
    watch_->set_interest(true, false);
    log_info("standby", "{} linked", name);
}

void MigrationPort::on_readable() {
    const std::uint64_t link = link_;
    std::size_t turns = kBytesPerTurn >> 20;
    while (turns-- > 0 && link == link_ && socket_) {
        if (is_tcp_) acknowledge_quickly(socket_.get());
        if (!(filter_ ? read_filtered() : read_plain())) return;
    }
}

bool MigrationPort::read_plain() {
    const auto room = handlers_.space();
    if (!room) {
        close_with(room.error(), false);
        return false;
    }
    const ssize_t got = ::recv(socket_.get(), room->data(), room->size(), 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return false;
    if (got <= 0) {
        close_with(got == 0 ? end_of_stream() : fail_errno("read", peer_, errno).value(), false);
        return false;
    }
    const std::uint64_t link = link_;
    const auto taken = handlers_.received(static_cast<std::size_t>(got));
    if (!taken && link == link_) close_with(taken.error(), true);
    return taken.has_value() && link == link_;
}

bool MigrationPort::read_filtered() {
    std::uint8_t buffer[64U << 10];
    const ssize_t got = ::recv(socket_.get(), buffer, sizeof buffer, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return false;
    if (got <= 0) {
        close_with(got == 0 ? end_of_stream() : fail_errno("read", peer_, errno).value(), false);
        return false;
    }
    Bytes plain, to_peer;
    const auto opened =
        filter_->receive(ByteView(buffer, static_cast<std::size_t>(got)), plain, to_peer);
    write(to_peer);
    const std::uint64_t link = link_;
    const auto taken = opened ? deliver(plain) : opened;
    if (!taken && link == link_) close_with(taken.error(), true);
    return taken.has_value() && link == link_ && socket_;
}

Result<> MigrationPort::deliver(ByteView bytes) {
    const std::uint64_t link = link_;
    while (!bytes.empty() && link == link_) {
        const auto room = TRY(handlers_.space());
        const std::size_t now = std::min(room.size(), bytes.size());
        std::memcpy(room.data(), bytes.data(), now);
        bytes = bytes.subspan(now);
        TRY(handlers_.received(now));
    }
    return {};
}

void MigrationPort::send(ColoMessage message) {
    std::uint8_t word[4];
    store<ByteOrder::big>(word, static_cast<std::uint32_t>(message));
    if (!filter_) return write(word);
    Bytes to_peer;
    if (filter_->send(word, to_peer)) write(to_peer);
}

// A primary that does not read a few bytes has stopped to play its part: reading will tell.
void MigrationPort::write(ByteView bytes) {
    if (!socket_ || bytes.empty()) return;
    const ssize_t sent =
        ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent == static_cast<ssize_t>(bytes.size())) return;
    log_warning("standby", "{} does not take our answers: the link is shut down", peer_);
    (void)::shutdown(socket_.get(), SHUT_RDWR);
}

void MigrationPort::drop() {
    ++link_;
    watch_.reset();
    filter_.reset();
    socket_.reset();
}

void MigrationPort::close_with(const Error& reason, bool at_fault) {
    drop();
    handlers_.lost(at_fault ? Error{reason.code, peer_ + ": " + reason.message} : reason, at_fault);
}

}  // namespace segue::standby
