// SPDX-License-Identifier: LGPL-2.1-or-later
#include "standby/network_port.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/log.h"
#include "standby/datagram_path.h"

namespace segue::standby {
namespace {

constexpr int kDatagramBuffer = 4 << 20;
// What a NIC has said in a turn or two that we did not get.
constexpr int kDatagramQueue = 4096;
// Until a QEMU has read some of the ten frames that it lets wait.
constexpr Duration kRoomLook = 1ms;
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
            read_datagrams(primary_datagrams_.get(), From::primary, kDatagramsPerTurn);
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
    vm_ = TRY(open_end(files_));
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
    guest_sent(from_primary_.take());
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
    if (is_full()) {
        dropped_ += whole.count;
    } else {
        guest_sent(std::move(whole));
    }
    return fed;
}

// A full gate leaves frames in QEMU, until a commit makes room.
void NetworkPort::watch_fullness() {
    const bool reading = !is_full();
    if (primary_ && primary_->is_reading() != reading) primary_->set_reading(reading);
    if (primary_watch_) primary_watch_->set_interest(reading, false);
}

void NetworkPort::pass() {
    end_comparing();
    (void)gate_.sent(twin_.end_epoch());
    to_outside(gate_.pass());
    thaw_input();
    watch_fullness();
}

void NetworkPort::hold() {
    drain_primary();
    gate_.hold();
}

void NetworkPort::seal(std::uint64_t epoch) {
    drain_primary();
    (void)gate_.sent(twin_.end_epoch());
    gate_.seal(epoch);
}

void NetworkPort::drain_primary() {
    if (primary_datagrams_) {
        return read_datagrams(primary_datagrams_.get(), From::primary, kDatagramsWaiting);
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

void NetworkPort::cut_primary_off() {
    serves_vm_ = true;
    primary_.reset();
    primary_watch_.reset();
    primary_datagrams_.reset();
    primary_listener_.reset();
    to_agent_ = nullptr;
    if (udp_ && !open_udp()) log_warning("standby", "the network's socket could not be made anew");
    gate_.discard();
}

void NetworkPort::serve_vm() {
    end_comparing();
    cut_primary_off();
    (void)twin_.end_epoch();
    to_outside(gate_.pass());
    watch_end(*vm_);
    thaw_input();
}

void NetworkPort::serve_shadow() {
    cut_primary_off();
    (void)gate_.pass();
    // What it has sent until now, too.
    read_datagrams(shadow_->socket.get(), From::vm, kDatagramsWaiting);
    twins_.reset();
    to_outside(twin_.take_over());
    vm_ = std::move(*std::find_if(seats_.begin(), seats_.end(),
                                  [this](const auto& end) { return end.get() == shadow_; }));
    shadow_ = nullptr;
    thaw_input();
}

Result<std::unique_ptr<NetworkPort::VmEnd>> NetworkPort::open_end(const Files& files) {
    auto end = std::make_unique<VmEnd>();
    end->socket = TRY(open_datagrams(files.gate));
    end->vm = TRY(net::SocketAddress::of_unix(files.vm));
    return end;
}

void NetworkPort::watch_end(VmEnd& end) {
    end.watch = loop_.watch(end.socket.get(), [this, &end](Loop::Ready) {
        read_datagrams(end.socket.get(), From::vm, kDatagramsPerTurn);
    });
    end.watch->set_interest(true, false);
    end.again = loop_.make_timer([this, &end] { to_end(end, {}); });
}

Result<> NetworkPort::open_seats(const std::vector<Files>& seats, Twins twins) {
    for (const Files& files : seats)
        seats_.push_back(TRY(open_end(files)));
    twins_ = std::move(twins);
    return {};
}

void NetworkPort::begin_comparing(std::size_t seat) {
    shadow_ = seats_[seat].get();
    // What the one before in this seat has left.
    read_datagrams(shadow_->socket.get(), From::nobody, kDatagramsWaiting);
    shadow_->queue = DatagramQueue(kMaxWaiting);
    watch_end(*shadow_);
    twin_.begin(loop_.now());
    for (const Bytes& frames : given_)
        to_end(*shadow_, {frames, 1});
    flush_twin();
}

void NetworkPort::end_comparing() {
    if (shadow_ != nullptr) {
        shadow_->watch.reset();
        shadow_->again.reset();
    }
    shadow_ = nullptr;
    twin_.end();
}

void NetworkPort::passed(ByteView frame) {
    twin_.passed(frame);
    flush_twin();
}

void NetworkPort::differs() {
    twin_.differs(loop_.now());
    if (twins_) twins_->waits();
}

void NetworkPort::guest_sent(FrameGate::Frames frames) {
    if (!twins_ || gate_.mode() != FrameGate::Mode::hold) {
        return to_outside(gate_.sent(std::move(frames)));
    }
    twin_.primary_sent(frames, loop_.now());
    flush_twin();
}

void NetworkPort::flush_twin() {
    // Nothing can be told of it to a next process: it waits for its epoch.
    if (!twins_ || (twin_.has_leaving() && !twins_->may_leave())) return;
    TwinGate::Output output = twin_.take();
    early_ += output.leaves.count;
    to_outside(std::move(output.leaves));
    if (!output.primary_in.bytes.empty()) twins_->primary_in(std::move(output.primary_in.bytes));
    if (!output.shadow_in.bytes.empty()) twins_->shadow_in(std::move(output.shadow_in.bytes));
    if (twin_.held_frames() > 0 || twin_.wants_checkpoint(loop_.now())) twins_->waits();
}

void NetworkPort::give_agent(const FrameGate::Frames& frames) {
    if (!to_agent_(frames.bytes)) {
        dropped_ += frames.count;
        return;
    }
    given_until_ += frames.bytes.size();
    if (!twins_) return;
    if (shadow_ != nullptr) to_end(*shadow_, frames);
    given_.push_back(frames.bytes);
    while (given_until_ - given_from_ > kMaxGiven) {
        given_from_ += given_.front().size();
        given_.pop_front();
    }
}

void NetworkPort::begin_input() {
    given_.clear();
    given_until_ = given_from_ = read_until_ = 0;
}

void NetworkPort::input_read(std::uint64_t bytes) {
    read_until_ = std::min(bytes, given_until_);
    while (!given_.empty() && given_from_ + given_.front().size() <= read_until_) {
        given_from_ += given_.front().size();
        given_.pop_front();
    }
}

bool NetworkPort::is_input_read() const {
    if (primary_ && primary_->output_waiting() > 0) return false;
    const int descriptor = primary_             ? primary_->descriptor()
                           : primary_datagrams_ ? primary_datagrams_.get()
                                                : -1;
    int waiting = 0;
    // Of a unix socket: what its peer has not read.
    return descriptor < 0 || ::ioctl(descriptor, SIOCOUTQ, &waiting) != 0 || waiting == 0;
}

void NetworkPort::thaw_input() {
    frozen_ = false;
    to_guest(std::exchange(frozen_frames_, {}));
}

void NetworkPort::read_datagrams(int descriptor, From from, int limit) {
    std::uint8_t buffer[kMaxFrame + 1];
    for (int count = 0; count < limit; ++count) {
        net::SocketAddress sender;
        sender.size = sizeof sender.storage;
        const ssize_t got =
            ::recvfrom(descriptor, buffer, sizeof buffer, MSG_DONTWAIT, sender.get(), &sender.size);
        if (got < 0) return;
        if (from == From::primary && sender.size > sizeof(sa_family_t)) primary_address_ = sender;
        Bytes frame = framed(ByteView(buffer, static_cast<std::size_t>(got)));
        if (frame.empty() || from == From::nobody) continue;
        if (from == From::primary) {
            guest_sent({std::move(frame), 1});
        } else if (shadow_ != nullptr) {
            twin_.shadow_sent({std::move(frame), 1});
            flush_twin();
        } else {
            to_outside(gate_.sent({std::move(frame), 1}));
        }
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
    if (frozen_) {
        auto& waiting = frozen_frames_.bytes;
        if (waiting.size() + frames.bytes.size() > kMaxWaiting) {
            dropped_ += frames.count;
            return;
        }
        waiting.insert(waiting.end(), frames.bytes.begin(), frames.bytes.end());
        frozen_frames_.count += frames.count;
        return;
    }
    if (serves_vm_) return to_end(*vm_, frames);
    if (shadow_ != nullptr && !to_agent_) to_end(*shadow_, frames);
    if (to_agent_) return give_agent(frames);
    if (primary_datagrams_) {
        return send_datagrams(frames, primary_datagrams_.get(), primary_address_);
    }
    if (primary_ && primary_->output_waiting() < kMaxWaiting) {
        primary_->send_copy(frames.bytes);
    } else {
        dropped_ += frames.count;
    }
}

// A socket that is not connected to its receiver counts as writable however full that is.
void NetworkPort::to_end(VmEnd& end, const FrameGate::Frames& frames) {
    if (!end.watch) return;
    end.queue.send(end.socket.get(), &end.vm, frames);
    if (end.queue.is_waiting()) end.again->start(kRoomLook);
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
