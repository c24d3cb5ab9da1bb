// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rpc/stream_pipe.h"

namespace segue::rpc {
namespace {

// More than this waiting to be written: the stream is not read until it is nearly gone. Above
// net::Connection::kLowWater, so that its on_drained comes.
constexpr std::size_t kHoldStreamAbove = 1u << 20;

}  // namespace

std::shared_ptr<StreamPipe> StreamPipe::make(Loop& loop, net::Descriptor descriptor,
                                             OnDone on_done) {
    return std::shared_ptr<StreamPipe>(
        new StreamPipe(loop, std::move(descriptor), std::move(on_done)));
}

StreamPipe::StreamPipe(Loop& loop, net::Descriptor descriptor, OnDone on_done)
    : loop_(loop), on_done_(std::move(on_done)) {
    net::Connection::Handlers handlers;
    handlers.on_input = [this](ByteView bytes) { from_socket(bytes); };
    handlers.on_end_of_input = [this] {
        if (stream_) stream_->end();
    };
    handlers.on_drained = [this] {
        if (stream_) stream_->set_reading(true);
    };
    handlers.on_closed = [this](const Error& reason) {
        // After the stream's proper end this is the last byte leaving.
        if (stream_ended_) return finish({});
        if (stream_) stream_->abort(reason);
        finish(tl::make_unexpected(reason));
    };
    connection_ =
        std::make_unique<net::Connection>(loop_, std::move(descriptor), std::move(handlers));
}

Stream::Handlers StreamPipe::handlers() {
    Stream::Handlers made;
    made.on_data = [self = shared_from_this()](ByteView bytes) { self->from_stream(bytes); };
    made.on_end = [self = shared_from_this()] {
        self->stream_ended_ = true;
        self->connection_->close_after_output();
    };
    made.on_abort = [self = shared_from_this()](const Error& reason) {
        self->finish(tl::make_unexpected(reason));
    };
    made.on_writable = [self = shared_from_this()] { self->connection_->set_reading(true); };
    return made;
}

void StreamPipe::attach(std::shared_ptr<Stream> stream) {
    if (!stream) return finish(fail(ErrorCode::connection_lost, "the stream cannot be opened"));
    stream_ = std::move(stream);
    connection_->start();
}

void StreamPipe::from_stream(ByteView bytes) {
    bytes_from_stream_ += bytes.size();
    connection_->send_copy(bytes);
    if (connection_->output_waiting() > kHoldStreamAbove && stream_) stream_->set_reading(false);
}

void StreamPipe::from_socket(ByteView bytes) {
    bytes_to_stream_ += bytes.size();
    if (!stream_) return;
    stream_->send(bytes);
    if (!stream_->is_writable()) connection_->set_reading(false);
}

void StreamPipe::cancel(const Error& reason) {
    on_done_ = nullptr;
    if (stream_) stream_->abort(reason);
    finish({});
}

void StreamPipe::finish(Result<> outcome) {
    const auto self = shared_from_this();
    connection_->close();
    // The stream's handlers keep this object, and may be running: they go afterwards.
    const auto stream = std::exchange(stream_, nullptr);
    if (stream) loop_.post([stream] { stream->set_handlers({}); });
    const OnDone on_done = std::exchange(on_done_, nullptr);
    if (on_done) on_done(std::move(outcome));
}

}  // namespace segue::rpc
