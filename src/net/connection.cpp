// SPDX-License-Identifier: LGPL-2.1-or-later
#include "net/connection.h"

#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/check.h"

namespace segue::net {
namespace {

// Read in one call. On the stack: an idle connection owns no input buffer.
constexpr std::size_t kReadSize = 64u << 10;
// Other connections get their turn after this many reads in a row.
constexpr int kReadsAtOnce = 4;
constexpr std::size_t kIovecs = 64;
// A peer that is told the end has this long, and this much to say, before it is cut off.
constexpr Duration kLingerTime = 2s;
constexpr std::size_t kMaxLingerBytes = 1u << 20;
// Of a last word that nobody asked for: a TLS alert.
constexpr Duration kAlertPatience = 2s;

std::string name_of_peer(const SocketAddress& peer) {
    const std::string text = peer.text();
    return text.empty() ? "the local peer" : text;
}

Error lost(const SocketAddress& peer, std::string_view how) {
    return {ErrorCode::connection_lost,
            fmt::format("connection with {} {}", name_of_peer(peer), how)};
}

Error lost(const SocketAddress& peer, int error) {
    return lost(peer, fail_errno("broke", peer.text(), error).value().message);
}

}  // namespace

Connection::Connection(Loop& loop, Descriptor socket, Handlers handlers)
    : loop_(loop),
      socket_(std::move(socket)),
      handlers_(std::move(handlers)),
      local_(SocketAddress::local_of(socket_.get())),
      peer_(SocketAddress::peer_of(socket_.get())) {
    ENSURE(handlers_.on_input && handlers_.on_closed);
}

Connection::~Connection() {
    *alive_ = false;
}

void Connection::set_filter(std::unique_ptr<ByteFilter> filter) {
    filter_ = std::move(filter);
}

void Connection::start() {
    watch_ = loop_.watch(socket_.get(), [this](Loop::Ready ready) { on_ready(ready); });
    if (filter_) {
        Chunk hello;
        const auto started = filter_->start(hello.owned);
        if (!started) {
            loop_.post([this, alive = alive_, error = started.error()] {
                if (*alive && socket_) fail_with(error);
            });
            return;
        }
        queue(std::move(hello));
    }
    write_some();
}

void Connection::on_ready(Loop::Ready ready) {
    const auto alive = alive_;
    if (ready.writable) write_some();
    if (*alive && socket_ && ready.readable) read_some();
}

void Connection::read_some() {
    if (lingering_) return discard_some();
    std::array<std::uint8_t, kReadSize> buffer;  // not cleared: only what was read is looked at
    const auto alive = alive_;
    for (int round = 0; round < kReadsAtOnce && reading_ && !closing_ && !input_ended_; ++round) {
        iovec vector{buffer.data(), buffer.size()};
        alignas(cmsghdr) std::array<char, CMSG_SPACE(kMaxDescriptors * sizeof(int))> control;
        msghdr message{};
        message.msg_iov = &vector;
        message.msg_iovlen = 1;
        if (takes_descriptors_) {
            message.msg_control = control.data();
            message.msg_controllen = control.size();
        }
        ssize_t size = ::recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC);
        if (size < 0 && errno == ENOTSOCK) {  // a pipe or a terminal
            size = ::read(socket_.get(), buffer.data(), buffer.size());
            if (size < 0 && errno == EIO) size = 0;  // a terminal whose other side is closed
        }
        if (size < 0) {
            if (errno == EINTR) continue;
            if (errno != EAGAIN) fail_with(lost(peer_, errno));
            return;
        }
        if (takes_descriptors_) {
            take_ancillary(message);
            if (received_.size() > kMaxDescriptors) {
                return fail_with({ErrorCode::limit_exceeded,
                                  fmt::format("{} sent more than {} descriptors that no message "
                                              "announced",
                                              name_of_peer(peer_), kMaxDescriptors)});
            }
        }
        if (size == 0) return end_of_input();
        deliver(ByteView(buffer.data(), static_cast<std::size_t>(size)));
        if (!*alive || !socket_) return;
        if (static_cast<std::size_t>(size) < buffer.size()) return;  // most likely drained
    }
}

void Connection::take_ancillary(msghdr& message) {
    for (cmsghdr* one = CMSG_FIRSTHDR(&message); one != nullptr; one = CMSG_NXTHDR(&message, one)) {
        if (one->cmsg_level != SOL_SOCKET || one->cmsg_type != SCM_RIGHTS) continue;
        const std::size_t count = (one->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t index = 0; index < count; ++index) {
            int number;
            std::memcpy(&number, CMSG_DATA(one) + index * sizeof(int), sizeof number);
            received_.emplace_back(number);
        }
    }
}

// Hands input to the user, through the filter if there is one, and sends what came of it.
void Connection::deliver(ByteView bytes) {
    const auto alive = alive_;
    in_input_ = true;
    if (!filter_) {
        handlers_.on_input(bytes);
    } else {
        Bytes plain;
        Chunk answer;
        const auto received = filter_->receive(bytes, plain, answer.owned);
        queue(std::move(answer));
        if (filter_->is_open() && !filter_was_open_) {
            filter_was_open_ = true;
            if (handlers_.on_filter_open) handlers_.on_filter_open();
        }
        if (*alive && socket_ && !plain.empty()) handlers_.on_input(plain);
        if (*alive && socket_ && !received) {
            in_input_ = false;
            return end_with(received.error(), kAlertPatience);  // the alert that explains it
        }
        if (*alive && socket_ && filter_->closed_by_peer()) {
            in_input_ = false;
            write_some();
            if (*alive && socket_) end_of_input();
            return;
        }
    }
    if (!*alive || !socket_) return;
    in_input_ = false;
    if (!output_.empty() || ending_ || closing_) write_some();
}

void Connection::send(Bytes bytes) {
    if (!socket_ || closing_ || bytes.empty()) return;
    Chunk chunk;
    if (filter_) {
        if (const auto sent = filter_->send(bytes, chunk.owned); !sent) {
            loop_.post([this, alive = alive_, error = sent.error()] {
                if (*alive && socket_) fail_with(error);
            });
            return;
        }
    } else {
        chunk.owned = std::move(bytes);
    }
    queue(std::move(chunk));
    if (!in_input_) write_some();
}

void Connection::send(SharedBytes bytes) {
    if (!socket_ || closing_ || bytes->empty()) return;
    if (filter_) return send(Bytes(*bytes));
    Chunk chunk;
    chunk.shared = std::move(bytes);
    queue(std::move(chunk));
    if (!in_input_) write_some();
}

void Connection::send_copy(ByteView bytes) {
    send(Bytes(bytes.begin(), bytes.end()));
}

void Connection::send_with_descriptors(Bytes bytes, std::vector<Descriptor> descriptors) {
    if (!socket_ || closing_) return;
    ENSURE(!filter_);
    Chunk head;
    head.owned = std::move(bytes);
    queue(std::move(head));
    for (Descriptor& descriptor : descriptors) {
        Chunk carrier;
        carrier.owned.push_back(0);
        carrier.descriptor = std::move(descriptor);
        queue(std::move(carrier));
    }
    if (!in_input_) write_some();
}

std::optional<Descriptor> Connection::take_descriptor() {
    if (received_.empty()) return std::nullopt;
    Descriptor oldest = std::move(received_.front());
    received_.pop_front();
    return oldest;
}

void Connection::queue(Chunk chunk) {
    const std::size_t size = chunk.view().size();
    if (size == 0) return;
    waiting_ += size;
    if (waiting_ > kLowWater) above_low_water_ = true;
    output_.push_back(std::move(chunk));
}

void Connection::write_some() {
    if (!socket_ || !watch_) return;
    while (!output_.empty()) {
        const bool progress =
            output_.front().descriptor ? write_descriptor_chunk() : write_plain_chunks();
        if (!progress) {
            if (errno == EINTR) continue;
            if (errno != EAGAIN) {
                // The user may be in the middle of a call to send(): tell it through the loop.
                const Error reason = lost(peer_, errno);
                loop_.post([this, alive = alive_, reason] {
                    if (*alive && socket_) fail_with(reason);
                });
                output_.clear();
                waiting_ = first_offset_ = 0;
            }
            break;
        }
    }
    after_write();
}

bool Connection::write_plain_chunks() {
    std::array<iovec, kIovecs> vectors;
    std::size_t count = 0;
    for (const Chunk& chunk : output_) {
        if (count == vectors.size() || chunk.descriptor) break;
        const ByteView rest = chunk.view().subspan(count == 0 ? first_offset_ : 0);
        vectors[count++] = {const_cast<std::uint8_t*>(rest.data()), rest.size()};
    }
    msghdr message{};
    message.msg_iov = vectors.data();
    message.msg_iovlen = count;
    ssize_t size = ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL);
    if (size < 0 && errno == ENOTSOCK) {
        size = ::writev(socket_.get(), vectors.data(), static_cast<int>(count));
    }
    if (size < 0) return false;
    written(static_cast<std::size_t>(size));
    return true;
}

bool Connection::write_descriptor_chunk() {
    std::uint8_t byte = 0;
    iovec vector{&byte, 1};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    msghdr message{};
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    const int number = output_.front().descriptor.get();
    std::memcpy(CMSG_DATA(header), &number, sizeof number);
    if (::sendmsg(socket_.get(), &message, MSG_NOSIGNAL) < 0) return false;
    written(1);
    return true;
}

void Connection::written(std::size_t size) {
    waiting_ -= size;
    first_offset_ += size;
    while (!output_.empty() && first_offset_ >= output_.front().view().size()) {
        first_offset_ -= output_.front().view().size();
        output_.pop_front();
    }
}

void Connection::after_write() {
    if (waiting_ > output_limit_) {
        loop_.post([this, alive = alive_, waiting = waiting_] {
            if (!*alive || !socket_) return;
            fail_with({ErrorCode::limit_exceeded,
                       fmt::format("{} does not read: {} bytes wait, the limit is {}",
                                   name_of_peer(peer_), waiting, output_limit_)});
        });
    }
    if (output_.empty() && ending_) {
        ending_ = false;
        ::shutdown(socket_.get(), SHUT_WR);
    }
    if (output_.empty() && closing_ && !lingering_) linger();
    update_interest();
    if (above_low_water_ && waiting_ <= kLowWater) {
        above_low_water_ = false;
        // Through the loop: the user may be inside send().
        loop_.post([this, alive = alive_] {
            if (*alive && socket_ && handlers_.on_drained) handlers_.on_drained();
        });
    }
}

void Connection::set_reading(bool reading) {
    reading_ = reading;
    update_interest();
}

void Connection::update_interest() {
    if (!watch_) return;
    const bool read = lingering_ || (reading_ && !closing_ && !input_ended_);
    const bool write = !output_.empty();
    if (read == want_read_ && write == want_write_) return;
    want_read_ = read;
    want_write_ = write;
    watch_->set_interest(read, write);
}

void Connection::end_output() {
    if (!socket_ || closing_) return;
    if (filter_) {
        Chunk last;
        filter_->close(last.owned);
        queue(std::move(last));
    }
    ending_ = true;
    if (!in_input_) write_some();
}

void Connection::end_of_input() {
    if (handlers_.on_end_of_input && !closing_) {
        input_ended_ = true;
        update_interest();
        handlers_.on_end_of_input();
        return;
    }
    fail_with(lost(peer_, "was closed by the peer"));
}

void Connection::close() {
    watch_.reset();
    closing_timer_.reset();
    socket_.reset();
    output_.clear();
    received_.clear();
    waiting_ = 0;
    first_offset_ = 0;
}

void Connection::close_after_output(Duration patience) {
    if (!socket_ || closing_) return;
    if (filter_) {
        Chunk last;
        filter_->close(last.owned);
        queue(std::move(last));
    }
    end_with(lost(peer_, "closed after the last output"), patience);
}

void Connection::end_with(Error reason, Duration patience) {
    closing_ = true;
    end_reason_ = std::move(reason);
    closing_timer_ = loop_.make_timer([this] {
        fail_with(lingering_ ? end_reason_
                             : lost(peer_, "closed: the peer did not read the last output"));
    });
    closing_timer_->start(patience);
    if (!in_input_) write_some();
}

// A socket that is closed while the peer still speaks answers it with a reset, which can overtake
// and destroy the last output. So the peer is told the end, and heard until it says its own.
void Connection::linger() {
    lingering_ = ::shutdown(socket_.get(), SHUT_WR) == 0 && !input_ended_;
    if (lingering_) return closing_timer_->start(kLingerTime);
    // Through the loop: the user may be inside close_after_output().
    loop_.post([this, alive = alive_] {
        if (*alive && socket_) fail_with(end_reason_);
    });
}

void Connection::discard_some() {
    std::array<std::uint8_t, kReadSize> buffer;
    for (int round = 0; round < kReadsAtOnce; ++round) {
        const ssize_t size = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
        if (size < 0 && errno == EINTR) continue;
        if (size < 0 && errno == EAGAIN) return;
        discarded_ += size > 0 ? static_cast<std::size_t>(size) : 0;
        if (size <= 0 || discarded_ > kMaxLingerBytes) return fail_with(end_reason_);
    }
}

void Connection::fail_with(Error reason) {
    close();
    // The handler may destroy this object: nothing of it is touched after the call.
    const auto on_closed = std::move(handlers_.on_closed);
    handlers_.on_closed = nullptr;
    if (on_closed) on_closed(reason);
}

std::optional<PeerCredentials> Connection::credentials() const {
    return peer_credentials(socket_.get());
}

}  // namespace segue::net
