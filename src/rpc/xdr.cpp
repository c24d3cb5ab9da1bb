// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rpc/xdr.h"

#include <algorithm>
#include <bit>

namespace segue::rpc {
namespace {

constexpr std::size_t padding_of(std::size_t size) {
    return (4 - size % 4) % 4;
}

}  // namespace

Result<> XdrReader::finish(std::string_view message) const {
    if (!ok()) return fail(error_.code, "{}: {}", message, error_.message);
    if (remaining() != 0) {
        return fail(ErrorCode::protocol, "{}: {} bytes follow its end", message, remaining());
    }
    return {};
}

void XdrReader::truncated() {
    set_error("it ends after {} bytes, in the middle of a value", bytes_.size());
    position_ = bytes_.size();
}

double XdrReader::f64() {
    return std::bit_cast<double>(u64());
}

ByteView XdrReader::padded(std::string_view field, std::uint64_t limit) {
    const std::uint32_t size = u32();
    if (size > limit) {
        set_error("'{}' has {} bytes, the limit is {}", field, size, limit);
        return {};
    }
    const std::size_t whole = size + padding_of(size);
    if (!ok() || whole > remaining()) {
        truncated();
        return {};
    }
    position_ += whole;
    return bytes_.subspan(position_ - whole, size);
}

std::string XdrReader::text(std::string_view field, std::uint64_t limit) {
    const ByteView bytes = padded(field, limit);
    if (std::find(bytes.begin(), bytes.end(), 0) != bytes.end()) {
        set_error("'{}' has a NUL inside", field);
        return {};
    }
    return std::string(as_text(bytes));
}

Bytes XdrReader::opaque(std::string_view field, std::uint64_t limit) {
    const ByteView bytes = padded(field, limit);
    return Bytes(bytes.begin(), bytes.end());
}

void XdrReader::fixed(std::span<std::uint8_t> to) {
    const std::size_t whole = to.size() + padding_of(to.size());
    if (!ok() || whole > remaining()) return truncated();
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(position_), to.size(), to.begin());
    position_ += whole;
}

std::size_t XdrReader::count(std::string_view field, std::uint64_t limit, std::size_t smallest) {
    const std::uint32_t size = u32();
    if (size > limit) {
        set_error("'{}' has {} elements, the limit is {}", field, size, limit);
        return 0;
    }
    // Before anybody makes room for them: are there bytes for so many?
    if (!ok() || size > remaining() / smallest) {
        truncated();
        return 0;
    }
    return size;
}

void XdrReader::require(std::string_view field, bool holds) {
    if (!holds) set_error("'{}' has a value that does not exist", field);
}

Result<> XdrWriter::finish(std::string_view message) const {
    if (!ok()) return fail(error_.code, "{}: {}", message, error_.message);
    return {};
}

void XdrWriter::f64(double value) {
    u64(std::bit_cast<std::uint64_t>(value));
}

void XdrWriter::text(std::string_view field, std::string_view value, std::uint64_t limit) {
    opaque(field, as_bytes(value), limit);
}

void XdrWriter::opaque(std::string_view field, ByteView value, std::uint64_t limit) {
    if (value.size() > limit) {
        return set_error("'{}' has {} bytes, the limit is {}", field, value.size(), limit);
    }
    u32(static_cast<std::uint32_t>(value.size()));
    fixed(value);
}

void XdrWriter::fixed(ByteView value) {
    bytes_.insert(bytes_.end(), value.begin(), value.end());
    bytes_.resize(bytes_.size() + padding_of(value.size()));
}

void XdrWriter::count(std::string_view field, std::size_t size, std::uint64_t limit) {
    if (size > limit) {
        return set_error("'{}' has {} elements, the limit is {}", field, size, limit);
    }
    u32(static_cast<std::uint32_t>(size));
}

void XdrWriter::require(std::string_view field, bool holds) {
    if (!holds) set_error("'{}' has no value", field);
}

}  // namespace segue::rpc
