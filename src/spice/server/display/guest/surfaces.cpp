// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/display/guest/surfaces.h"

#include <spice/enums.h>

#include <cstdlib>
#include <cstring>

#include "spice/codec/picture.h"

namespace segue::spice::server {
namespace {

// No image of a longer side has a place on the wire, and no client's codec takes it.
constexpr std::uint32_t kMostSide = codec::kMaxSide;
static_assert(kMostSide <= canvas::kMaxSide);

}  // namespace

Result<canvas::Format> canvas_format(std::uint32_t surface_format) {
    switch (surface_format) {
        case SPICE_SURFACE_FMT_1_A: return canvas::Format::a1;
        case SPICE_SURFACE_FMT_8_A: return canvas::Format::a8;
        case SPICE_SURFACE_FMT_16_555: return canvas::Format::rgb555;
        case SPICE_SURFACE_FMT_16_565: return canvas::Format::rgb565;
        case SPICE_SURFACE_FMT_32_xRGB: return canvas::Format::xrgb32;
        case SPICE_SURFACE_FMT_32_ARGB: return canvas::Format::argb32;
        default:
            return fail(ErrorCode::protocol, "surface format {} does not exist", surface_format);
    }
}

Result<Surface*> Surfaces::create(std::uint32_t id, const SurfaceMemory& memory,
                                  const MemorySlots& slots) {
    if (id >= most_) {
        return fail(ErrorCode::protocol, "surface {}: the device has {} surfaces", id, most_);
    }
    if (by_id_.count(id) != 0) {
        return fail(ErrorCode::protocol, "surface {} exists already: destroy it first", id);
    }
    const canvas::Format format = TRY(canvas_format(memory.format));
    if (memory.width == 0 || memory.height == 0 || memory.width > kMostSide ||
        memory.height > kMostSide) {
        return fail(ErrorCode::protocol, "surface {}: {}x{} pixels, at most {} aside", id,
                    memory.width, memory.height, kMostSide);
    }
    const std::uint64_t pitch = static_cast<std::uint64_t>(std::llabs(memory.stride));
    const auto bits = static_cast<unsigned>(canvas::bits_per_pixel(format));
    if (pitch < (std::uint64_t{memory.width} * bits + 7) / 8 || pitch % 4 != 0) {
        return fail(ErrorCode::protocol, "surface {}: {} pixels of {} bits in lines of {} bytes",
                    id, memory.width, bits, pitch);
    }
    std::uint8_t* lowest =
        TRY(slots.translate(memory.group, memory.address, pitch * memory.height));
    Surface surface(PendingDrawings(give_back_, pending_total_));
    surface.id = id;
    surface.format = memory.format;
    surface.group = memory.group;
    surface.image = canvas::Image::wrap(
        format, static_cast<std::int32_t>(memory.width), static_cast<std::int32_t>(memory.height),
        memory.stride, memory.stride < 0 ? lowest + pitch * (memory.height - 1) : lowest);
    return &by_id_.emplace(id, std::move(surface)).first->second;
}

void make_blank(Surface& surface) {
    for (std::int32_t y = 0; y < surface.image.height(); ++y)
        std::memset(surface.image.line(y), 0, surface.image.line_bytes());
    surface.is_blank = true;
}

const canvas::Image& Surface::drawn_image() const {
    canvas::Image target = image.view_as(image.format());
    pending.draw(target);
    return image;
}

PendingDrawings::Place Surface::at(const canvas::Rect& rect) const {
    if (const auto found = pending.find(image, rect)) return *found;
    return {&drawn_image(), rect};
}

Surface* Surfaces::find(std::uint32_t id) {
    const auto found = by_id_.find(id);
    return found == by_id_.end() ? nullptr : &found->second;
}
const Surface* Surfaces::find(std::uint32_t id) const {
    const auto found = by_id_.find(id);
    return found == by_id_.end() ? nullptr : &found->second;
}

}  // namespace segue::spice::server
