// SPDX-License-Identifier: LGPL-2.1-or-later
// XDR (RFC 4506) as libvirt uses it: big endian, everything padded to four bytes. The generated
// messages are built from these. Both sides fail stickily, and name the field and its limit.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace segue::rpc {

class XdrReader {
  public:
    explicit XdrReader(ByteView bytes) : bytes_(bytes) {}

    bool ok() const { return error_.message.empty(); }
    std::size_t remaining() const { return bytes_.size() - position_; }
    // The first thing that was wrong, or an error when bytes are left over.
    Result<> finish(std::string_view message) const;

    std::uint32_t u32() { return integer<std::uint32_t>(); }
    std::int32_t i32() { return integer<std::int32_t>(); }
    std::uint64_t u64() { return integer<std::uint64_t>(); }
    std::int64_t i64() { return integer<std::int64_t>(); }
    // The small ones take four bytes; their upper ones are ignored, as libvirt's own peers do.
    std::uint16_t u16() { return static_cast<std::uint16_t>(u32()); }
    std::int16_t i16() { return static_cast<std::int16_t>(u32()); }
    std::uint8_t u8() { return static_cast<std::uint8_t>(u32()); }
    std::int8_t i8() { return static_cast<std::int8_t>(u32()); }
    bool boolean() { return u32() != 0; }
    double f64();

    // Text without NUL, of at most `limit` bytes.
    std::string text(std::string_view field, std::uint64_t limit);
    Bytes opaque(std::string_view field, std::uint64_t limit);
    void fixed(std::span<std::uint8_t> to);
    // The number of elements that follow; each takes at least `smallest` bytes.
    std::size_t count(std::string_view field, std::uint64_t limit, std::size_t smallest);
    // The flag before an optional value. Any number but 0 means that it follows: libvirt's daemons
    // take it so, and go-libvirt sends 0x01000000.
    bool present() { return u32() != 0; }
    void require(std::string_view field, bool holds);

  private:
    template <class T>
    T integer() {
        if (remaining() < sizeof(T) || !ok()) {
            truncated();
            return T{};
        }
        position_ += sizeof(T);
        return load<ByteOrder::big, T>(bytes_.data() + position_ - sizeof(T));
    }
    ByteView padded(std::string_view field, std::uint64_t limit);
    void truncated();
    template <class... Args>
    void set_error(fmt::format_string<Args...> format, Args&&... args) {
        if (ok()) error_ = {ErrorCode::protocol, fmt::format(format, std::forward<Args>(args)...)};
    }

    ByteView bytes_;
    std::size_t position_ = 0;
    Error error_;
};

class XdrWriter {
  public:
    // Appends to what `bytes` holds.
    explicit XdrWriter(Bytes& bytes) : bytes_(bytes) {}

    bool ok() const { return error_.message.empty(); }
    Result<> finish(std::string_view message) const;

    void u32(std::uint32_t number) { integer(number); }
    void i32(std::int32_t number) { integer(number); }
    void u64(std::uint64_t number) { integer(number); }
    void i64(std::int64_t number) { integer(number); }
    void u16(std::uint16_t number) { integer(std::uint32_t{number}); }
    void i16(std::int16_t number) { integer(std::int32_t{number}); }
    void u8(std::uint8_t number) { integer(std::uint32_t{number}); }
    void i8(std::int8_t number) { integer(std::int32_t{number}); }
    void boolean(bool value) { u32(value ? 1 : 0); }
    void f64(double value);

    void text(std::string_view field, std::string_view value, std::uint64_t limit);
    void opaque(std::string_view field, ByteView value, std::uint64_t limit);
    void fixed(ByteView value);
    void count(std::string_view field, std::size_t size, std::uint64_t limit);
    void require(std::string_view field, bool holds);

  private:
    template <class T>
    void integer(T number) {
        const std::size_t at = bytes_.size();
        bytes_.resize(at + sizeof(T));
        store<ByteOrder::big, T>(bytes_.data() + at, number);
    }
    template <class... Args>
    void set_error(fmt::format_string<Args...> format, Args&&... args) {
        if (ok()) error_ = {ErrorCode::protocol, fmt::format(format, std::forward<Args>(args)...)};
    }

    Bytes& bytes_;
    Error error_;
};

// The body of a procedure that takes or gives nothing.
struct Nothing {
    friend bool operator==(const Nothing&, const Nothing&) = default;
};
inline void read(XdrReader&, Nothing&) {}
inline void write(XdrWriter&, const Nothing&) {}

}  // namespace segue::rpc
