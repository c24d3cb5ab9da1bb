// SPDX-License-Identifier: LGPL-2.1-or-later
// Pixels in memory: a surface that is drawn into, or a decoded picture that is drawn from.
#pragma once

#include <cstdint>
#include <memory>

#include "base/result.h"
#include "spice/canvas/geometry.h"

namespace segue::spice::canvas {

// Bounds on every picture, whoever asks for it: one side, and the whole (256 MiB at 32 bits).
inline constexpr std::int32_t kMaxSide = 32767;
inline constexpr std::int64_t kMaxPixels = std::int64_t{1} << 26;

// All are of the machine's byte order. a1: the first pixel is the lowest bit. rgb555 and rgb565 are
// 16 bits, xrgb32 and argb32 are 0xAARRGGBB; argb32 is premultiplied.
enum class Format : std::uint8_t { a1, a8, rgb555, rgb565, xrgb32, argb32 };

int bits_per_pixel(Format format);
std::string_view name_of(Format format);

// Move-only: share a finished picture as std::shared_ptr<const Image>.
class Image {
  public:
    Image() = default;
    // Zeroed pixels. Errors: limit_exceeded for a side or an area beyond the bounds above.
    static Result<Image> create(Format format, std::int64_t width, std::int64_t height);
    // For who writes every pixel: they are of any value at first. Takes the memory of `old` where
    // that is enough, since fresh memory of the system costs more than most pictures that are
    // decoded into it. Errors as of create().
    static Result<Image> create_unfilled(Format format, std::int64_t width, std::int64_t height,
                                         Image old);
    // Memory of somebody else, who keeps it alive. `top_line` is the first byte of the topmost
    // line; the stride, in bytes, is a multiple of 4 and may be negative.
    static Image wrap(Format format, std::int32_t width, std::int32_t height, std::int32_t stride,
                      std::uint8_t* top_line);

    Format format() const { return format_; }
    std::int32_t width() const { return width_; }
    std::int32_t height() const { return height_; }
    std::int32_t stride() const { return stride_; }
    Rect bounds() const { return {0, 0, width_, height_}; }
    bool empty() const { return width_ == 0; }

    // `y` lies within [0, height).
    std::uint8_t* line(std::int32_t y) { return top_line_ + std::ptrdiff_t{y} * stride_; }
    const std::uint8_t* line(std::int32_t y) const {
        return top_line_ + std::ptrdiff_t{y} * stride_;
    }
    // Bytes that one line's pixels take, without padding.
    std::size_t line_bytes() const;
    // Bytes of memory of its own; 0 for what was wrapped.
    std::size_t capacity() const { return capacity_; }
    // The other one, with memory of its own, can take this one's place: only the pixels differ.
    bool is_alike(const Image& other) const;

    // A picture of its own with the same pixels.
    Result<Image> copy() const;
    // The same pixels in another format, converted as pixman does.
    Result<Image> converted(Format format) const;
    // Another view of the same memory: xrgb32 seen as argb32 and the other way round.
    Image view_as(Format format) const;

  private:
    struct Free {
        void operator()(void* memory) const;
    };
    // Without memory yet.
    static Result<Image> shape(Format format, std::int64_t width, std::int64_t height);

    Format format_ = Format::xrgb32;
    std::int32_t width_ = 0;
    std::int32_t height_ = 0;
    std::int32_t stride_ = 0;
    std::uint8_t* top_line_ = nullptr;
    std::unique_ptr<std::uint8_t, Free> memory_;
    std::size_t capacity_ = 0;
};

using SharedImage = std::shared_ptr<const Image>;

}  // namespace segue::spice::canvas
