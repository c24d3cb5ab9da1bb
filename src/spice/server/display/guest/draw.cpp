// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/display/guest/draw.h"

#include <spice/enums.h>

#include <optional>

#include "spice/canvas/draw.h"
#include "spice/server/display/guest/draw_paths.h"
#include "spice/server/display/guest/drawing_plan.h"
#include "spice/server/display/guest/images.h"

namespace segue::spice::server {
namespace {

using canvas::Rop;
using canvas::RopInput;

// A clip of more rectangles than any driver makes.
constexpr std::uint32_t kMostClipRects = 1u << 16;
// Of another surface, kept until it is drawn here.
constexpr std::int64_t kMostKeptPixels = std::int64_t{1} << 18;

canvas::Rect rect_of(const QXLRect& rect) {
    return {rect.left, rect.top, rect.right, rect.bottom};
}
canvas::Point point_of(const QXLPoint& point) {
    return {point.x, point.y};
}
canvas::ScaleMode scale_of(std::uint8_t mode) {
    return mode == SPICE_IMAGE_SCALE_MODE_NEAREST ? canvas::ScaleMode::nearest
                                                  : canvas::ScaleMode::interpolate;
}

Result<std::vector<canvas::Rect>> read_clip_rects(const GuestMemory& memory, QXLPHYSICAL address) {
    const auto header = TRY(memory.read<QXLClipRects>(address));
    if (header.num_rects > kMostClipRects) {
        return fail(ErrorCode::protocol, "guest clip: {} rectangles, at most {}", +header.num_rects,
                    kMostClipRects);
    }
    const Bytes data = TRY(memory.read_chunks(address + offsetof(QXLClipRects, chunk)));
    if (data.size() < header.num_rects * sizeof(QXLRect)) {
        return fail(ErrorCode::protocol, "guest clip: {} rectangles in {} bytes", +header.num_rects,
                    data.size());
    }
    std::vector<canvas::Rect> rects(header.num_rects);
    for (std::size_t at = 0; at < rects.size(); ++at) {
        QXLRect rect;
        std::memcpy(&rect, data.data() + at * sizeof rect, sizeof rect);
        rects[at] = rect_of(rect);
    }
    return rects;
}

// One command on its way: what all operations share, read once.
class Draw {
  public:
    Draw(const GuestMemory& memory, Surfaces& surfaces, const QXLDrawable& command,
         Surface& surface)
        : memory_(memory),
          surfaces_(surfaces),
          command_(command),
          surface_(surface),
          target_(surface.image),
          box_(rect_of(command.bbox)) {
        drawing_.surface = &surface;
    }

    Result<Drawing> run() {
        if (command_.clip.type == SPICE_CLIP_TYPE_RECTS)
            clip_ = TRY(read_clip_rects(memory_, command_.clip.data));
        Result<> done = perform();
        if (stencil_) {
            stencil_->put_back(target_, box_, mask_);
            drawing_.kind = Drawing::Kind::pixels;
        }
        if (!done) return tl::make_unexpected(done.error());
        if (drawing_.region.empty()) drawing_.kind = Drawing::Kind::nothing;
        if (drawing_.pending) {
            drawing_.pending->picture = std::move(image_);
            image_ = drawing_.pending->picture.view_as(drawing_.pending->picture.format());
        }
        if (drawing_.kind == Drawing::Kind::image) drawing_.picture = std::move(image_);
        return std::move(drawing_);
    }

  private:
    Result<> perform() {
        switch (command_.type) {
            case QXL_DRAW_NOP: return {};
            case QXL_DRAW_FILL: return fill();
            case QXL_DRAW_COPY: return copy(command_.u.copy);
            case QXL_DRAW_BLEND: return copy(command_.u.blend);
            case QXL_COPY_BITS: return copy_bits();
            default: surface_.drawn_image(); return perform_at_once();
        }
    }

    Result<> perform_at_once() {
        switch (command_.type) {
            case QXL_DRAW_OPAQUE: return opaque();
            case QXL_DRAW_BLACKNESS: return plain(command_.u.blackness.mask, Rop::clear);
            case QXL_DRAW_WHITENESS: return plain(command_.u.whiteness.mask, Rop::set);
            case QXL_DRAW_INVERS: return plain(command_.u.invers.mask, Rop::invert);
            case QXL_DRAW_ROP3: return rop3();
            case QXL_DRAW_STROKE: return stroke();
            case QXL_DRAW_TEXT: return text();
            case QXL_DRAW_TRANSPARENT: return transparent();
            case QXL_DRAW_ALPHA_BLEND: return alpha_blend();
            case QXL_DRAW_COMPOSITE: return composite();
            default:
                return fail(ErrorCode::protocol, "guest drawing: operation {} does not exist",
                            +command_.type);
        }
    }

    // Fixes the region that the operation may touch.
    Result<> within(const QXLQMask* guest_mask) {
        if (guest_mask != nullptr && guest_mask->bitmap != 0) {
            mask_image_ = TRY(read_mask(memory_, guest_mask->bitmap));
            mask_.bitmap = &mask_image_;
            mask_.inverted = (guest_mask->flags & SPICE_MASK_FLAGS_INVERS) != 0;
            mask_.origin = point_of(guest_mask->pos);
        }
        const std::span<const canvas::Rect> clip = clip_ ? *clip_ : std::span<canvas::Rect>();
        canvas::DrawArea area = canvas::draw_area(target_, box_, clip_ ? &clip : nullptr, mask_);
        drawing_.region = std::move(area.region);
        drawing_.kind = Drawing::Kind::pixels;
        if (!area.needs_stencil) return {};
        surface_.drawn_image();
        stencil_ = TRY(canvas::Stencil::make(target_, drawing_.region));
        return {};
    }

    // Whether that is left to who looks at the surface; else it is time to draw.
    bool put_off(PendingDrawing::Kind kind, canvas::Region region, canvas::Point shift) {
        const bool may_wait = !region.empty() && !stencil_ &&
                              region.rects().size() <= PendingDrawings::kMostRects &&
                              canvas::bits_per_pixel(target_.format()) >= 16;
        if (!may_wait) {
            surface_.drawn_image();
            return false;
        }
        drawing_.pending.emplace();
        drawing_.pending->kind = kind;
        drawing_.pending->region = std::move(region);
        drawing_.pending->color = drawing_.color;
        drawing_.pending->shift = shift;
        return true;
    }

    Result<canvas::Brush> brush(const QXLBrush& guest, canvas::Image& tile) {
        canvas::Brush made;
        if (guest.type == SPICE_BRUSH_TYPE_SOLID) {
            made.kind = canvas::Brush::Kind::solid;
            made.color = guest.u.color;
        } else if (guest.type == SPICE_BRUSH_TYPE_PATTERN) {
            tile = TRY(read_image(memory_, surfaces_, guest.u.pattern.pat));
            // Pixels of one size are taken as they are, the byte of alpha too.
            if (bits_per_pixel(tile.format()) != bits_per_pixel(target_.format()))
                tile = TRY(tile.converted(target_.format()));
            made.kind = canvas::Brush::Kind::pattern;
            made.tile = &tile;
            made.tile_origin = point_of(guest.u.pattern.pos);
        } else if (guest.type != SPICE_BRUSH_TYPE_NONE) {
            return fail(ErrorCode::protocol, "guest brush: type {}", +guest.type);
        }
        return made;
    }

    Result<canvas::Source> source(QXLPHYSICAL address, const QXLRect& area, std::uint8_t scale) {
        // Some drivers set the flag beside a picture of their own, which is then meant.
        is_self_ = address == 0 && command_.self_bitmap != 0;
        if (is_self_) {
            image_ = TRY(self_image());
        } else {
            image_ = TRY(read_image(memory_, surfaces_, address, &source_surface_));
            // A surface that is drawn onto itself: the operations expect two pictures.
            if (image_.line(0) == target_.line(0)) image_ = TRY(image_.copy());
        }
        canvas::Source made{&image_, rect_of(area), scale_of(scale)};
        if (made.area.empty() || !image_.bounds().contains(made.area)) {
            return fail(ErrorCode::protocol,
                        "guest drawing: the area {},{}-{},{} leaves its {}x{} picture",
                        made.area.left, made.area.top, made.area.right, made.area.bottom,
                        image_.width(), image_.height());
        }
        return made;
    }

    // "Self bitmap": the picture is what the surface shows in that area now.
    Result<canvas::Image> self_image() {
        const canvas::Rect area = rect_of(command_.self_bitmap_area);
        if (area.empty() || !target_.bounds().contains(area))
            return fail(ErrorCode::protocol, "guest drawing: its own area leaves the surface");
        surface_.drawn_image();
        return part_of(target_, area);
    }

    Result<> fill() {
        const QXLFill& guest = command_.u.fill;
        if (Result<> done = within(&guest.mask); !done) return done;
        const canvas::Brush made = TRY(brush(guest.brush, tile_));
        const Rop rop = canvas::rop_from_descriptor(guest.rop_descriptor, RopInput::brush,
                                                    RopInput::destination);
        if (made.kind == canvas::Brush::Kind::solid && rop == Rop::copy) {
            drawing_.kind = Drawing::Kind::fill;
            drawing_.color = made.color;
            if (put_off(PendingDrawing::Kind::fill, drawing_.region, {})) return {};
        }
        surface_.drawn_image();
        canvas::fill(target_, drawing_.region, made, rop);
        return {};
    }

    Result<> plain(const QXLQMask& mask, Rop rop) {
        if (Result<> done = within(&mask); !done) return done;
        canvas::fill(target_, drawing_.region, {}, rop);
        return {};
    }

    Result<> opaque() {
        const QXLOpaque& guest = command_.u.opaque;
        if (Result<> done = within(&guest.mask); !done) return done;
        const canvas::Source from = TRY(source(guest.src_bitmap, guest.src_area, guest.scale_mode));
        const canvas::Brush made = TRY(brush(guest.brush, tile_));
        return canvas::opaque(
            target_, drawing_.region, box_, from, made,
            canvas::rop_from_descriptor(guest.rop_descriptor, RopInput::brush, RopInput::source));
    }

    Result<> copy(const QXLCopy& guest) {
        if (Result<> done = within(&guest.mask); !done) return done;
        const canvas::Source from = TRY(source(guest.src_bitmap, guest.src_area, guest.scale_mode));
        const Rop rop = canvas::rop_from_descriptor(guest.rop_descriptor, RopInput::source,
                                                    RopInput::destination);
        if (rop == Rop::copy && guest.mask.bitmap == 0) TRY(note_repeatable(guest, from.area));
        const bool covers = rop == Rop::copy && is_as_it_is(from.area);
        // What another surface shows now is kept, where drawing all that waits costs more.
        const bool is_kept = source_surface_ != nullptr && source_surface_ != &surface_ &&
                             canvas::bits_per_pixel(target_.format()) >= 16 &&
                             from.area.width() * from.area.height() <= kMostKeptPixels;
        if (covers && is_kept) {
            canvas::Image kept = TRY(part_of(image_, from.area));
            if (put_off(PendingDrawing::Kind::picture, drawing_.region, shift_to(0, 0))) {
                image_ = std::move(kept);
                return {};
            }
        } else if (covers && source_surface_ == nullptr) {
            const canvas::Point shift = shift_to(from.area.left, from.area.top);
            if (put_off(PendingDrawing::Kind::picture, drawing_.region, shift)) return {};
        }
        surface_.drawn_image();
        return canvas::copy(target_, drawing_.region, box_, from, rop);
    }

    // Its pixels are those of the surface, one for one, and not what the surface showed.
    bool is_as_it_is(const canvas::Rect& area) const {
        return !is_self_ && image_.format() == target_.format() && area.width() == box_.width() &&
               area.height() == box_.height();
    }

    // From the box to there; what is too far away has no pixel inside any surface.
    canvas::Point shift_to(std::int32_t left, std::int32_t top) const {
        return {canvas::coordinate(std::int64_t{left} - box_.left),
                canvas::coordinate(std::int64_t{top} - box_.top)};
    }

    // The client can repeat a plain copy of a picture that it may keep, or of another surface.
    Result<> note_repeatable(const QXLCopy& guest, const canvas::Rect& area) {
        if (!is_as_it_is(area) || canvas::bits_per_pixel(target_.format()) != 32) return {};
        if (source_surface_ != nullptr) {
            if (source_surface_ == &surface_) return {};
            drawing_.kind = Drawing::Kind::surface;
            drawing_.source = source_surface_->id;
            drawing_.box = box_;
            drawing_.source_area = area;
            return {};
        }
        const auto descriptor = TRY(memory_.read<QXLImageDescriptor>(guest.src_bitmap));
        const auto group = static_cast<std::uint32_t>(descriptor.id);
        if (descriptor.type != SPICE_IMAGE_TYPE_BITMAP ||
            (descriptor.flags & QXL_IMAGE_CACHE) == 0 ||
            group == QXL_IMAGE_GROUP_DRIVER_DONT_CACHE) {
            return {};
        }
        drawing_.kind = Drawing::Kind::image;
        drawing_.image_id = descriptor.id;
        drawing_.box = box_;
        drawing_.source_area = area;
        return {};
    }

    Result<> copy_bits() {
        if (Result<> done = within(nullptr); !done) return done;
        drawing_.kind = Drawing::Kind::move;
        drawing_.box = box_;
        drawing_.from = point_of(command_.u.copy_bits.src_pos);
        const canvas::Point shift = shift_to(drawing_.from.x, drawing_.from.y);
        if (put_off(PendingDrawing::Kind::move, movable(shift), shift)) return {};
        canvas::copy_bits(target_, drawing_.region, box_, drawing_.from);
        return {};
    }

    // The part of the region whose pixels come from inside the surface.
    canvas::Region movable(canvas::Point shift) const {
        constexpr canvas::Rect kReach{-canvas::kMaxSide, -canvas::kMaxSide, canvas::kMaxSide,
                                      canvas::kMaxSide};
        if (!kReach.contains({shift.x, shift.y, shift.x, shift.y})) return {};
        canvas::Region made = drawing_.region;
        made.intersect(shifted(target_.bounds(), {-shift.x, -shift.y}));
        return made;
    }

    Result<> transparent() {
        const QXLTransparent& guest = command_.u.transparent;
        if (Result<> done = within(nullptr); !done) return done;
        const canvas::Source from = TRY(source(guest.src_bitmap, guest.src_area, 0));
        return canvas::transparent(target_, drawing_.region, box_, from, guest.true_color);
    }

    Result<> alpha_blend() {
        const QXLAlphaBlend& guest = command_.u.alpha_blend;
        if (Result<> done = within(nullptr); !done) return done;
        const canvas::Source from = TRY(source(guest.src_bitmap, guest.src_area, 0));
        canvas::Alpha alpha;
        alpha.overall = guest.alpha;
        alpha.target_has_alpha = (guest.alpha_flags & SPICE_ALPHA_FLAGS_DEST_HAS_ALPHA) != 0;
        // Pictures say themselves whether they have alpha; surfaces are told by the flag.
        alpha.source_has_alpha = source_surface_ != nullptr &&
                                 (guest.alpha_flags & SPICE_ALPHA_FLAGS_SRC_SURFACE_HAS_ALPHA) != 0;
        canvas::alpha_blend(target_, drawing_.region, box_, from, alpha);
        return {};
    }

    Result<> rop3() {
        const QXLRop3& guest = command_.u.rop3;
        if (Result<> done = within(&guest.mask); !done) return done;
        const canvas::Source from = TRY(source(guest.src_bitmap, guest.src_area, guest.scale_mode));
        const canvas::Brush made = TRY(brush(guest.brush, tile_));
        return canvas::rop3(target_, drawing_.region, box_, from, made, guest.rop3);
    }

    Result<> stroke() {
        const QXLStroke& guest = command_.u.stroke;
        if (Result<> done = within(nullptr); !done) return done;
        canvas::Stroke made = TRY(read_stroke(memory_, guest));
        made.brush = TRY(brush(guest.brush, tile_));
        made.rop =
            canvas::rop_from_descriptor(guest.fore_mode, RopInput::brush, RopInput::destination);
        return canvas::stroke(target_, drawing_.region, made);
    }

    Result<> text() {
        const QXLText& guest = command_.u.text;
        if (Result<> done = within(nullptr); !done) return done;
        const GuestString string = TRY(read_string(memory_, guest.str));
        canvas::Text made = TRY(string.text());
        made.back_area = rect_of(guest.back_area);
        made.back_brush = TRY(brush(guest.back_brush, second_tile_));
        made.fore_brush = TRY(brush(guest.fore_brush, tile_));
        return canvas::text(target_, drawing_.region, made);
    }

    // `surface`: set when the pixels are another surface's, or this one's.
    Result<canvas::CompositeOperand> operand(QXLPHYSICAL address, QXLPHYSICAL transform,
                                             const QXLPoint16& origin, canvas::Image& image,
                                             const Surface** surface = nullptr) {
        canvas::CompositeOperand made;
        if (address == 0) return made;
        image = TRY(read_image(memory_, surfaces_, address, surface));
        if (image.line(0) == target_.line(0)) image = TRY(image.copy());
        made.image = &image;
        made.origin = {origin.x, origin.y};
        if (transform != 0) {
            const auto matrix = TRY(memory_.read<QXLTransform>(transform));
            static_assert(sizeof matrix == sizeof made.transform);
            std::memcpy(made.transform, &matrix, sizeof matrix);
            made.transformed = true;
        }
        return made;
    }

    Result<> composite() {
        const QXLComposite& guest = command_.u.composite;
        if (Result<> done = within(nullptr); !done) return done;
        canvas::CompositeOperand from = TRY(
            operand(guest.src, guest.src_transform, guest.src_origin, image_, &source_surface_));
        canvas::CompositeOperand mask =
            TRY(operand(guest.mask, guest.mask_transform, guest.mask_origin, mask_image_));
        if (from.image == nullptr) return fail(ErrorCode::protocol, "guest composite: no source");
        const std::uint32_t flags = guest.flags;  // fields: qxl_dev.h, QXLComposite
        from.filter = (flags >> 8) & 7;
        mask.filter = (flags >> 11) & 7;
        from.repeat = (flags >> 14) & 3;
        mask.repeat = (flags >> 16) & 3;
        mask.component_alpha = ((flags >> 18) & 1) != 0;
        // Of surfaces only, and of sources only: pictures say it by their format.
        from.opaque = source_surface_ != nullptr && (flags & SPICE_COMPOSITE_SOURCE_OPAQUE) != 0;
        return canvas::composite(target_, drawing_.region, box_,
                                 static_cast<std::uint8_t>(flags & 0xff), from, mask);
    }

    const GuestMemory& memory_;
    Surfaces& surfaces_;
    const QXLDrawable& command_;
    Surface& surface_;
    canvas::Image& target_;
    canvas::Rect box_;
    std::optional<std::vector<canvas::Rect>> clip_;
    canvas::Image image_;
    bool is_self_ = false;                     // the image is what the surface showed
    const Surface* source_surface_ = nullptr;  // whose pixels the image is
    canvas::Image mask_image_;
    canvas::Mask mask_;
    std::optional<canvas::Stencil> stencil_;
    canvas::Image tile_;
    canvas::Image second_tile_;
    Drawing drawing_;
};

}  // namespace

Result<Drawing> draw(const GuestMemory& memory, Surfaces& surfaces, QXLPHYSICAL address) {
    const auto command = TRY(memory.read<QXLDrawable>(address));
    Surface* surface = surfaces.find(command.surface_id);
    if (surface == nullptr) {
        return fail(ErrorCode::protocol, "guest drawing: surface {} does not exist",
                    +command.surface_id);
    }
    return Draw(memory, surfaces, command, *surface).run();
}

}  // namespace segue::spice::server
