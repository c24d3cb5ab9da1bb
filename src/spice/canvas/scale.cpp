// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/canvas/scale.h"

#include <cmath>

#include "spice/canvas/pixels.h"

namespace segue::spice::canvas {

bool set_scaling(const PixmanImage& image, const Rect& area, const Rect& box, ScaleMode scale) {
    if (area.empty() || box.empty()) return false;
    constexpr std::int64_t kOne = 65536;
    const std::int64_t ratio_x = area.width() * kOne / box.width();
    const std::int64_t ratio_y = area.height() * kOne / box.height();
    constexpr std::int64_t kMaxRatio = std::int64_t{32767} * kOne;
    if (ratio_x > kMaxRatio || ratio_y > kMaxRatio || std::abs(std::int64_t{area.left}) > 32767 ||
        std::abs(std::int64_t{area.top}) > 32767) {
        return false;
    }
    pixman_transform_t transform;
    pixman_transform_init_scale(&transform, static_cast<pixman_fixed_t>(ratio_x),
                                static_cast<pixman_fixed_t>(ratio_y));
    pixman_transform_translate(&transform, nullptr, pixman_int_to_fixed(area.left),
                               pixman_int_to_fixed(area.top));
    pixman_image_set_transform(image.get(), &transform);
    pixman_image_set_repeat(image.get(), PIXMAN_REPEAT_NONE);
    const auto filter = scale == ScaleMode::nearest ? PIXMAN_FILTER_NEAREST : PIXMAN_FILTER_GOOD;
    pixman_image_set_filter(image.get(), filter, nullptr, 0);
    return true;
}

namespace {

tl::unexpected<Error> cannot_scale(const Rect& area, const Rect& box) {
    return fail(ErrorCode::invalid_argument, "a picture cannot be scaled from {}x{} to {}x{}",
                area.width(), area.height(), box.width(), box.height());
}

}  // namespace

Result<Image> scaled_part(const Source& source, const Rect& box, const Rect& extents) {
    Image scaled = TRY(Image::create(source.image->format(), extents.width(), extents.height()));
    const PixmanImage from(*source.image);
    if (!set_scaling(from, source.area, box, source.scale)) return cannot_scale(source.area, box);
    const PixmanImage to(scaled);
    pixman_image_composite32(PIXMAN_OP_SRC, from.get(), nullptr, to.get(),
                             coordinate(std::int64_t{extents.left} - box.left),
                             coordinate(std::int64_t{extents.top} - box.top), 0, 0, 0, 0,
                             scaled.width(), scaled.height());
    return scaled;
}

Result<Image> scaled_from_rounded_corner(const Source& source, const Rect& box,
                                         const Rect& extents) {
    Image scaled = TRY(Image::create(source.image->format(), extents.width(), extents.height()));
    const Rect& area = source.area;
    const PixmanImage from(*source.image);
    // Without its corner the area is scaled by the same ratio.
    const Rect cornerless{0, 0, coordinate(area.width()), coordinate(area.height())};
    if (!set_scaling(from, cornerless, box, source.scale)) return cannot_scale(area, box);
    const auto rounded = [](std::int32_t corner, std::int64_t from_side, std::int64_t to_side) {
        const double ratio = static_cast<double>(from_side) / static_cast<double>(to_side);
        return static_cast<std::int64_t>(std::floor(corner / ratio + 0.5));
    };
    const std::int64_t left = rounded(area.left, area.width(), box.width());
    const std::int64_t top = rounded(area.top, area.height(), box.height());
    const PixmanImage to(scaled);
    pixman_image_composite32(
        PIXMAN_OP_SRC, from.get(), nullptr, to.get(), coordinate(left + extents.left - box.left),
        coordinate(top + extents.top - box.top), 0, 0, 0, 0, scaled.width(), scaled.height());
    return scaled;
}

Result<FittingSource> FittingSource::make(const Image& target, const Image& source) {
    FittingSource result;
    if (!same_pixel_size(target, source)) {
        result.own_ = TRY(source.converted(target.format()));
    } else if (source.line(0) == target.line(0)) {
        result.own_ = TRY(source.copy());
    } else {
        result.given_ = &source;
    }
    return result;
}

}  // namespace segue::spice::canvas
