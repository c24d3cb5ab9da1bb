// SPDX-License-Identifier: LGPL-2.1-or-later
// Each drawing command: its surface, its region, its pictures, and the canvas.
#include "spice/client/display/convert.h"
#include "spice/client/display/decode.h"
#include "spice/client/display/renderer.h"

namespace segue::spice::client {

namespace display = wire::display;
using canvas::Rop;
using canvas::RopInput;
using wire::has;

namespace {

std::span<const canvas::Rect> const* clip_pointer(const std::span<const canvas::Rect>& rects,
                                                  bool clipped) {
    return clipped ? &rects : nullptr;
}

Rop rop_of(display::Ropd descriptor, RopInput source, RopInput destination) {
    return canvas::rop_from_descriptor(static_cast<std::uint16_t>(descriptor), source, destination);
}

unsigned bits_of(display::CompositeFlags flags, int first, int count) {
    return static_cast<std::uint32_t>(flags) >> first & ((1u << count) - 1);
}

void set_transform(canvas::CompositeOperand& operand, const display::Transform& transform) {
    operand.transformed = true;
    const std::uint32_t cells[] = {transform.t00, transform.t01, transform.t02,
                                   transform.t10, transform.t11, transform.t12};
    for (int index = 0; index < 6; ++index)
        operand.transform[index] = static_cast<std::int32_t>(cells[index]);
}

template <class Glyphs>
void add_glyphs(canvas::Text& text, const Glyphs& glyphs) {
    for (const auto& glyph : glyphs) {
        text.glyphs.push_back({to_canvas(glyph.render_position), to_canvas(glyph.origin),
                               glyph.width, glyph.height, glyph.data});
    }
}

}  // namespace

Result<Renderer::Drawing> Renderer::begin(const display::DrawBase& base, const display::Mask* mask,
                                          bool may_replace) {
    Drawing drawing;
    drawing.target = TRY(surfaces_.find_shape(base.surface_id));
    drawing.box = to_canvas(base.box);
    const std::vector<canvas::Rect> rects = to_canvas(base.clip.rects);
    const std::span<const canvas::Rect> clip(rects);
    canvas::Mask& cut = drawing.cut;
    if (mask != nullptr && mask->bitmap) {
        drawing.mask = TRY(images_.get_mask(*mask->bitmap));
        cut.bitmap = drawing.mask.get();
        cut.inverted = has(mask->flags, display::MaskFlags::invers);
        cut.origin = to_canvas(mask->position);
    }
    canvas::DrawArea area =
        canvas::draw_area(*drawing.target, drawing.box,
                          clip_pointer(clip, base.clip.type == display::ClipType::rects), cut);
    drawing.region = std::move(area.region);
    if (!may_replace || area.needs_stencil) TRY(surfaces_.find(base.surface_id));
    if (area.needs_stencil)
        drawing.stencil = TRY(canvas::Stencil::make(*drawing.target, drawing.region));
    return drawing;
}

Result<Renderer::HeldBrush> Renderer::brush_of(const display::Brush& brush,
                                               const canvas::Image& target) {
    HeldBrush held;
    held.brush.color = brush.color;
    if (brush.type == display::BrushType::solid) held.brush.kind = canvas::Brush::Kind::solid;
    if (brush.type != display::BrushType::pattern) return held;
    held.brush.kind = canvas::Brush::Kind::pattern;
    held.tile = TRY(images_.get(brush.pattern.image, target));
    if (bits_per_pixel(held.tile.get()->format()) != bits_per_pixel(target.format())) {
        held.tile = ImageHolder(TRY(held.tile.get()->converted(target.format())));
    }
    held.brush.tile = held.tile.get();  // it stays there when the holder moves
    held.brush.tile_origin = to_canvas(brush.pattern.position);
    return held;
}

// The picture, and nothing else, is what the surface shows behind this command.
bool Renderer::is_whole_surface(const Drawing& drawing, const canvas::Image& picture,
                                const canvas::Rect& area, Rop rop) {
    const canvas::Rect whole = drawing.target->bounds();
    return !drawing.stencil && rop == Rop::copy && area == whole && drawing.box == whole &&
           picture.format() == drawing.target->format() && picture.bounds() == whole &&
           drawing.region.covers(whole);
}

// A picture that covers all of its surface takes its place, and nothing is copied: one that others
// see is shown from where it stands; for one of nobody else's the surface's memory is that of the
// next picture. False: it cannot.
bool Renderer::take_place(const Drawing& drawing, std::uint32_t surface, ImageHolder& image) {
    if (canvas::Image* own = image.own()) {
        if (!own->is_alike(*drawing.target)) return false;
        std::swap(*drawing.target, *own);
        surfaces_.show_own(surface);
        return true;
    }
    canvas::SharedImage shared = image.share();
    // Null: another surface.
    return shared && surfaces_.borrow(surface, std::move(shared));
}

void Renderer::finish(const display::DrawBase& base, const Drawing& drawing) {
    if (drawing.stencil) drawing.stencil->put_back(*drawing.target, drawing.box, drawing.cut);
    if (surfaces_.is_primary(base.surface_id)) surfaces_.drawn(drawing.region);
}

Result<> Renderer::on(const display::CopyBits& message) {
    const Drawing drawing = TRY(begin(message.base));
    const auto lock = surfaces_.hold();
    canvas::copy_bits(*drawing.target, drawing.region, drawing.box, to_canvas(message.source));
    finish(message.base, drawing);
    return {};
}

Result<> Renderer::on(const display::DrawFill& message) {
    const Drawing drawing = TRY(begin(message.base, &message.mask));
    const HeldBrush brush = TRY(brush_of(message.brush, *drawing.target));
    const auto lock = surfaces_.hold();
    canvas::fill(*drawing.target, drawing.region, brush.brush,
                 rop_of(message.rop, RopInput::brush, RopInput::destination));
    finish(message.base, drawing);
    return {};
}

Result<> Renderer::fill_with(const display::DrawBase& base, const display::Mask& mask, Rop rop) {
    const Drawing drawing = TRY(begin(base, &mask));
    const auto lock = surfaces_.hold();
    canvas::fill(*drawing.target, drawing.region, {}, rop);
    finish(base, drawing);
    return {};
}

Result<> Renderer::on(const display::DrawBlackness& message) {
    return fill_with(message.base, message.mask, Rop::clear);
}

Result<> Renderer::on(const display::DrawWhiteness& message) {
    return fill_with(message.base, message.mask, Rop::set);
}

Result<> Renderer::on(const display::DrawInvers& message) {
    return fill_with(message.base, message.mask, Rop::invert);
}

template <class Message>
Result<> Renderer::copy_picture(const Message& message) {
    const Drawing drawing = TRY(begin(message.base, &message.mask, true));
    ImageHolder image = TRY(images_.get(message.source, *drawing.target));
    const canvas::Rect area = to_canvas(message.source_area);
    const Rop rop = rop_of(message.rop, RopInput::source, RopInput::destination);
    {
        const auto lock = surfaces_.hold();
        if (!is_whole_surface(drawing, *image.get(), area, rop) ||
            !take_place(drawing, message.base.surface_id, image)) {
            TRY(surfaces_.find(message.base.surface_id));
            TRY(canvas::copy(*drawing.target, drawing.region, drawing.box,
                             {image.get(), area, to_canvas(message.scale_mode)}, rop));
        }
        finish(message.base, drawing);
    }
    if (image.own() != nullptr) images_.give_back(std::move(*image.own()));
    return {};
}

Result<> Renderer::on(const display::DrawCopy& message) {
    return copy_picture(message);
}

Result<> Renderer::on(const display::DrawBlend& message) {
    return copy_picture(message);
}

Result<> Renderer::on(const display::DrawOpaque& message) {
    const Drawing drawing = TRY(begin(message.base, &message.mask));
    const ImageHolder image = TRY(images_.get(message.source, *drawing.target));
    const HeldBrush brush = TRY(brush_of(message.brush, *drawing.target));
    const auto lock = surfaces_.hold();
    TRY(canvas::opaque(*drawing.target, drawing.region, drawing.box,
                       {image.get(), to_canvas(message.source_area), to_canvas(message.scale_mode)},
                       brush.brush, rop_of(message.rop, RopInput::brush, RopInput::source)));
    finish(message.base, drawing);
    return {};
}

Result<> Renderer::on(const display::DrawRop3& message) {
    const Drawing drawing = TRY(begin(message.base, &message.mask));
    const ImageHolder image = TRY(images_.get(message.source, *drawing.target));
    const HeldBrush brush = TRY(brush_of(message.brush, *drawing.target));
    const auto lock = surfaces_.hold();
    TRY(canvas::rop3(*drawing.target, drawing.region, drawing.box,
                     {image.get(), to_canvas(message.source_area), to_canvas(message.scale_mode)},
                     brush.brush, message.rop3));
    finish(message.base, drawing);
    return {};
}

Result<> Renderer::on(const display::DrawTransparent& message) {
    const Drawing drawing = TRY(begin(message.base));
    const ImageHolder image = TRY(images_.get(message.source, *drawing.target));
    const auto lock = surfaces_.hold();
    TRY(canvas::transparent(
        *drawing.target, drawing.region, drawing.box,
        {image.get(), to_canvas(message.source_area), canvas::ScaleMode::nearest},
        message.true_color));
    finish(message.base, drawing);
    return {};
}

Result<> Renderer::on(const display::DrawAlphaBlend& message) {
    const Drawing drawing = TRY(begin(message.base));
    const ImageHolder image = TRY(images_.get(message.source, *drawing.target));
    canvas::Alpha alpha;
    alpha.overall = message.alpha;
    alpha.target_has_alpha = has(message.alpha_flags, display::AlphaFlags::dest_has_alpha);
    // Pictures say themselves whether they have alpha; surfaces are told by the flag.
    alpha.source_has_alpha = message.source.type == display::ImageType::surface &&
                             has(message.alpha_flags, display::AlphaFlags::src_surface_has_alpha);
    const auto lock = surfaces_.hold();
    canvas::alpha_blend(*drawing.target, drawing.region, drawing.box,
                        {image.get(), to_canvas(message.source_area), canvas::ScaleMode::nearest},
                        alpha);
    finish(message.base, drawing);
    return {};
}

Result<> Renderer::on(const display::DrawComposite& message) {
    using display::CompositeFlags;
    const Drawing drawing = TRY(begin(message.base));
    const ImageHolder image = TRY(images_.get(message.source, *drawing.target));
    canvas::CompositeOperand source;
    source.image = image.get();
    source.origin = {message.source_origin.x, message.source_origin.y};
    source.filter = static_cast<std::uint8_t>(bits_of(message.flags, 8, 3));
    source.repeat = static_cast<std::uint8_t>(bits_of(message.flags, 14, 2));
    source.opaque = message.source.type == display::ImageType::surface &&
                    has(message.flags, CompositeFlags::source_opaque);
    if (has(message.flags, CompositeFlags::has_src_transform))
        set_transform(source, message.source_transform);
    canvas::CompositeOperand mask;
    ImageHolder mask_image;
    if (message.mask) {
        mask_image = TRY(images_.get(*message.mask, *drawing.target));
        mask.image = mask_image.get();
        mask.origin = {message.mask_origin.x, message.mask_origin.y};
        mask.filter = static_cast<std::uint8_t>(bits_of(message.flags, 11, 3));
        mask.repeat = static_cast<std::uint8_t>(bits_of(message.flags, 16, 2));
        mask.component_alpha = has(message.flags, CompositeFlags::component_alpha);
        if (has(message.flags, CompositeFlags::has_mask_transform))
            set_transform(mask, message.mask_transform);
    }
    const auto lock = surfaces_.hold();
    TRY(canvas::composite(*drawing.target, drawing.region, drawing.box,
                          static_cast<std::uint8_t>(bits_of(message.flags, 0, 8)), source, mask));
    finish(message.base, drawing);
    return {};
}

Result<> Renderer::on(const display::DrawStroke& message) {
    const Drawing drawing = TRY(begin(message.base));
    const HeldBrush brush = TRY(brush_of(message.brush, *drawing.target));
    canvas::Stroke stroke;
    for (const display::PathSegment& segment : message.path.segments) {
        canvas::PathSegment& to = stroke.path.emplace_back();
        to.flags = static_cast<std::uint8_t>(segment.flags);
        for (const display::PointFixed& point : segment.points)
            to.points.push_back({point.x, point.y});
    }
    if (has(message.attributes.flags, display::LineFlags::styled))
        stroke.dashes = message.attributes.style;
    stroke.start_with_gap = has(message.attributes.flags, display::LineFlags::start_with_gap);
    stroke.brush = brush.brush;
    stroke.rop =
        canvas::rop_from_descriptor(message.fore_mode, RopInput::brush, RopInput::destination);
    const auto lock = surfaces_.hold();
    TRY(canvas::stroke(*drawing.target, drawing.region, stroke));
    finish(message.base, drawing);
    return {};
}

Result<> Renderer::on(const display::DrawText& message) {
    const Drawing drawing = TRY(begin(message.base));
    const HeldBrush fore = TRY(brush_of(message.fore_brush, *drawing.target));
    const HeldBrush back = TRY(brush_of(message.back_brush, *drawing.target));
    canvas::Text text;
    text.fore_brush = fore.brush;
    text.back_brush = back.brush;
    text.back_area = to_canvas(message.back_area);
    using display::StringFlags;
    if (has(message.text.flags, StringFlags::raster_a1)) {
        text.glyph_bits = 1;
        add_glyphs(text, message.text.glyphs_a1);
    } else if (has(message.text.flags, StringFlags::raster_a4)) {
        text.glyph_bits = 4;
        add_glyphs(text, message.text.glyphs_a4);
    } else {
        text.glyph_bits = 8;
        add_glyphs(text, message.text.glyphs_a8);
    }
    const auto lock = surfaces_.hold();
    TRY(canvas::text(*drawing.target, drawing.region, text));
    finish(message.base, drawing);
    return {};
}

Result<> Renderer::show_frame(Stream& stream, ByteView data, const canvas::Rect& where) {
    canvas::Image* target = TRY(surfaces_.find(stream.surface_id));
    canvas::Image frame = TRY(decode_jpeg(data, stream.top_down, images_.take_spare()));
    const std::span<const canvas::Rect> clip(stream.clip);
    const canvas::Region region =
        canvas::draw_region(*target, where, clip_pointer(clip, stream.clipped));
    {
        const auto lock = surfaces_.hold();
        TRY(canvas::copy(*target, region, where,
                         {&frame, frame.bounds(), canvas::ScaleMode::nearest}, Rop::copy));
        if (surfaces_.is_primary(stream.surface_id)) surfaces_.drawn(region);
    }
    images_.give_back(std::move(frame));
    return {};
}

}  // namespace segue::spice::client
