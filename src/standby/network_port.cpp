// SPDX-License-Identifier: LGPL-2.1-or-later
#include "standby/network_port.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/log.h"
#include "standby/datagram_path.h"

namespace segue::standby {
namespace {

constexpr int kDatagramBuffer = 4 << 20;
// What a NIC has said in a turn or two that we did not get.
constexpr int kDatagramQueue = 4096;
// Between two looks at the other sockets of the loop.
constexpr int kDatagramsPerTurn = 256;
// More than a socket's queue holds: whoever stands still has sent no more.
constexpr int kDatagramsWaiting = 1 << 16;

Result<net::Descriptor> open_datagrams(const std::string& path) {
    auto socket = TRY(bind_datagrams(path, kDatagramQueue));
    (void)::setsockopt(socket.get(), SOL_SOCKET, SO_SNDBUF, &kDatagramBuffer, sizeof(int));
    (void)::setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUF, &kDatagramBuffer, sizeof(int));
    return socket;
}

}  // namespace

Result<std::unique_ptr<NetworkPort>> NetworkPort::make(Loop& loop, const Options::Net& options,
                                                       std::shared_ptr<net::TlsContext> tls,
                                                       Files files) {
    std::unique_ptr<NetworkPort> port(new NetworkPort(loop, std::move(tls), std::move(files)));
    TRY(port->listen(options));
    return port;
}

NetworkPort::NetworkPort(Loop& loop, std::shared_ptr<net::TlsContext> tls, Files files)
    : loop_(loop), tls_(std::move(tls)), files_(std::move(files)) {}

NetworkPort::~NetworkPort() {
    if (!primary_path_.empty()) (void)::unlink(primary_path_.c_str());
}

// Our own address may still be the primary's, on one host: the peer learns where frames come from.
Result<> NetworkPort::open_udp() {
    udp_watch_.reset();
    const int family = udp_->remote.family();
    udp_socket_.reset(::socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!udp_socket_) return fail_errno("make a socket for", udp_->remote.text(), errno);
    (void)::setsockopt(udp_socket_.get(), SOL_SOCKET, SO_SNDBUF, &kDatagramBuffer, sizeof(int));
    (void)::setsockopt(udp_socket_.get(), SOL_SOCKET, SO_RCVBUF, &kDatagramBuffer, sizeof(int));
    if (::bind(udp_socket_.get(), udp_->local.get(), udp_->local.size) != 0) {
        log_info("standby", "'{}' is in use: another port sends the frames", udp_->local.text());
    }
    udp_watch_ = loop_.watch(udp_socket_.get(), [this](Loop::Ready ready) {
        if (ready.writable) flush_udp();
        if (ready.readable) read_udp();
    });
    // What waits was committed: it leaves by the new socket, too.
    udp_watch_->set_interest(true, udp_queue_.is_waiting());
    return {};
}

void NetworkPort::send_udp(const FrameGate::Frames& frames) {
    if (!udp_watch_) {
        dropped_ += frames.count;
        return;
    }
    udp_queue_.send(udp_socket_.get(), &udp_->remote, frames);
    udp_watch_->set_interest(true, udp_queue_.is_waiting());
}

void NetworkPort::flush_udp() {
    udp_queue_.flush(udp_socket_.get(), &udp_->remote);
    udp_watch_->set_interest(true, udp_queue_.is_waiting());
}

void NetworkPort::read_udp() {
    std::uint8_t buffer[kMaxFrame + 1];
    for (int count = 0; count < kDatagramsPerTurn; ++count) {
        const ssize_t got = ::recv(udp_socket_.get(), buffer, sizeof buffer, MSG_DONTWAIT);
        if (got < 0) return;
        Bytes frame = framed(ByteView(buffer, static_cast<std::size_t>(got)));
        if (!frame.empty()) to_guest({std::move(frame), 1});
    }
}

Result<> NetworkPort::listen(const Options::Net& primary) {
    net::ListenOptions options;
    options.mode = 0600;
    if (primary.stream) {
        primary_listener_ =
            TRY(net::Listener::make(loop_, *primary.stream, options,
                                    [this](net::Descriptor socket, const net::SocketAddress&) {
                                        accept_primary(std::move(socket));
                                    }));
    } else if (!primary.datagram_path.empty()) {
        primary_datagrams_ = TRY(open_datagrams(primary.datagram_path));
        primary_path_ = primary.datagram_path;
        primary_watch_ = loop_.watch(primary_datagrams_.get(), [this](Loop::Ready) {
            read_datagrams(primary_datagrams_.get(), false, kDatagramsPerTurn);
            watch_fullness();
        });
        primary_watch_->set_interest(true, false);
    }
    udp_ = primary.out_udp;
    if (udp_) {
        TRY(open_udp());
    } else {
        outside_listener_ =
            TRY(net::Listener::make(loop_, net::Address::of_unix(primary.out), options,
                                    [this](net::Descriptor socket, const net::SocketAddress&) {
                                        accept_outside(std::move(socket));
                                    }));
    }
    vm_datagrams_ = TRY(open_datagrams(files_.gate));
    vm_address_ = TRY(net::SocketAddress::of_unix(files_.vm));
    return {};
}

void NetworkPort::accept_primary(net::Descriptor socket) {
    if (serves_vm_ || primary_ != nullptr) {
        log_warning("standby", "a second NIC was refused: {}",
                    serves_vm_ ? "the standby has taken over" : "one is connected");
        return;
    }
    from_primary_.reset();
    net::Connection::Handlers handlers;
    handlers.on_input = [this](ByteView bytes) { primary_sent(bytes); };
    handlers.on_closed = [this](const Error& reason) {
        log_warning("standby",
                    "the primary's NIC is gone ({}): its network is down until the NIC "
                    "is plugged again",
                    reason.message);
        primary_.reset();
    };
    primary_ = std::make_unique<net::Connection>(loop_, std::move(socket), std::move(handlers));
    if (tls_ != nullptr && primary_->peer().family() != AF_UNIX) {
        auto filter = tls_->make_filter("");
        if (!filter) return primary_.reset();
        primary_->set_filter(std::move(*filter));
    }
    primary_->start();
}

void NetworkPort::accept_outside(net::Descriptor socket) {
    if (outside_ != nullptr) {
        log_warning("standby", "a second outside peer was refused");
        return;
    }
    from_outside_.reset();
    net::Connection::Handlers handlers;
    handlers.on_input = [this](ByteView bytes) { outside_sent(bytes); };
    handlers.on_closed = [this](const Error&) { outside_.reset(); };
    outside_ = std::make_unique<net::Connection>(loop_, std::move(socket), std::move(handlers));
    outside_->set_output_limit(2 * kMaxWaiting);
    outside_->start();
}

void NetworkPort::primary_sent(ByteView bytes) {
    const auto fed = from_primary_.feed(bytes);
    to_outside(gate_.sent(from_primary_.take()));
    if (!fed) {
        log_error("standby", "the primary's NIC: {}", fed.error().message);
        loop_.post([this] { primary_.reset(); });
        return;
    }
    watch_fullness();
}

Result<> NetworkPort::agent_sent(ByteView frames) {
    const auto fed = from_primary_.feed(frames);
    FrameGate::Frames whole = from_primary_.take();
    if (gate_.is_full()) {
        dropped_ += whole.count;
    } else {
        to_outside(gate_.sent(std::move(whole)));
    }
    return fed;
}

// A full gate leaves frames in QEMU, until a commit makes room.
void NetworkPort::watch_fullness() {
    const bool reading = !gate_.is_full();
    if (primary_ && primary_->is_reading() != reading) primary_->set_reading(reading);
    if (primary_watch_) primary_watch_->set_interest(reading, false);
}

void NetworkPort::pass() {
    to_outside(gate_.pass());
    watch_fullness();
}

void NetworkPort::hold() {
    drain_primary();
    gate_.hold();
}

void NetworkPort::seal(std::uint64_t epoch) {
    drain_primary();
    gate_.seal(epoch);
}

void NetworkPort::drain_primary() {
    if (primary_datagrams_) {
        return read_datagrams(primary_datagrams_.get(), false, kDatagramsWaiting);
    }
    std::uint8_t buffer[64U << 10];
    for (std::size_t drained = 0; drained < kMaxDrained && primary_ && !primary_->is_closed();) {
        const ssize_t got = ::recv(primary_->descriptor(), buffer, sizeof buffer, MSG_DONTWAIT);
        if (got <= 0) return;  // an end is seen by the connection itself
        drained += static_cast<std::size_t>(got);
        const ByteView bytes(buffer, static_cast<std::size_t>(got));
        if (primary_->filter() == nullptr) {
            primary_sent(bytes);
            continue;
        }
        Bytes plain, to_peer;
        if (!primary_->filter()->receive(bytes, plain, to_peer)) return;
        primary_sent(plain);
    }
}

void NetworkPort::release(std::uint64_t epoch) {
    to_outside(gate_.release(epoch));
    watch_fullness();
}

void NetworkPort::serve_vm() {
    serves_vm_ = true;
    primary_.reset();
    primary_watch_.reset();
    primary_datagrams_.reset();
    primary_listener_.reset();
    to_agent_ = nullptr;
    if (udp_ && !open_udp()) log_warning("standby", "the network's socket could not be made anew");
    gate_.discard();
    to_outside(gate_.pass());
    vm_watch_ = loop_.watch(vm_datagrams_.get(), [this](Loop::Ready) {
        read_datagrams(vm_datagrams_.get(), true, kDatagramsPerTurn);
    });
    vm_watch_->set_interest(true, false);
}

void NetworkPort::read_datagrams(int descriptor, bool from_vm, int limit) {
    std::uint8_t buffer[kMaxFrame + 1];
    for (int count = 0; count < limit; ++count) {
        net::SocketAddress sender;
        sender.size = sizeof sender.storage;
        const ssize_t got =
            ::recvfrom(descriptor, buffer, sizeof buffer, MSG_DONTWAIT, sender.get(), &sender.size);
        if (got < 0) return;
        if (!from_vm && sender.size > sizeof(sa_family_t)) primary_address_ = sender;
        Bytes frame = framed(ByteView(buffer, static_cast<std::size_t>(got)));
        if (!frame.empty()) to_outside(gate_.sent({std::move(frame), 1}));
    }
}

void NetworkPort::outside_sent(ByteView bytes) {
    const auto fed = from_outside_.feed(bytes);
    to_guest(from_outside_.take());
    if (!fed) {
        log_error("standby", "the outside peer: {}", fed.error().message);
        loop_.post([this] { outside_.reset(); });
    }
}

void NetworkPort::to_outside(FrameGate::Frames frames) {
    if (frames.count == 0) return;
    if (udp_) return send_udp(frames);
    if (!outside_ || outside_->output_waiting() > kMaxWaiting) {
        dropped_ += frames.count;  // no cable is plugged in
        return;
    }
    outside_->send(std::move(frames.bytes));
}

void NetworkPort::to_guest(const FrameGate::Frames& frames) {
    if (frames.count == 0) return;
    if (serves_vm_) return send_datagrams(frames, vm_datagrams_.get(), vm_address_);
    if (to_agent_) return to_agent_(frames.bytes);
    if (primary_datagrams_) {
        return send_datagrams(frames, primary_datagrams_.get(), primary_address_);
    }
    if (primary_ && primary_->output_waiting() < kMaxWaiting) {
        primary_->send_copy(frames.bytes);
    } else {
        dropped_ += frames.count;
    }
}

void NetworkPort::send_datagrams(const FrameGate::Frames& frames, int from,
                                 const net::SocketAddress& to) {
    BigReader in(frames.bytes);
    while (in.remaining() > 0) {
        const ByteView frame = in.bytes(in.u32());
        if (to.size == 0 || ::sendto(from, frame.data(), frame.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
                                     to.get(), to.size) < 0) {
            dropped_ += 1;
        }
    }
}

}  // namespace segue::standby
