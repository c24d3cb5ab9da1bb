// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/wire/framing.h"

#include <algorithm>
#include <new>

#include "base/check.h"
#include "base/log.h"

namespace segue::spice::wire {

bool ArrivingBytes::grow(std::size_t size) {
    if (!room_.resize(size)) return false;
    auto* grown = static_cast<std::uint8_t*>(std::realloc(memory_.get(), size));
    if (grown == nullptr) throw std::bad_alloc();
    static_cast<void>(memory_.release());
    memory_.reset(grown);
    size_ = size;
    return true;
}

SharedBytes ArrivingBytes::take(std::size_t size) {
    if (size == 0) {
        clear();
        return {};
    }
    size_ = 0;
    const ByteView view(memory_.get(), size);
    struct Held {
        Reservation room;
        std::unique_ptr<std::uint8_t, Free> memory;
    };
    auto held = std::make_shared<Held>();
    held->memory = std::move(memory_);
    held->room = std::exchange(room_, Reservation(budget_));
    return SharedBytes::owned(std::move(held), view);
}

std::span<std::uint8_t> MessageReader::space() {
    if (has_header_ && parsed_ == filled_) {
        // The rest of a body goes straight to its place.
        if (body_filled_ == body_.size()) {
            is_over_budget_ |=
                !body_.grow(std::min(body_size_, std::max(kChunk, 2 * body_.size())));
        }
        if (body_filled_ < body_.size())
            return {body_.data() + body_filled_, body_.size() - body_filled_};
    }
    if (parsed_ == filled_) parsed_ = filled_ = 0;
    if (filled_ == input_.size()) {
        std::copy(input_.begin() + static_cast<std::ptrdiff_t>(parsed_), input_.end(),
                  input_.begin());
        filled_ -= parsed_;
        parsed_ = 0;
        // Only while the owner feeds without asking for messages.
        if (filled_ == input_.size()) input_.resize(input_.size() * 2);
    }
    return std::span(input_).subspan(filled_);
}

void MessageReader::commit(std::size_t size) {
    if (has_header_ && parsed_ == filled_ && body_filled_ < body_.size()) {
        body_filled_ += size;
    } else {
        filled_ += size;
    }
}

void MessageReader::feed(ByteView bytes) {
    while (!bytes.empty()) {
        const std::span<std::uint8_t> to = space();
        const std::size_t size = std::min(to.size(), bytes.size());
        std::memcpy(to.data(), bytes.data(), size);
        commit(size);
        bytes = bytes.subspan(size);
    }
}

Result<bool> MessageReader::take_header() {
    const std::size_t size = header_size(kind_);
    if (filled_ - parsed_ < size) return false;
    LittleReader header(ByteView(input_).subspan(parsed_, size));
    parsed_ += size;
    current_ = {};
    current_.serial = serial_ + 1;
    if (kind_ == HeaderKind::full) current_.serial = header.u64();
    current_.number = header.u16();
    body_size_ = header.u32();
    current_list_ = kind_ == HeaderKind::full ? header.u32() : 0;
    if (body_size_ > max_body_) {
        return fail(ErrorCode::limit_exceeded,
                    "SPICE message {} has {} bytes, at most {} are allowed", current_.number,
                    body_size_, max_body_);
    }
    has_header_ = true;
    body_.clear();
    body_filled_ = 0;
    return true;
}

void MessageReader::start_body() {
    const std::size_t size = std::min(body_size_ - body_filled_, filled_ - parsed_);
    if (size == 0) return;
    if (body_filled_ + size > body_.size() &&
        !body_.grow(std::min(body_size_, std::max(body_filled_ + size, 2 * body_.size())))) {
        is_over_budget_ = true;
        return;
    }
    std::memcpy(body_.data() + body_filled_, input_.data() + parsed_, size);
    parsed_ += size;
    body_filled_ += size;
}

Result<std::optional<IncomingMessage>> MessageReader::next() {
    if (ready_.empty()) {
        if (!has_header_ && !TRY(take_header())) return std::nullopt;
        if (!is_over_budget_) start_body();
        if (is_over_budget_) {
            return fail(ErrorCode::limit_exceeded,
                        "SPICE message {} of {} bytes: what its sender makes us keep has reached "
                        "the bound of {} bytes",
                        current_.number, body_size_, body_.most());
        }
        if (body_filled_ < body_size_) return std::nullopt;
        has_header_ = false;
        current_.body = body_.take(body_size_);
        if (current_list_ != 0) {
            const Result<> expanded = expand(current_, current_list_);
            if (!expanded) return tl::unexpected(expanded.error());
        }
        ready_.push_back(std::move(current_));
    }
    IncomingMessage message = std::move(ready_.front());
    ready_.pop_front();
    serial_ = message.serial;
    return message;
}

// Messages inside a message, which come before it: u16 count and u32 offsets, each of them to
// {u16 type, u32 size, data}.
Result<> MessageReader::expand(const IncomingMessage& whole, std::uint32_t list_at) {
    const auto broken = [&] {
        return fail(ErrorCode::protocol, "SPICE message {}: its list of sub-messages is broken",
                    whole.number);
    };
    const ByteView body = whole.body.view();
    if (list_at > body.size()) return broken();
    LittleReader list(body.subspan(list_at));
    const std::size_t count = list.u16();
    // None may be counted twice: what is handled is bounded by what was sent.
    std::size_t left = body.size();
    if (!list.ok()) return broken();
    for (std::size_t i = 0; i < count; ++i) {
        const std::uint32_t at = list.u32();
        if (!list.ok() || at > body.size()) return broken();
        LittleReader item(body.subspan(at));
        IncomingMessage message;
        message.number = item.u16();
        message.serial = whole.serial;
        const std::size_t size = item.u32();
        constexpr std::size_t kItself = 6;
        if (!item.ok() || size > item.remaining() || kItself + size > left) return broken();
        left -= kItself + size;
        message.body = whole.body.slice(at + kItself, size);
        ready_.push_back(std::move(message));
    }
    return {};
}

bool MessageWriter::frame(EncodedMessage message, std::vector<SharedBytes>& out) {
    if (message.broken_field != nullptr) {
        log_error("spice", "message {} is not sent: '{}' breaks its limit", message.number,
                  message.broken_field);
        return CONTAIN(message.broken_field == nullptr);
    }
    ++serial_;
    const std::size_t header = header_size(kind_);
    std::size_t from = EncodedMessage::kHeaderRoom - header;
    std::uint8_t* at = message.head.data() + from;
    const auto put = [&at](auto number) {
        store<ByteOrder::little>(at, number);
        at += sizeof number;
    };
    if (kind_ == HeaderKind::full) put(serial_);
    put(message.number);
    put(static_cast<std::uint32_t>(message.body_size));
    if (kind_ == HeaderKind::full) put(std::uint32_t{0});

    const SharedBytes head = SharedBytes::take(std::move(message.head));
    for (const EncodedMessage::Insertion& insertion : message.insertions) {
        if (insertion.at > from) out.push_back(head.slice(from, insertion.at - from));
        from = insertion.at;
        out.insert(out.end(), insertion.payload.pieces().begin(), insertion.payload.pieces().end());
    }
    if (from < head.size()) out.push_back(head.slice(from, head.size() - from));
    return true;
}

}  // namespace segue::spice::wire
