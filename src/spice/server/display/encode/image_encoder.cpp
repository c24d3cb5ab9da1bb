// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/display/encode/image_encoder.h"

#include <spice/qxl_dev.h>

#include <cstring>

namespace segue::spice::server {
namespace {

namespace display = wire::display;

// Ids of pictures that the server makes itself (QXL_IMAGE_GROUP_RED): never those of a guest.
std::uint64_t image_id(std::uint64_t number) {
    return number << 32 | QXL_IMAGE_GROUP_RED;
}

// The formats that bitmaps on the wire have: 565 is not one of them.
canvas::Format format_on_wire(canvas::Format format) {
    switch (format) {
        case canvas::Format::rgb555:
        case canvas::Format::argb32:
        case canvas::Format::a8: return format;
        default: return canvas::Format::xrgb32;
    }
}

display::BitmapFormat bitmap_format(canvas::Format format) {
    switch (format) {
        case canvas::Format::rgb555: return display::BitmapFormat::sixteen_bit;
        case canvas::Format::argb32: return display::BitmapFormat::rgba;
        case canvas::Format::a8: return display::BitmapFormat::eight_bit_alpha;
        default: return display::BitmapFormat::thirty_two_bit;
    }
}

Result<canvas::Image> snapshot(const canvas::Image& picture, const canvas::Rect& rect) {
    canvas::Image copy = TRY(canvas::Image::create(picture.format(), rect.width(), rect.height()));
    const std::size_t pixel =
        static_cast<std::size_t>(canvas::bits_per_pixel(picture.format())) / 8;
    for (std::int32_t y = 0; y < copy.height(); ++y) {
        std::memcpy(copy.line(y), picture.line(rect.top + y) + rect.left * pixel,
                    copy.line_bytes());
    }
    const canvas::Format wanted = format_on_wire(picture.format());
    if (wanted == picture.format()) return copy;
    return copy.converted(wanted);
}

display::BitmapData raw(const canvas::Image& image) {
    display::BitmapData data;
    data.format = bitmap_format(image.format());
    data.flags = display::BitmapFlags::top_down;
    data.width = static_cast<std::uint32_t>(image.width());
    data.height = static_cast<std::uint32_t>(image.height());
    data.stride = static_cast<std::uint32_t>(image.stride());
    const std::size_t size = static_cast<std::size_t>(image.stride()) * data.height;
    data.data = wire::SharedBytes::copy({image.line(0), size});
    return data;
}

}  // namespace

Result<display::Image> ImageEncoder::encode(const canvas::Image& picture,
                                            const canvas::Rect& rect) {
    const canvas::Image pixels = TRY(snapshot(picture, rect));
    display::Image image;
    image.id = image_id(++images_);
    image.width = static_cast<std::uint32_t>(pixels.width());
    image.height = static_cast<std::uint32_t>(pixels.height());
    image.type = display::ImageType::bitmap;
    display::BitmapData data = raw(pixels);
    raw_bytes_ += data.data.size();
    encoded_bytes_ += data.data.size();
    image.data = std::move(data);
    return image;
}

}  // namespace segue::spice::server
