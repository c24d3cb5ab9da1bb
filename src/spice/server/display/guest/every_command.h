// SPDX-License-Identifier: LGPL-2.1-or-later
// For tests: guest memory with one command of every kind, all of them right, with bitmaps of each
// format and pictures in QUIC among them.
#pragma once

#include <spice/enums.h>

#include <cstdlib>

#include "spice/codec/quic.h"
#include "spice/server/display/guest/fake_device.h"

namespace segue::spice::server {

// The primary surface, which begins the memory, and what stands behind it.
constexpr std::uint32_t kSide = 32;
constexpr std::size_t kPixels = kSide * kSide * 4;
constexpr std::size_t kGuestData = 32 << 10;

template <class Data>
struct GuestImage {
    QXLImageDescriptor descriptor;
    Data data;
} __attribute__((packed));

class GuestWriter {
  public:
    explicit GuestWriter(FakeDevice& device) : device_(device) { device_.used = kPixels; }

    template <class T>
    QXLPHYSICAL put(const T& value, std::span<const std::uint8_t> behind = {}) {
        return device_.put(value, behind);
    }
    QXLPHYSICAL bitmap(std::uint8_t format, std::uint32_t bits, bool direct, std::uint8_t flags) {
        constexpr std::uint32_t kEdge = 16;
        GuestImage<QXLBitmap> image{};
        image.descriptor = descriptor(SPICE_IMAGE_TYPE_BITMAP, kEdge, kEdge, flags);
        image.data.format = format;
        image.data.flags =
            static_cast<std::uint8_t>(QXL_BITMAP_TOP_DOWN | (direct ? QXL_BITMAP_DIRECT : 0));
        image.data.x = image.data.y = kEdge;
        image.data.stride = (kEdge * bits + 31) / 32 * 4;
        const std::vector<std::uint8_t> pixels = noise(image.data.stride * kEdge);
        image.data.data = direct ? put(std::uint64_t{}, pixels) + 8 : chunks(pixels);
        if (bits <= 8) image.data.palette = palette(1u << bits);
        return put(image);
    }
    // Lossless forms that old drivers make themselves.
    QXLPHYSICAL quic(codec::PixelFormat format) {
        codec::PictureView view;
        view.format = format;
        view.width = 20;
        view.height = 12;
        const std::vector<std::uint8_t> pixels = noise(view.row_bytes() * view.height);
        view.rows = pixels.data();
        view.stride = static_cast<std::ptrdiff_t>(view.row_bytes());
        codec::QuicEncoder encoder;
        Bytes data;
        if (!encoder.encode(view, data)) std::abort();
        GuestImage<QXLQUICData> image{};
        image.descriptor = descriptor(SPICE_IMAGE_TYPE_QUIC, view.width, view.height, 0);
        image.data.data_size = static_cast<std::uint32_t>(data.size());
        // Its chunk stands where the header ends.
        QXLDataChunk chunk{};
        chunk.data_size = image.data.data_size;
        std::vector<std::uint8_t> behind(sizeof chunk);
        std::memcpy(behind.data(), &chunk, sizeof chunk);
        behind.insert(behind.end(), data.begin(), data.end());
        return put(image, behind);
    }
    QXLPHYSICAL surface(std::uint32_t id) {
        GuestImage<QXLSurfaceId> image{};
        image.descriptor = descriptor(SPICE_IMAGE_TYPE_SURFACE, kSide, kSide, 0);
        image.data.surface_id = id;
        return put(image);
    }
    // In two parts, the second of which stands first.
    QXLPHYSICAL chunks(std::span<const std::uint8_t> bytes) {
        const std::span<const std::uint8_t> first = bytes.first(bytes.size() / 2);
        const std::span<const std::uint8_t> rest = bytes.subspan(bytes.size() / 2);
        QXLDataChunk chunk{};
        chunk.data_size = static_cast<std::uint32_t>(rest.size());
        const QXLPHYSICAL next = put(chunk, rest);
        chunk.data_size = static_cast<std::uint32_t>(first.size());
        chunk.next_chunk = next;
        return put(chunk, first);
    }

  private:
    QXLImageDescriptor descriptor(std::uint8_t type, std::uint32_t width, std::uint32_t height,
                                  std::uint8_t flags) {
        QXLImageDescriptor made{};
        made.id = std::uint64_t{++images_} << 32;
        made.type = type;
        made.flags = flags;
        made.width = width;
        made.height = height;
        return made;
    }
    QXLPHYSICAL palette(std::uint32_t entries) {
        QXLPalette made{};
        made.unique = ++images_;
        made.num_ents = static_cast<std::uint16_t>(entries);
        return put(made, noise(entries * 4));
    }
    std::vector<std::uint8_t> noise(std::size_t size) {
        std::vector<std::uint8_t> made(size);
        for (std::uint8_t& byte : made) {
            seed_ = seed_ * 1103515245u + 12345u;
            byte = static_cast<std::uint8_t>(seed_ >> 20);
        }
        return made;
    }

    FakeDevice& device_;
    std::uint32_t images_ = 0;
    std::uint32_t seed_ = 1;
};

inline QXLDrawable drawable(std::uint8_t type, std::uint32_t surface = 0) {
    QXLDrawable made{};
    made.type = type;
    made.surface_id = surface;
    made.bbox = {4, 4, 20, 24};
    for (int at = 0; at < 3; ++at)
        made.surfaces_dest[at] = -1;
    return made;
}

inline QXLBrush solid(std::uint32_t color) {
    QXLBrush brush{};
    brush.type = SPICE_BRUSH_TYPE_SOLID;
    brush.u.color = color;
    return brush;
}

inline QXLBrush pattern(QXLPHYSICAL image) {
    QXLBrush brush{};
    brush.type = SPICE_BRUSH_TYPE_PATTERN;
    brush.u.pattern.pat = image;
    return brush;
}

// Where they stand, and the memory that holds them.
struct EveryCommand {
    std::vector<QXLPHYSICAL> draws, surfaces, cursors;
    QXLPHYSICAL monitors = 0;
    std::vector<std::uint8_t> memory;
};

inline void put_copies(GuestWriter& memory, EveryCommand& made) {
    std::vector<QXLPHYSICAL> images = {
        memory.bitmap(SPICE_BITMAP_FMT_32BIT, 32, true, 0),
        memory.bitmap(SPICE_BITMAP_FMT_32BIT, 32, true, QXL_IMAGE_CACHE),
        memory.bitmap(SPICE_BITMAP_FMT_RGBA, 32, false, 0),
        memory.bitmap(SPICE_BITMAP_FMT_24BIT, 24, false, QXL_IMAGE_CACHE),
        memory.bitmap(SPICE_BITMAP_FMT_16BIT, 16, true, 0),
        memory.bitmap(SPICE_BITMAP_FMT_8BIT, 8, false, 0),
        memory.bitmap(SPICE_BITMAP_FMT_4BIT_BE, 4, true, 0),
        memory.bitmap(SPICE_BITMAP_FMT_1BIT_BE, 1, true, 0),
        memory.quic(codec::PixelFormat::bgrx32),
        memory.quic(codec::PixelFormat::bgra32),
        memory.quic(codec::PixelFormat::rgb16),
        memory.quic(codec::PixelFormat::bgr24),
        memory.surface(1),
        memory.surface(0),
    };
    for (const QXLPHYSICAL image : images) {
        QXLDrawable copy = drawable(QXL_DRAW_COPY);
        copy.u.copy.src_bitmap = image;
        copy.u.copy.src_area = {0, 0, 12, 12};
        copy.bbox = {2, 3, 14, 15};
        copy.u.copy.rop_descriptor = SPICE_ROPD_OP_PUT;
        made.draws.push_back(memory.put(copy));
        // Scaled, and to the surface off screen.
        copy.surface_id = 1;
        copy.bbox = {0, 0, 30, 9};
        made.draws.push_back(memory.put(copy));
    }
    QXLDrawable masked = drawable(QXL_DRAW_BLEND);
    masked.u.blend.src_bitmap = images[0];
    masked.u.blend.src_area = {0, 0, 16, 16};
    masked.bbox = {0, 0, 16, 16};
    masked.u.blend.rop_descriptor = SPICE_ROPD_OP_XOR;
    masked.u.blend.mask.bitmap = images[7];
    made.draws.push_back(memory.put(masked));
    QXLDrawable alpha = drawable(QXL_DRAW_ALPHA_BLEND);
    alpha.u.alpha_blend.alpha = 100;
    alpha.u.alpha_blend.src_bitmap = images[2];
    alpha.u.alpha_blend.src_area = {0, 0, 16, 16};
    made.draws.push_back(memory.put(alpha));
    QXLDrawable clear = drawable(QXL_DRAW_TRANSPARENT);
    clear.u.transparent.src_bitmap = images[9];
    clear.u.transparent.src_area = {0, 0, 12, 16};
    made.draws.push_back(memory.put(clear));
    QXLDrawable rop = drawable(QXL_DRAW_ROP3);
    rop.u.rop3.src_bitmap = images[8];
    rop.u.rop3.src_area = {0, 0, 12, 20};
    rop.u.rop3.brush = pattern(images[0]);
    rop.u.rop3.rop3 = 0xca;
    made.draws.push_back(memory.put(rop));
    QXLDrawable composite = drawable(QXL_DRAW_COMPOSITE);
    composite.u.composite.flags = QXL_OP_OVER;
    composite.u.composite.src = images[2];
    composite.u.composite.mask = images[12];
    made.draws.push_back(memory.put(composite));
    QXLDrawable opaque = drawable(QXL_DRAW_OPAQUE);
    opaque.u.opaque.src_bitmap = images[5];
    opaque.u.opaque.src_area = {0, 0, 16, 16};
    opaque.u.opaque.brush = solid(0x123456);
    opaque.u.opaque.rop_descriptor = SPICE_ROPD_OP_AND;
    made.draws.push_back(memory.put(opaque));
}

inline void put_plain(GuestWriter& memory, EveryCommand& made) {
    QXLDrawable fill = drawable(QXL_DRAW_FILL);
    fill.u.fill.brush = solid(0xff8040);
    fill.u.fill.rop_descriptor = SPICE_ROPD_OP_PUT;
    made.draws.push_back(memory.put(fill));
    struct {
        QXLRect rects[2];
    } clip{{{0, 0, 9, 9}, {10, 10, 30, 30}}};
    std::vector<std::uint8_t> rects(sizeof clip);
    std::memcpy(rects.data(), &clip, sizeof clip);
    QXLClipRects head{};
    head.num_rects = 2;
    head.chunk.data_size = sizeof clip;
    fill.clip.type = SPICE_CLIP_TYPE_RECTS;
    fill.clip.data = memory.put(head, rects);
    made.draws.push_back(memory.put(fill));
    QXLDrawable move = drawable(QXL_COPY_BITS);
    move.u.copy_bits.src_pos = {1, 9};
    made.draws.push_back(memory.put(move));
    for (const std::uint8_t type : {QXL_DRAW_BLACKNESS, QXL_DRAW_WHITENESS, QXL_DRAW_INVERS})
        made.draws.push_back(memory.put(drawable(type)));
    QXLPathSeg segment{};
    segment.flags = SPICE_PATH_BEGIN | SPICE_PATH_END;
    segment.count = 3;
    const QXLPointFix points[] = {{16, 16}, {300, 40}, {200, 400}};
    std::vector<std::uint8_t> path(sizeof segment + sizeof points);
    std::memcpy(path.data(), &segment, sizeof segment);
    std::memcpy(path.data() + sizeof segment, points, sizeof points);
    QXLPath line{};
    line.data_size = line.chunk.data_size = static_cast<std::uint32_t>(path.size());
    QXLDrawable stroke = drawable(QXL_DRAW_STROKE);
    stroke.u.stroke.path = memory.put(line, path);
    stroke.u.stroke.brush = solid(0xffffff);
    stroke.u.stroke.fore_mode = SPICE_ROPD_OP_PUT;
    made.draws.push_back(memory.put(stroke));
    QXLRasterGlyph glyph{};
    glyph.render_pos = {8, 16};
    glyph.width = glyph.height = 8;
    std::vector<std::uint8_t> letter(sizeof glyph + 8, 0x5a);
    std::memcpy(letter.data(), &glyph, sizeof glyph);
    QXLString string{};
    string.data_size = string.chunk.data_size = static_cast<std::uint32_t>(letter.size());
    string.length = 1;
    string.flags = SPICE_STRING_FLAGS_RASTER_A1;
    QXLDrawable text = drawable(QXL_DRAW_TEXT);
    text.u.text.str = memory.put(string, letter);
    text.u.text.fore_brush = solid(0x00ff00);
    text.u.text.fore_mode = SPICE_ROPD_OP_PUT;
    made.draws.push_back(memory.put(text));
}

inline void put_others(GuestWriter& memory, EveryCommand& made) {
    for (const std::uint32_t format : {SPICE_SURFACE_FMT_32_xRGB, SPICE_SURFACE_FMT_16_555}) {
        QXLSurfaceCmd surface{};
        surface.surface_id = 1;
        surface.type = QXL_SURFACE_CMD_CREATE;
        surface.u.surface_create.format = format;
        surface.u.surface_create.width = surface.u.surface_create.height = 24;
        surface.u.surface_create.stride = 24 * 4;
        surface.u.surface_create.data =
            memory.put(std::uint64_t{}, std::vector<std::uint8_t>(24 * 24 * 4, 0x33)) + 8;
        made.surfaces.push_back(memory.put(surface));
        surface.type = QXL_SURFACE_CMD_DESTROY;
        made.surfaces.push_back(memory.put(surface));
    }
    QXLCursor shape{};
    shape.header.unique = 5;
    shape.header.type = SPICE_CURSOR_TYPE_ALPHA;
    shape.header.width = shape.header.height = 8;
    shape.data_size = shape.chunk.data_size = 8 * 8 * 4;
    QXLCursorCmd cursor{};
    cursor.type = QXL_CURSOR_SET;
    cursor.u.set.visible = 1;
    cursor.u.set.shape = memory.put(shape, std::vector<std::uint8_t>(8 * 8 * 4, 0x77));
    made.cursors.push_back(memory.put(cursor));
    cursor.type = QXL_CURSOR_MOVE;
    cursor.u.position = {7, 7};
    made.cursors.push_back(memory.put(cursor));
    cursor.type = QXL_CURSOR_HIDE;
    made.cursors.push_back(memory.put(cursor));
    QXLMonitorsConfig monitors{};
    monitors.count = monitors.max_allowed = 1;
    QXLHead head{};
    head.width = head.height = kSide;
    std::vector<std::uint8_t> heads(sizeof head);
    std::memcpy(heads.data(), &head, sizeof head);
    made.monitors = memory.put(monitors, heads);
}

// Made once: encoding takes longer than all that follows.
inline const EveryCommand& every_command() {
    static const EveryCommand commands = [] {
        FakeDevice device(kPixels + kGuestData);
        GuestWriter memory(device);
        EveryCommand made;
        put_plain(memory, made);
        put_copies(memory, made);
        put_others(memory, made);
        made.memory = std::move(device.memory);
        return made;
    }();
    return commands;
}

}  // namespace segue::spice::server
