// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/transport.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <exception>
#include <new>
#include <utility>

#include "base/log.h"
#include "net/filter_chain.h"

namespace segue::spice::server {
namespace {

constexpr std::size_t kReadSize = 64u << 10;
// Reads of one readiness before other sockets get their turn.
constexpr int kReadsInARow = 4;
constexpr std::size_t kPartsInACall = 128;
// Pieces of at most this size are copied together, to so much at most: less work than to keep
// account of each.
constexpr std::size_t kSmallPiece = 1024;
constexpr std::size_t kMostJoint = 8192;

constexpr const char* kNoMemory = "no memory for what the peer does not read";

bool is_borrowed(const wire::SharedBytes& bytes) {
    return !bytes.has_owner() && !bytes.empty();
}

}  // namespace

Transport::Transport(net::Descriptor socket) : socket_(std::move(socket)) {
    const int flags = ::fcntl(socket_.get(), F_GETFL);
    if (flags >= 0) ::fcntl(socket_.get(), F_SETFL, flags | O_NONBLOCK);
}

Transport::~Transport() {
    detach();
}

void Transport::attach(Loop& loop, Handlers handlers) {
    loop_ = &loop;
    handlers_ = std::move(handlers);
    attached_ = std::make_shared<bool>(true);
    gatherings_ = 0;
    if (lost_) {
        // It was lost while nobody could be told.
        tell_lost("the connection was lost on its way to the channel");
        return;
    }
    watch_ = loop.watch(socket_.get(), [this](Loop::Ready ready) { on_ready(ready); });
    writable_interest_ = waiting_ > 0;
    update_interest();
    if (!input_.empty()) {
        loop.post([this, attached = attached_] {
            if (*attached) deliver();
        });
    }
}

void Transport::detach() {
    if (attached_) *attached_ = false;
    attached_.reset();
    watch_.reset();
    handlers_ = {};
    loop_ = nullptr;
}

Result<> Transport::add_filter(std::unique_ptr<net::ByteFilter> filter) {
    const Bytes read = std::exchange(input_, {});
    Bytes to_peer;
    TRY(filter->receive(read, input_, to_peer));
    if (!to_peer.empty()) send(std::move(to_peer));
    filter_ = filter_ ? std::make_unique<net::FilterChain>(std::move(filter_), std::move(filter))
                      : std::move(filter);
    return {};
}

// Whatever becomes of the pieces: none that is borrowed stays.
struct Transport::Keeping {
    Transport* transport;
    ~Keeping() {
        if (transport != nullptr) transport->keep_borrowed();
    }
};

void Transport::keep_borrowed() noexcept {
    try {
        for (std::size_t at = 0; at < output_.size(); ++at) {
            wire::SharedBytes& bytes = output_[at];
            if (!is_borrowed(bytes)) continue;
            const std::size_t left = at == 0 ? std::exchange(first_offset_, 0) : 0;
            bytes = bytes.slice(left, bytes.size() - left);
            bytes = bytes.kept();
        }
    } catch (const std::bad_alloc&) {
        drop(ErrorCode::limit_exceeded);
        if (loop_ == nullptr) return;  // the next owner is told
        try {
            tell_lost(kNoMemory);
        } catch (const std::exception&) {  // whoever sends next tells it
        }
    }
}

void Transport::send(std::vector<wire::SharedBytes> pieces) {
    if (lost_) {
        if (!told_ && loop_ != nullptr) tell_lost(kNoMemory);
        return;
    }
    const bool borrows = !filter_ && std::any_of(pieces.begin(), pieces.end(), is_borrowed);
    const Keeping keeping{borrows ? this : nullptr};
    for (wire::SharedBytes& piece : pieces) {
        if (!filter_) {
            enqueue(std::move(piece));
            continue;
        }
        Bytes sealed;
        // A filter may read its bytes more than once.
        if (Result<> done = filter_->send(piece.kept().view(), sealed); !done) {
            lose(done.error());
            return;
        }
        enqueue(wire::SharedBytes::take(std::move(sealed)));
    }
    if (lost_) return;
    const bool may_wait = gatherings_ > 0 && waiting_ < kMostGathered && !borrows;
    if (loop_ != nullptr && !writable_interest_ && !may_wait) write_some();
}

Transport::Gathering::Gathering(Transport& transport)
    : attached_(transport.attached_), transport_(&transport) {
    if (attached_) ++transport_->gatherings_;
}

// Where it was detached meanwhile, the next owner writes what waits.
Transport::Gathering::~Gathering() {
    if (!attached_ || !*attached_ || --transport_->gatherings_ > 0) return;
    if (transport_->writable_interest_ || transport_->waiting_ == 0) return;
    try {
        transport_->write_some();
    } catch (const std::exception& failure) {
        // The rest goes with what is sent next.
        log_error("spice", "a client's output waits: {}", failure.what());
    }
}

void Transport::enqueue(wire::SharedBytes bytes) {
    if (bytes.empty() || lost_) return;
    waiting_ += bytes.size();
    if (bytes.size() <= kSmallPiece) {
        join(bytes.view());
    } else {
        joins_ = false;
        output_.push_back(std::move(bytes));
    }
    if (waiting_ + output_.size() * kPieceCost > most_waiting_)
        lose({ErrorCode::limit_exceeded, "the peer does not read what it asks for"});
}

// What is joined never moves in memory: the views of it stay good.
void Transport::join(ByteView piece) {
    if (joins_ && !output_.empty() && joint_->size() + piece.size() <= kMostJoint) {
        output_.pop_back();
    } else if (joint_ && joint_.use_count() == 1) {
        joint_->clear();
    } else {
        joint_ = std::make_shared<Bytes>();
        joint_->reserve(kMostJoint);
    }
    joint_->insert(joint_->end(), piece.begin(), piece.end());
    output_.push_back(wire::SharedBytes::owned(joint_, *joint_));
    joins_ = true;
}

void Transport::set_reading(bool reading) {
    if (reading_ == reading) return;
    reading_ = reading;
    update_interest();
}

void Transport::on_ready(Loop::Ready ready) {
    const std::shared_ptr<bool> attached = attached_;
    if (ready.writable) {
        const bool had_output = waiting_ > 0;
        if (!write_some() || !*attached) return;
        if (had_output && waiting_ == 0 && handlers_.on_drained) {
            const auto on_drained = handlers_.on_drained;
            on_drained();
            if (!*attached) return;
        }
    }
    if (!ready.readable) return;
    for (int turn = 0; turn < kReadsInARow && reading_; ++turn) {
        if (!read_some() || !*attached) return;
    }
}

// False when there is nothing more to read now.
bool Transport::read_some() {
    std::array<std::uint8_t, kReadSize> buffer;
    const ssize_t got = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got < 0) {
        if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return false;
        lose({ErrorCode::connection_lost, std::strerror(errno)});
        return false;
    }
    if (got == 0) {
        lose({ErrorCode::connection_lost, "the peer closed the connection"});
        return false;
    }
    const ByteView bytes(buffer.data(), static_cast<std::size_t>(got));
    bytes_received_ += bytes.size();
    if (!filter_) {
        input_.insert(input_.end(), bytes.begin(), bytes.end());
    } else {
        Bytes to_peer;
        const Result<> done = filter_->receive(bytes, input_, to_peer);
        if (!to_peer.empty()) {
            enqueue(wire::SharedBytes::take(std::move(to_peer)));
            if (lost_) return false;
            write_some();
        }
        if (!done) {
            lose(done.error());
            return false;
        }
    }
    deliver();
    return bytes.size() == kReadSize;
}

void Transport::deliver() {
    if (input_.empty() || !handlers_.on_input) return;
    // The handler may detach or destroy us: it works on bytes that are its own for the while.
    const std::shared_ptr<bool> attached = attached_;
    const auto on_input = handlers_.on_input;
    Bytes taken = std::move(input_);
    input_.clear();
    bool* still_attached = attached.get();
    const std::size_t used = on_input(taken);
    if (!*still_attached) return;
    if (used < taken.size()) {
        taken.erase(taken.begin(), taken.begin() + static_cast<std::ptrdiff_t>(used));
        input_ = std::move(taken);
    }
}

// False when the transport was lost.
bool Transport::write_some() {
    while (!output_.empty()) {
        std::array<iovec, kPartsInACall> parts;
        std::size_t count = 0;
        for (const wire::SharedBytes& bytes : output_) {
            if (count == parts.size()) break;
            const std::size_t skip = count == 0 ? first_offset_ : 0;
            parts[count++] = {const_cast<std::uint8_t*>(bytes.data()) + skip, bytes.size() - skip};
        }
        msghdr message{};
        message.msg_iov = parts.data();
        message.msg_iovlen = count;
        const ssize_t sent = ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0) {
            if (errno == EINTR) continue;
            if (errno == EAGAIN || errno == EWOULDBLOCK) break;
            lose({ErrorCode::connection_lost, std::strerror(errno)});
            return false;
        }
        bytes_sent_ += static_cast<std::uint64_t>(sent);
        waiting_ -= static_cast<std::size_t>(sent);
        std::size_t left = static_cast<std::size_t>(sent);
        while (left > 0) {
            const std::size_t rest = output_.front().size() - first_offset_;
            if (left < rest) {
                first_offset_ += left;
                break;
            }
            left -= rest;
            first_offset_ = 0;
            output_.pop_front();
        }
    }
    if (writable_interest_ != !output_.empty()) {
        writable_interest_ = !output_.empty();
        update_interest();
    }
    return true;
}

// Told from the loop, never from inside a caller's send().
void Transport::lose(const Error& why) {
    if (lost_) return;
    drop(why.code);
    if (loop_ != nullptr) tell_lost(why.message);
}

void Transport::drop(ErrorCode why) noexcept {
    lost_ = true;
    loss_ = why;
    output_.clear();
    waiting_ = 0;
    watch_.reset();
}

void Transport::tell_lost(std::string reason) {
    loop_->post([this, attached = attached_, reason = std::move(reason)] {
        if (!*attached || !handlers_.on_lost) return;
        const auto on_lost = handlers_.on_lost;
        on_lost(reason);
    });
    told_ = true;
}

void Transport::update_interest() {
    if (watch_) watch_->set_interest(reading_, writable_interest_);
}

}  // namespace segue::spice::server
