// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/display/guest/draw_paths.h"

#include <spice/enums.h>

#include <cstddef>

namespace segue::spice::server {
namespace {

constexpr std::size_t kMostPathBytes = 4u << 20;
constexpr std::size_t kMostStringBytes = 4u << 20;
// QXLRasterGlyph without its pixels: two points, width, height.
constexpr std::size_t kGlyphHeader = sizeof(QXLRasterGlyph);

Result<std::vector<canvas::PathSegment>> read_path(const GuestMemory& memory, QXLPHYSICAL address) {
    const Bytes data = TRY(memory.read_chunks(address + offsetof(QXLPath, chunk), kMostPathBytes));
    std::vector<canvas::PathSegment> path;
    LittleReader reader(data);
    while (reader.remaining() > 0) {
        const std::uint32_t flags = reader.u32();
        const std::uint32_t count = reader.u32();
        if (!reader.ok() || count > reader.remaining() / sizeof(QXLPointFix))
            return fail(ErrorCode::protocol, "guest path: a segment of {} points is cut", count);
        canvas::PathSegment segment;
        segment.flags = static_cast<std::uint8_t>(flags);
        segment.points.reserve(count);
        for (std::uint32_t at = 0; at < count; ++at) {
            const std::int32_t x = reader.i32();
            segment.points.push_back({x, reader.i32()});
        }
        path.push_back(std::move(segment));
    }
    return path;
}

}  // namespace

Result<canvas::Stroke> read_stroke(const GuestMemory& memory, const QXLStroke& guest) {
    canvas::Stroke stroke;
    stroke.path = TRY(read_path(memory, guest.path));
    if ((guest.attr.flags & SPICE_LINE_FLAGS_STYLED) != 0) {
        const std::size_t size = guest.attr.style_nseg * sizeof(QXLFIXED);
        const std::uint8_t* from = TRY(memory.view(guest.attr.style, size));
        stroke.dashes.resize(guest.attr.style_nseg);
        // A style may have no dash at all.
        if (size > 0) std::memcpy(stroke.dashes.data(), from, size);
        stroke.start_with_gap = (guest.attr.flags & SPICE_LINE_FLAGS_START_WITH_GAP) != 0;
    }
    return stroke;
}

Result<GuestString> read_string(const GuestMemory& memory, QXLPHYSICAL address) {
    const auto header = TRY(memory.read<QXLString>(address));
    GuestString string;
    string.length = header.length;
    if ((header.flags & SPICE_STRING_FLAGS_RASTER_A1) != 0) {
        string.glyph_bits = 1;
    } else if ((header.flags & SPICE_STRING_FLAGS_RASTER_A4) != 0) {
        string.glyph_bits = 4;
    } else if ((header.flags & SPICE_STRING_FLAGS_RASTER_A8) != 0) {
        string.glyph_bits = 8;
    } else {
        return fail(ErrorCode::protocol, "guest text: flags {:#x} name no glyph depth",
                    +header.flags);
    }
    string.bytes = TRY(memory.read_chunks(address + offsetof(QXLString, chunk), kMostStringBytes));
    return string;
}

Result<canvas::Text> GuestString::text() const {
    canvas::Text made;
    made.glyph_bits = glyph_bits;
    LittleReader reader(bytes);
    for (std::uint16_t at = 0; at < length; ++at) {
        if (reader.remaining() < kGlyphHeader)
            return fail(ErrorCode::protocol, "guest text: glyph {} of {} is cut", at, length);
        canvas::Glyph glyph;
        glyph.position.x = reader.i32();
        glyph.position.y = reader.i32();
        glyph.origin.x = reader.i32();
        glyph.origin.y = reader.i32();
        glyph.width = reader.u16();
        glyph.height = reader.u16();
        const std::size_t line = (std::size_t{glyph.width} * glyph_bits + 7) / 8;
        glyph.pixels = reader.bytes(line * glyph.height);
        if (!reader.ok())
            return fail(ErrorCode::protocol, "guest text: the pixels of glyph {} are cut", at);
        made.glyphs.push_back(glyph);
    }
    return made;
}

}  // namespace segue::spice::server
