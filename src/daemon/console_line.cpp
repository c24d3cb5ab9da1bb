// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/console_line.h"

#include <unistd.h>

#include <cerrno>

namespace segue {

std::shared_ptr<ConsoleLine> ConsoleLine::make(Loop& loop, net::Descriptor terminal) {
    return std::make_shared<ConsoleLine>(loop, std::move(terminal));
}

ConsoleLine::ConsoleLine(Loop& loop, net::Descriptor terminal)
    : loop_(loop), terminal_(std::move(terminal)) {}

rpc::Stream::Handlers ConsoleLine::handlers() {
    const auto self = shared_from_this();
    return {.on_data = [self](ByteView bytes) { self->type(bytes); },
            .on_end = [self] { self->close(); },
            .on_abort = [self](const Error&) { self->close(); },
            .on_writable = [self] { self->update(); }};
}

void ConsoleLine::attach(const std::shared_ptr<rpc::Stream>& stream) {
    stream_ = stream;
    watch_ = loop_.watch(terminal_.get(), [this](Loop::Ready ready) { on_ready(ready); });
    update();
}

void ConsoleLine::end() {
    const auto self = shared_from_this();
    if (const auto stream = stream_.lock()) stream->end();
    close();
}

void ConsoleLine::on_ready(Loop::Ready ready) {
    const auto self = shared_from_this();
    if (ready.writable) write_some();
    if (!ready.readable) return update();
    std::uint8_t buffer[4096];
    const ssize_t size = ::read(terminal_.get(), buffer, sizeof buffer);
    const auto stream = stream_.lock();
    if (size > 0 && stream) {
        stream->send({buffer, static_cast<std::size_t>(size)});
    } else if (size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR)) {
        // EIO: the other side of the terminal, QEMU, is gone.
        if (stream) stream->end();
        return close();
    }
    update();
}

void ConsoleLine::type(ByteView bytes) {
    if (!terminal_) return;  // QEMU is gone; nobody will ever read it
    typed_.insert(typed_.end(), bytes.begin(), bytes.end());
    write_some();
    update();
}

void ConsoleLine::write_some() {
    if (typed_.empty() || !terminal_) return;
    const ssize_t size = ::write(terminal_.get(), typed_.data(), typed_.size());
    if (size > 0) typed_.erase(typed_.begin(), typed_.begin() + size);
}

void ConsoleLine::update() {
    const auto stream = stream_.lock();
    if (!watch_ || !stream) return;
    watch_->set_interest(stream->is_writable(), !typed_.empty());
    stream->set_reading(typed_.size() < kMaxTyped);
}

void ConsoleLine::close() {
    watch_.reset();
    terminal_.reset();
    typed_.clear();
}

}  // namespace segue
