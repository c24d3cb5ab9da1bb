// SPDX-License-Identifier: LGPL-2.1-or-later
// Readers and writers of bytes in a stated byte order. The reader keeps a sticky failure: after the
// first read beyond the end it returns zeros, and `ok()` is false. A parser reads straight-line and
// asks once, and no length from outside is believed before `remaining()` was asked.
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace segue {

using Bytes = std::vector<std::uint8_t>;
using ByteView = std::span<const std::uint8_t>;

inline ByteView as_bytes(std::string_view text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
inline std::string_view as_text(ByteView bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

enum class ByteOrder { little, big };

// Loads or stores an integer at an unaligned address in the given byte order.
template <ByteOrder kOrder, std::integral T>
T load(const std::uint8_t* from) {
    std::make_unsigned_t<T> value;
    std::memcpy(&value, from, sizeof value);
    if constexpr (sizeof(T) > 1 && kOrder == ByteOrder::big) {
        if constexpr (sizeof(T) == 2) value = __builtin_bswap16(value);
        if constexpr (sizeof(T) == 4) value = __builtin_bswap32(value);
        if constexpr (sizeof(T) == 8) value = __builtin_bswap64(value);
    }
    return static_cast<T>(value);
}

template <ByteOrder kOrder, std::integral T>
void store(std::uint8_t* to, T number) {
    auto value = static_cast<std::make_unsigned_t<T>>(number);
    if constexpr (sizeof(T) > 1 && kOrder == ByteOrder::big) {
        if constexpr (sizeof(T) == 2) value = __builtin_bswap16(value);
        if constexpr (sizeof(T) == 4) value = __builtin_bswap32(value);
        if constexpr (sizeof(T) == 8) value = __builtin_bswap64(value);
    }
    std::memcpy(to, &value, sizeof value);
}

static_assert(std::endian::native == std::endian::little, "loads assume a little-endian host");

template <ByteOrder kOrder>
class ByteReader {
  public:
    explicit ByteReader(ByteView bytes) : bytes_(bytes) {}

    bool ok() const { return ok_; }
    std::size_t position() const { return position_; }
    std::size_t remaining() const { return ok_ ? bytes_.size() - position_ : 0; }

    template <std::integral T>
    T read() {
        if (!take(sizeof(T))) return T{};
        return load<kOrder, T>(bytes_.data() + position_ - sizeof(T));
    }
    std::uint8_t u8() { return read<std::uint8_t>(); }
    std::uint16_t u16() { return read<std::uint16_t>(); }
    std::uint32_t u32() { return read<std::uint32_t>(); }
    std::uint64_t u64() { return read<std::uint64_t>(); }
    std::int32_t i32() { return read<std::int32_t>(); }
    std::int64_t i64() { return read<std::int64_t>(); }

    // A view into the input: it lives as long as the input does.
    ByteView bytes(std::size_t size) {
        if (!take(size)) return {};
        return bytes_.subspan(position_ - size, size);
    }
    void skip(std::size_t size) { take(size); }

    // For semantic failures that a parser finds itself.
    void set_failed() { ok_ = false; }

  private:
    bool take(std::size_t size) {
        if (!ok_ || size > bytes_.size() - position_) {
            ok_ = false;
            return false;
        }
        position_ += size;
        return true;
    }

    ByteView bytes_;
    std::size_t position_ = 0;
    bool ok_ = true;
};

template <ByteOrder kOrder>
class ByteWriter {
  public:
    template <std::integral T>
    void write(T number) {
        const std::size_t at = bytes_.size();
        bytes_.resize(at + sizeof(T));
        store<kOrder, T>(bytes_.data() + at, number);
    }
    void u8(std::uint8_t number) { bytes_.push_back(number); }
    void u16(std::uint16_t number) { write(number); }
    void u32(std::uint32_t number) { write(number); }
    void u64(std::uint64_t number) { write(number); }
    void i32(std::int32_t number) { write(number); }
    void i64(std::int64_t number) { write(number); }
    void bytes(ByteView view) { bytes_.insert(bytes_.end(), view.begin(), view.end()); }
    void zeros(std::size_t size) { bytes_.resize(bytes_.size() + size); }

    // Overwrites what stands at `at` already: lengths and offsets that are known later.
    template <std::integral T>
    void patch(std::size_t at, T number) {
        store<kOrder, T>(bytes_.data() + at, number);
    }

    void reserve(std::size_t size) { bytes_.reserve(size); }
    std::size_t size() const { return bytes_.size(); }
    const Bytes& view() const { return bytes_; }
    Bytes take() { return std::move(bytes_); }

  private:
    Bytes bytes_;
};

using LittleReader = ByteReader<ByteOrder::little>;
using LittleWriter = ByteWriter<ByteOrder::little>;
using BigReader = ByteReader<ByteOrder::big>;
using BigWriter = ByteWriter<ByteOrder::big>;

}  // namespace segue
