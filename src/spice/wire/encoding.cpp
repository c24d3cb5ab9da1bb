// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/wire/encoding.h"

#include "base/check.h"

namespace segue::spice::wire {

Error ReadFailure::error(std::string_view message, std::size_t size) const {
    const auto text = [&]() -> std::string {
        switch (kind) {
            case Kind::truncated:
                return fmt::format("ends inside '{}' ({} bytes in all)", field, size);
            case Kind::above_limit:
                return fmt::format("'{}' is {}, at most {} is allowed", field, value, limit);
            case Kind::unknown_value:
                return fmt::format("'{}' has the unknown value {}", field, value);
            case Kind::bad_offset:
                return fmt::format("'{}' points to {}, outside its {} bytes", field, value, size);
            case Kind::bad_constant:
                return fmt::format("'{}' is {:#x}, must be {:#x}", field, value, limit);
            case Kind::text: return fmt::format("'{}' has a NUL inside", field);
            case Kind::none: break;
        }
        return "is fine";
    }();
    const ErrorCode code =
        kind == Kind::above_limit ? ErrorCode::limit_exceeded : ErrorCode::protocol;
    return {code, fmt::format("SPICE message {}: {}", message, text)};
}

ByteView BodyReader::view(const char* field, std::size_t size) {
    if (!ok()) return {};
    const ByteView bytes = reader_.bytes(size);
    if (!reader_.ok()) fail(ReadFailure::Kind::truncated, field);
    return bytes;
}

void BodyReader::bytes(const char* field, std::uint8_t* to, std::size_t size) {
    const ByteView from = view(field, size);
    if (!from.empty()) std::memcpy(to, from.data(), from.size());
}

void BodyReader::bytes(const char* field, Bytes& value, std::size_t size) {
    const ByteView from = view(field, size);
    value.assign(from.begin(), from.end());
}

void BodyReader::payload(const char* field, Payload& value, std::size_t size) {
    const ByteView from = view(field, size);
    value = {};
    if (!from.empty()) {
        const auto at = static_cast<std::size_t>(from.data() - state_->body.data());
        value.append(state_->body.slice(at, from.size()));
    }
}

void BodyReader::text(const char* field, std::string& value, std::size_t size, bool terminated) {
    std::string_view from = as_text(view(field, size));
    // Peers differ in whether the size counts a final NUL; one is not part of the text.
    if (terminated && !from.empty() && from.back() == '\0') from.remove_suffix(1);
    if (from.find('\0') != std::string_view::npos) return fail(ReadFailure::Kind::text, field);
    value = from;
}

std::optional<BodyReader> BodyReader::at_offset(const char* field, bool optional) {
    const auto to = number<std::uint32_t>(field);
    if (!ok() || (to == 0 && optional)) return std::nullopt;
    if (to == 0 || to > state_->body.size()) {
        fail(ReadFailure::Kind::bad_offset, field, to);
        return std::nullopt;
    }
    return BodyReader(*state_, to);
}

Bytes EncodedMessage::body() const {
    Bytes bytes;
    bytes.reserve(body_size);
    std::size_t from = kHeaderRoom;
    const auto copy_head = [&](std::size_t to) {
        bytes.insert(bytes.end(), head.begin() + static_cast<std::ptrdiff_t>(from),
                     head.begin() + static_cast<std::ptrdiff_t>(to));
        from = to;
    };
    for (const Insertion& insertion : insertions) {
        copy_head(insertion.at);
        for (const SharedBytes& piece : insertion.payload.pieces()) {
            bytes.insert(bytes.end(), piece.view().begin(), piece.view().end());
        }
    }
    copy_head(head.size());
    return bytes;
}

void BodyWriter::payload(const Payload& payload) {
    if (payload.empty()) return;
    message_.insertions.push_back({writer_.size(), payload});
    payload_size_ += payload.size();
}

void BodyWriter::text(const std::string& value, bool terminated) {
    writer_.bytes(as_bytes(value));
    if (terminated) writer_.u8(0);
}

void BodyWriter::offset(const void* object, Put put) {
    deferred_.push_back({writer_.size(), object, put});
    writer_.u32(0);
}

EncodedMessage BodyWriter::finish(std::uint16_t number) {
    // What is put may defer more: the list grows while it is walked.
    for (std::size_t index = 0; index < deferred_.size(); ++index) {
        const Deferred deferred = deferred_[index];
        const std::size_t to = writer_.size() - EncodedMessage::kHeaderRoom + payload_size_;
        check("offset", to, UINT32_MAX);
        writer_.patch(deferred.at, static_cast<std::uint32_t>(to));
        deferred.put(*this, deferred.object);
    }
    message_.number = number;
    message_.body_size = writer_.size() - EncodedMessage::kHeaderRoom + payload_size_;
    message_.head = writer_.take();
    return std::move(message_);
}

tl::unexpected<Error> unknown_message(std::string_view protocol, std::string_view sender,
                                      std::uint16_t number) {
    return fail(ErrorCode::no_support, "SPICE channel {}: the {} has no message {}", protocol,
                sender, number);
}

}  // namespace segue::spice::wire
