// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rpc/stream.h"

#include <algorithm>

#include "rpc/packet.h"
#include "rpc/remote_error.h"

namespace segue::rpc {
namespace {

// More than this waiting: the producer should pause.
constexpr std::size_t kWritableBelow = 1u << 20;

}  // namespace

Stream::Stream(StreamCarrier& carrier, Side side, Header header, Handlers handlers)
    : carrier_(&carrier), side_(side), header_(header), handlers_(std::move(handlers)) {
    header_.type = MessageType::stream;
    // A client opens a stream with the call itself.
    opened_ = side == Side::client;
}

void Stream::send(ByteView data) {
    if (is_over() || end_sent_) return;
    if (!opened_) {
        early_.insert(early_.end(), data.begin(), data.end());
        return;
    }
    while (!data.empty() && !is_over()) {
        const std::size_t size = std::min(data.size(), kMaxData);
        send_packet(MessageStatus::more, data.first(size));
        data = data.subspan(size);
    }
}

bool Stream::is_writable() const {
    return !is_over() && carrier_->output_waiting() + early_.size() < kWritableBelow;
}

void Stream::end() {
    if (is_over() || end_sent_) return;
    end_sent_ = true;
    if (!opened_) return;
    // A server says "no more data" and waits for the client to finish; a client finishes.
    send_packet(side_ == Side::server ? MessageStatus::more : MessageStatus::ok, {});
}

void Stream::abort(const Error& reason) {
    if (is_over()) return;
    const auto self = shared_from_this();
    Header header = header_;
    header.status = MessageStatus::error;
    if (side_ == Side::server) {
        if (auto packet = make_packet(header, to_remote(reason), "stream error")) {
            carrier_->send_packet(std::move(*packet));
        }
    } else {
        carrier_->send_packet(make_raw_packet(header, {}));
    }
    finish();
}

void Stream::set_reading(bool reading) {
    if (is_over() || reading == reading_) return;
    reading_ = reading;
    carrier_->hold_reading(!reading);
}

void Stream::opened() {
    opened_ = true;
    const Bytes early = std::exchange(early_, {});
    const bool ended = std::exchange(end_sent_, false);
    send(early);
    if (ended) end();
}

void Stream::receive(MessageStatus status, ByteView payload) {
    const auto self = shared_from_this();
    switch (status) {
        case MessageStatus::ok: return receive_end();
        case MessageStatus::error: return receive_error(payload);
        case MessageStatus::more: break;
    }
    if (!payload.empty()) {
        if (handlers_.on_data) handlers_.on_data(payload);
        return;
    }
    if (side_ == Side::server || end_told_) return;
    // The server's last data came before this: finish, and let it confirm.
    end_told_ = true;
    end();
    if (handlers_.on_end) handlers_.on_end();
}

void Stream::receive_end() {
    if (side_ == Side::server) {
        if (handlers_.on_end) handlers_.on_end();
        if (is_over()) return;
        send_packet(MessageStatus::ok, {});
        return finish();
    }
    finish();
    if (!std::exchange(end_told_, true) && handlers_.on_end) handlers_.on_end();
}

void Stream::receive_error(ByteView payload) {
    Error reason{ErrorCode::cancelled, "the client aborted the stream"};
    if (side_ == Side::server) {
        send_packet(MessageStatus::ok, {});
    } else if (const auto error = read_body<RemoteError>(payload, "stream error")) {
        reason = from_remote(*error);
    } else {
        reason = error.error();
    }
    finish();
    if (handlers_.on_abort) handlers_.on_abort(reason);
}

void Stream::drained() {
    const auto self = shared_from_this();
    if (!is_over() && handlers_.on_writable) handlers_.on_writable();
}

void Stream::lost(const Error& reason) {
    const auto self = shared_from_this();
    set_reading(true);
    carrier_ = nullptr;
    if (handlers_.on_abort) handlers_.on_abort(reason);
}

void Stream::send_packet(MessageStatus status, ByteView payload) {
    Header header = header_;
    header.status = status;
    carrier_->send_packet(make_raw_packet(header, payload));
}

void Stream::finish() {
    set_reading(true);
    StreamCarrier* const carrier = std::exchange(carrier_, nullptr);
    carrier->remove_stream(header_.serial);
}

}  // namespace segue::rpc
