// SPDX-License-Identifier: LGPL-2.1-or-later
// Pixels as the codecs take and give them: rows in memory, first row first.
//
// Bounds that hold for every codec: a side of at most kMaxSide pixels, at most kMaxPictureBytes of
// decoded pixels. Whoever needs a picture's memory asks after the header was read and checked.
#pragma once

#include <cstdint>
#include <memory>

#include "base/bytes.h"
#include "base/result.h"

namespace segue::spice::codec {

inline constexpr std::uint32_t kMaxSide = 16384;
inline constexpr std::uint64_t kMaxPictureBytes = 1u << 28;

// In memory; the names of multi-byte forms are from the low byte up.
enum class PixelFormat : std::uint8_t {
    one_bit_le,   // palette indices, first pixel in the low bit
    one_bit_be,   // first pixel in the high bit
    four_bit_le,  // first pixel in the low half
    four_bit_be,
    eight_bit,  // palette index
    rgb16,      // x1 r5 g5 b5
    bgr24,
    bgrx32,
    bgra32,
    alpha8,
};

constexpr unsigned bits_per_pixel(PixelFormat format) {
    switch (format) {
        case PixelFormat::one_bit_le:
        case PixelFormat::one_bit_be: return 1;
        case PixelFormat::four_bit_le:
        case PixelFormat::four_bit_be: return 4;
        case PixelFormat::eight_bit:
        case PixelFormat::alpha8: return 8;
        case PixelFormat::rgb16: return 16;
        case PixelFormat::bgr24: return 24;
        case PixelFormat::bgrx32:
        case PixelFormat::bgra32: return 32;
    }
    return 32;
}

constexpr std::size_t row_size(PixelFormat format, std::uint32_t width) {
    return (std::size_t{width} * bits_per_pixel(format) + 7) / 8;
}

// What an encoder reads. `stride` may be larger than a row, or negative with `rows` at the last row
// in memory.
struct PictureView {
    PixelFormat format = PixelFormat::bgrx32;
    std::uint32_t width = 0;
    std::uint32_t height = 0;
    const std::uint8_t* rows = nullptr;
    std::ptrdiff_t stride = 0;
    // Said to the client: the first row is the top one.
    bool top_down = true;

    std::size_t row_bytes() const { return row_size(format, width); }
    std::size_t bytes() const { return row_bytes() * height; }
    const std::uint8_t* row(std::uint32_t y) const {
        return rows + static_cast<std::ptrdiff_t>(y) * stride;
    }
    bool is_contiguous() const { return stride == static_cast<std::ptrdiff_t>(row_bytes()); }
};

// Memory for pixels that are about to be written: not cleared first.
class PixelBuffer {
  public:
    PixelBuffer() = default;
    explicit PixelBuffer(std::size_t size)
        : bytes_(std::make_unique_for_overwrite<std::uint8_t[]>(size)), size_(size) {}

    std::uint8_t* data() { return bytes_.get(); }
    const std::uint8_t* data() const { return bytes_.get(); }
    std::size_t size() const { return size_; }
    std::span<std::uint8_t> span() { return {bytes_.get(), size_}; }
    ByteView view() const { return {bytes_.get(), size_}; }

  private:
    std::unique_ptr<std::uint8_t[]> bytes_;
    std::size_t size_ = 0;
};

// For access by whole pixels.
inline bool is_aligned(const std::uint8_t* pixels) {
    return reinterpret_cast<std::uintptr_t>(pixels) % alignof(std::uint32_t) == 0;
}

// The bounds above; `codec` stands in the message.
inline Result<> check_size(std::string_view codec, PixelFormat format, std::uint64_t width,
                           std::uint64_t height) {
    if (width == 0 || height == 0 || width > kMaxSide || height > kMaxSide ||
        row_size(format, static_cast<std::uint32_t>(width)) * height > kMaxPictureBytes) {
        return fail(ErrorCode::limit_exceeded,
                    "{} picture of {} x {}: sides of 1 to {} and at most {} bytes are allowed",
                    codec, width, height, kMaxSide, kMaxPictureBytes);
    }
    return {};
}

}  // namespace segue::spice::codec
