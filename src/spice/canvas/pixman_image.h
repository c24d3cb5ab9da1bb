// SPDX-License-Identifier: LGPL-2.1-or-later
// For the .cpp files of this room only: our pictures as pixman's, for one operation.
#pragma once

#include <pixman.h>

#include <memory>

#include "spice/canvas/image.h"

namespace segue::spice::canvas {

inline pixman_format_code_t pixman_format(Format format) {
    switch (format) {
        case Format::a1: return PIXMAN_a1;
        case Format::a8: return PIXMAN_a8;
        case Format::rgb555: return PIXMAN_x1r5g5b5;
        case Format::rgb565: return PIXMAN_r5g6b5;
        case Format::xrgb32: return PIXMAN_x8r8g8b8;
        case Format::argb32: break;
    }
    return PIXMAN_a8r8g8b8;
}

// Made anew for each operation, since pixman keeps clip, filter and transform in the image, and one
// source may be used by several threads.
class PixmanImage {
  public:
    explicit PixmanImage(const Image& image) : PixmanImage(image, image.format()) {}
    PixmanImage(const Image& image, Format seen_as)
        : image_(pixman_image_create_bits_no_clear(
              pixman_format(seen_as), image.width(), image.height(),
              reinterpret_cast<std::uint32_t*>(const_cast<std::uint8_t*>(image.line(0))),
              image.stride())) {}
    // A colour 0x00RRGGBB, opaque.
    static PixmanImage solid(std::uint32_t color) {
        const auto wide = [&](int shift) {
            return static_cast<std::uint16_t>(((color >> shift) & 0xff) * 0x101);
        };
        const pixman_color_t value{wide(16), wide(8), wide(0), 0xffff};
        return PixmanImage(pixman_image_create_solid_fill(&value));
    }
    static PixmanImage solid_alpha(std::uint8_t alpha) {
        const pixman_color_t value{0, 0, 0, static_cast<std::uint16_t>(alpha * 0x101)};
        return PixmanImage(pixman_image_create_solid_fill(&value));
    }

    pixman_image_t* get() const { return image_.get(); }
    void clip(const Region& region) const {
        pixman_image_set_clip_region32(
            get(), static_cast<pixman_region32_t*>(const_cast<void*>(region.native())));
    }

  private:
    struct Unref {
        void operator()(pixman_image_t* image) const { pixman_image_unref(image); }
    };
    explicit PixmanImage(pixman_image_t* image) : image_(image) {}

    std::unique_ptr<pixman_image_t, Unref> image_;
};

}  // namespace segue::spice::canvas
