// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/canvas/image.h"

#include <cstdlib>
#include <cstring>

#include "spice/canvas/pixman_image.h"

namespace segue::spice::canvas {

int bits_per_pixel(Format format) {
    switch (format) {
        case Format::a1: return 1;
        case Format::a8: return 8;
        case Format::rgb555:
        case Format::rgb565: return 16;
        case Format::xrgb32:
        case Format::argb32: return 32;
    }
    return 0;
}

std::string_view name_of(Format format) {
    switch (format) {
        case Format::a1: return "a1";
        case Format::a8: return "a8";
        case Format::rgb555: return "rgb555";
        case Format::rgb565: return "rgb565";
        case Format::xrgb32: return "xrgb32";
        case Format::argb32: return "argb32";
    }
    return "unknown";
}

void Image::Free::operator()(void* memory) const {
    std::free(memory);
}

Result<Image> Image::shape(Format format, std::int64_t width, std::int64_t height) {
    if (width < 1 || height < 1 || width > kMaxSide || height > kMaxSide ||
        width * height > kMaxPixels) {
        return fail(ErrorCode::limit_exceeded,
                    "a picture of {}x{} pixels: sides are 1..{}, together at most {} pixels", width,
                    height, kMaxSide, kMaxPixels);
    }
    Image image;
    image.format_ = format;
    image.width_ = static_cast<std::int32_t>(width);
    image.height_ = static_cast<std::int32_t>(height);
    image.stride_ = static_cast<std::int32_t>((width * bits_per_pixel(format) + 31) / 32 * 4);
    image.capacity_ = static_cast<std::size_t>(height) * static_cast<std::size_t>(image.stride_);
    return image;
}

Result<Image> Image::create(Format format, std::int64_t width, std::int64_t height) {
    Image image = TRY(shape(format, width, height));
    image.memory_.reset(static_cast<std::uint8_t*>(std::calloc(1, image.capacity_)));
    if (!image.memory_) {
        return fail(ErrorCode::no_memory, "no memory for a picture of {}x{} pixels", width, height);
    }
    image.top_line_ = image.memory_.get();
    return image;
}

Result<Image> Image::create_unfilled(Format format, std::int64_t width, std::int64_t height,
                                     Image old) {
    Image image = TRY(shape(format, width, height));
    if (old.memory_ && old.capacity_ >= image.capacity_) {
        image.memory_ = std::move(old.memory_);
        image.capacity_ = old.capacity_;
    } else {
        old = {};  // never both
        image.memory_.reset(static_cast<std::uint8_t*>(std::malloc(image.capacity_)));
    }
    if (!image.memory_) {
        return fail(ErrorCode::no_memory, "no memory for a picture of {}x{} pixels", width, height);
    }
    image.top_line_ = image.memory_.get();
    return image;
}

bool Image::is_alike(const Image& other) const {
    return memory_ && other.memory_ && format_ == other.format_ && width_ == other.width_ &&
           height_ == other.height_ && stride_ == other.stride_ && capacity_ == other.capacity_;
}

Image Image::wrap(Format format, std::int32_t width, std::int32_t height, std::int32_t stride,
                  std::uint8_t* top_line) {
    Image image;
    image.format_ = format;
    image.width_ = width;
    image.height_ = height;
    image.stride_ = stride;
    image.top_line_ = top_line;
    return image;
}

std::size_t Image::line_bytes() const {
    return (static_cast<std::size_t>(width_) * bits_per_pixel(format_) + 7) / 8;
}

Result<Image> Image::copy() const {
    Image result = TRY(create(format_, width_, height_));
    for (std::int32_t y = 0; y < height_; ++y)
        std::memcpy(result.line(y), line(y), line_bytes());
    return result;
}

Result<Image> Image::converted(Format format) const {
    Image result = TRY(create(format, width_, height_));
    pixman_image_composite32(PIXMAN_OP_SRC, PixmanImage(*this).get(), nullptr,
                             PixmanImage(result).get(), 0, 0, 0, 0, 0, 0, width_, height_);
    return result;
}

Image Image::view_as(Format format) const {
    return wrap(format, width_, height_, stride_, top_line_);
}

}  // namespace segue::spice::canvas
