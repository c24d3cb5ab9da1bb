// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/tunnel.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "net/socket.h"

namespace segue {
namespace {

// The kernel may refuse so large a pipe: then it stays at its 64 KiB, and more turns are needed.
constexpr int kPipeBytes = 1 << 20;

struct Pipe {
    net::Descriptor read;
    net::Descriptor write;
};

Result<Pipe> make_pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("make", "a pipe for a tunnel", errno);
    Pipe pipe{net::Descriptor(ends[0]), net::Descriptor(ends[1])};
    static_cast<void>(::fcntl(pipe.write.get(), F_SETPIPE_SZ, kPipeBytes));
    return pipe;
}

bool is_for_later(int error) {
    return error == EAGAIN || error == EINTR;
}

}  // namespace

TunnelOut::TunnelOut(Loop& loop, std::shared_ptr<rpc::Stream> stream, Answer<> over)
    : loop_(loop), stream_(std::move(stream)), over_(std::move(over)) {
    const std::weak_ptr<bool> alive = alive_;
    rpc::Stream::Handlers handlers;
    handlers.on_end = [this, alive] {
        if (!alive.expired()) finish({});
    };
    handlers.on_abort = [this, alive](const Error& error) {
        if (!alive.expired()) finish(tl::unexpected(error));
    };
    handlers.on_writable = [this, alive] {
        if (!alive.expired() && watch_) watch_->set_interest(true, false);
    };
    stream_->set_handlers(std::move(handlers));
}

TunnelOut::~TunnelOut() {
    stream_->abort({ErrorCode::cancelled, "the migration is over"});
}

Result<net::Descriptor> TunnelOut::open() {
    if (stream_->is_over()) {
        return fail(ErrorCode::connection_lost, "the destination has closed the tunnel");
    }
    Pipe pipe = TRY(make_pipe());
    TRY(net::set_non_blocking(pipe.read.get()));
    pipe_ = std::move(pipe.read);
    buffer_.resize(rpc::Stream::kMaxData);
    watch_ = loop_.watch(pipe_.get(), [this](Loop::Ready) { carry(); });
    watch_->set_interest(true, false);
    return std::move(pipe.write);
}

void TunnelOut::carry() {
    const ssize_t size = ::read(pipe_.get(), buffer_.data(), buffer_.size());
    if (size < 0 && is_for_later(errno)) return;
    if (size > 0) {
        stream_->send({buffer_.data(), static_cast<std::size_t>(size)});
        // Until on_writable: QEMU waits at its end of the pipe.
        if (watch_ && !stream_->is_writable()) watch_->set_interest(false, false);
        return;
    }
    // QEMU has closed its end. Whether the guest is whole is QEMU's to say, on both hosts.
    watch_.reset();
    pipe_.reset();
    stream_->end();
}

// Posted: the stream is in the middle of a callback.
void TunnelOut::finish(Result<> outcome) {
    watch_.reset();
    pipe_.reset();
    loop_.post([this, alive = std::weak_ptr<bool>(alive_), outcome = std::move(outcome)] {
        if (alive.expired()) return;
        if (const Answer<> over = std::exchange(over_, {})) over(outcome);
    });
}

Result<net::Descriptor> TunnelIn::open() {
    Pipe pipe = TRY(make_pipe());
    TRY(net::set_non_blocking(pipe.write.get()));
    pipe_ = std::move(pipe.write);
    return std::move(pipe.read);
}

rpc::Stream::Handlers TunnelIn::handlers() {
    const auto self = shared_from_this();
    return {.on_data = [self](ByteView bytes) { self->take(bytes); },
            .on_end =
                [self] {
                    self->ended_ = true;
                    self->write_some();
                },
            .on_abort = [self](const Error&) { self->close(); },
            .on_writable = {}};
}

void TunnelIn::attach(const std::shared_ptr<rpc::Stream>& stream) {
    stream_ = stream;
    // Nobody writes any more once this object's owner and the stream have let go of it.
    watch_ = loop_.watch(pipe_.get(), [this](Loop::Ready) { write_some(); });
    update();
}

void TunnelIn::take(ByteView bytes) {
    if (!pipe_) return;
    waiting_.insert(waiting_.end(), bytes.begin(), bytes.end());
    write_some();
}

void TunnelIn::write_some() {
    const auto self = shared_from_this();
    while (pipe_ && written_ < waiting_.size()) {
        const ssize_t size =
            ::write(pipe_.get(), waiting_.data() + written_, waiting_.size() - written_);
        if (size < 0 && !is_for_later(errno)) {
            close();
            if (const auto stream = stream_.lock()) {
                stream->abort({ErrorCode::operation_failed, "QEMU no longer reads its migration"});
            }
            return;
        }
        if (size <= 0) break;
        written_ += static_cast<std::size_t>(size);
    }
    if (written_ == waiting_.size()) {
        waiting_.clear();
        written_ = 0;
        if (ended_) return close();
    }
    update();
}

void TunnelIn::update() {
    const std::size_t left = waiting_.size() - written_;
    if (watch_) watch_->set_interest(false, left != 0);
    if (const auto stream = stream_.lock()) stream->set_reading(left < kMaxWaiting);
}

void TunnelIn::close() {
    watch_.reset();
    pipe_.reset();
    waiting_.clear();
    written_ = 0;
    if (const auto stream = stream_.lock()) stream->set_reading(true);
}

}  // namespace segue
