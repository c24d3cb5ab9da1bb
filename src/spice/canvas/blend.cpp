// SPDX-License-Identifier: LGPL-2.1-or-later
// Pictures with alpha over the target, and the Render extension's composition.
#include "spice/canvas/draw.h"
#include "spice/canvas/pixels.h"
#include "spice/canvas/scale.h"

namespace segue::spice::canvas {
namespace {

// What pixman leaves in the unused byte of xrgb32 is not what guests expect there: stock clears it
// when the first pixel of the area has all its bits set.
void clear_unused_byte(Image& target, const Rect& area) {
    const Rect inside = intersection(area, target.bounds());
    if (target.format() != Format::xrgb32 || inside.empty()) return;
    if (pixels_of<std::uint32_t>(target, inside.top)[inside.left] >> 24 != 0xff) return;
    for (std::int32_t y = inside.top; y < inside.bottom; ++y) {
        std::uint32_t* line = pixels_of<std::uint32_t>(target, y);
        for (std::int32_t x = inside.left; x < inside.right; ++x)
            line[x] &= 0xffffff;
    }
}

Format with_alpha(Format format, bool has_alpha) {
    return has_alpha && format == Format::xrgb32 ? Format::argb32 : format;
}

Result<> set_operand(const PixmanImage& image, const CompositeOperand& operand) {
    if (operand.filter > PIXMAN_FILTER_BILINEAR || operand.repeat > PIXMAN_REPEAT_REFLECT) {
        return fail(ErrorCode::invalid_argument, "composition with filter {} and repeat {}",
                    operand.filter, operand.repeat);
    }
    if (operand.transformed) {
        pixman_transform_t transform{};
        for (int row = 0; row < 2; ++row) {
            for (int column = 0; column < 3; ++column)
                transform.matrix[row][column] = operand.transform[row * 3 + column];
        }
        transform.matrix[2][2] = pixman_fixed_1;
        pixman_image_set_transform(image.get(), &transform);
    }
    pixman_image_set_filter(image.get(), static_cast<pixman_filter_t>(operand.filter), nullptr, 0);
    pixman_image_set_repeat(image.get(), static_cast<pixman_repeat_t>(operand.repeat));
    pixman_image_set_component_alpha(image.get(), operand.component_alpha);
    return {};
}

bool is_operation(std::uint8_t operation) {
    return operation <= PIXMAN_OP_SATURATE ||
           (operation >= PIXMAN_OP_DISJOINT_CLEAR && operation <= PIXMAN_OP_DISJOINT_XOR) ||
           (operation >= PIXMAN_OP_CONJOINT_CLEAR && operation <= PIXMAN_OP_CONJOINT_XOR) ||
           (operation >= PIXMAN_OP_MULTIPLY && operation <= PIXMAN_OP_HSL_LUMINOSITY);
}

Format opaque_format(Format format, bool opaque) {
    return opaque && format == Format::argb32 ? Format::xrgb32 : format;
}

}  // namespace

void alpha_blend(Image& target, const Region& region, const Rect& box, const Source& source,
                 const Alpha& alpha) {
    if (region.empty() || alpha.overall == 0) return;
    const Rect extents = region.extents();
    const PixmanImage to(target, with_alpha(target.format(), alpha.target_has_alpha));
    to.clip(region);
    const PixmanImage from(*source.image,
                           with_alpha(source.image->format(), alpha.source_has_alpha));
    std::int64_t source_x = std::int64_t{extents.left} - box.left;
    std::int64_t source_y = std::int64_t{extents.top} - box.top;
    if (!same_size(source.area, box)) {
        if (!set_scaling(from, source.area, box, ScaleMode::nearest)) return;
    } else {
        source_x += source.area.left;
        source_y += source.area.top;
        pixman_image_set_repeat(from.get(), PIXMAN_REPEAT_NONE);
    }
    if (source_x < INT32_MIN || source_x > INT32_MAX || source_y < INT32_MIN ||
        source_y > INT32_MAX) {
        return;
    }
    const PixmanImage mask = PixmanImage::solid_alpha(alpha.overall);
    pixman_image_composite32(
        PIXMAN_OP_OVER, from.get(), alpha.overall == 0xff ? nullptr : mask.get(), to.get(),
        static_cast<int>(source_x), static_cast<int>(source_y), 0, 0, extents.left, extents.top,
        static_cast<int>(extents.width()), static_cast<int>(extents.height()));
    if (!alpha.target_has_alpha) clear_unused_byte(target, box);
}

Result<> composite(Image& target, const Region& region, const Rect& box, std::uint8_t operation,
                   const CompositeOperand& source, const CompositeOperand& mask) {
    if (region.empty()) return {};
    if (!is_operation(operation)) {
        return fail(ErrorCode::invalid_argument, "composition operation {} does not exist",
                    operation);
    }
    const Rect extents = region.extents();
    // Into a copy, since a source may be the target itself.
    Image result = TRY(Image::create(target.format(), extents.width(), extents.height()));
    const Source self{&target, extents, ScaleMode::nearest};
    TRY(copy(result, Region(result.bounds()), result.bounds(), self, Rop::copy));
    const PixmanImage to(result);
    const PixmanImage from(*source.image, opaque_format(source.image->format(), source.opaque));
    TRY(set_operand(from, source));
    const PixmanImage through(mask.image ? *mask.image : *source.image);
    if (mask.image) TRY(set_operand(through, mask));
    // Pixman draws nothing from an origin as far out as the nearest one here can be.
    const auto origin_of = [&](Point origin) {
        return Point{coordinate(std::int64_t{origin.x} + extents.left - box.left),
                     coordinate(std::int64_t{origin.y} + extents.top - box.top)};
    };
    const Point from_origin = origin_of(source.origin), mask_origin = origin_of(mask.origin);
    pixman_image_composite32(static_cast<pixman_op_t>(operation), from.get(),
                             mask.image ? through.get() : nullptr, to.get(), from_origin.x,
                             from_origin.y, mask_origin.x, mask_origin.y, 0, 0, result.width(),
                             result.height());
    return copy(target, region, extents, {&result, result.bounds(), ScaleMode::nearest}, Rop::copy);
}

}  // namespace segue::spice::canvas
