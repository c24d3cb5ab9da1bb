// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/replay/recorded_command.h"

#include <spice/enums.h>

#include <cstring>

namespace segue::spice::server {
namespace {

constexpr std::int64_t kMostChunks = 65536;
constexpr std::int64_t kMostPaletteEntries = 256;

// Reads the parts of one command; `put` gives them a place that lives as long as the command.
class CommandReader {
  public:
    CommandReader(RecordingReader& reader, RecordedCommand& command)
        : reader_(reader), memory_(command.memory) {}

    QXLPHYSICAL read(std::uint32_t type) {
        switch (type) {
            case QXL_CMD_DRAW: return put(drawable());
            case QXL_CMD_UPDATE: return put(update());
            case QXL_CMD_MESSAGE: return message();
            case QXL_CMD_SURFACE: return put(surface());
            case QXL_CMD_CURSOR: return put(cursor_command());
            default: reader_.fail_with(fmt::format("a command of type {}", type)); return 0;
        }
    }

  private:
    // --- Memory ---
    std::uint8_t* room(std::size_t size) { return keep(Bytes(size)); }
    std::uint8_t* keep(Bytes bytes) {
        memory_.push_back(std::move(bytes));
        return memory_.back().data();
    }
    static QXLPHYSICAL address(const void* place) {
        return static_cast<QXLPHYSICAL>(reinterpret_cast<std::uintptr_t>(place));
    }
    QXLPHYSICAL put(Bytes bytes) { return address(keep(std::move(bytes))); }
    template <class T>
    QXLPHYSICAL put(const T& value) {
        std::uint8_t* place = room(sizeof value);
        std::memcpy(place, &value, sizeof value);
        return address(place);
    }

    // --- Small things ---
    QXLPoint point() {
        reader_.expect("point");
        QXLPoint made{};
        made.x = static_cast<std::int32_t>(reader_.number());
        made.y = static_cast<std::int32_t>(reader_.number());
        return made;
    }
    QXLPoint16 two_numbers(std::string_view name) {
        reader_.expect(name);
        QXLPoint16 made{};
        made.x = static_cast<std::int16_t>(reader_.number());
        made.y = static_cast<std::int16_t>(reader_.number());
        return made;
    }
    QXLRect rect(std::string_view name) {
        reader_.expect("rect");
        reader_.expect(name);
        QXLRect made{};
        made.top = static_cast<std::int32_t>(reader_.number());
        made.left = static_cast<std::int32_t>(reader_.number());
        made.bottom = static_cast<std::int32_t>(reader_.number());
        made.right = static_cast<std::int32_t>(reader_.number());
        return made;
    }

    // All chunks as one behind `head`, a struct that ends with its first chunk: what the device had
    // in pieces means the same in one. Returns the bytes of data; `place` is the struct.
    std::size_t chunks(std::string_view name, std::size_t head, std::uint8_t*& place) {
        reader_.expect("data_chunks");
        const std::int64_t more = reader_.number();
        reader_.number();  // their size together
        if (more < 0 || more > kMostChunks) reader_.fail_with(fmt::format("{} chunks", more));
        Bytes data = reader_.binary(name, head);
        if (data.size() < head) data.resize(head);  // it failed
        for (std::int64_t at = 0; at < more && !reader_.failed(); ++at) {
            const Bytes next = reader_.binary(name);
            if (data.size() + next.size() > RecordingReader::kMostBytes)
                reader_.fail_with(fmt::format("'{}' in chunks is too large", name));
            data.insert(data.end(), next.begin(), next.end());
        }
        const std::size_t size = data.size() - head;
        place = keep(std::move(data));
        QXLDataChunk chunk{};
        chunk.data_size = static_cast<std::uint32_t>(size);
        std::memcpy(place + head - sizeof chunk, &chunk, sizeof chunk);
        return size;
    }

    // --- Pictures and what draws with them ---
    QXLPHYSICAL palette() {
        const std::int64_t count = reader_.field("qp.num_ents");
        if (count < 0 || count > kMostPaletteEntries) {
            reader_.fail_with(fmt::format("a palette of {} entries", count));
            return 0;
        }
        std::vector<std::uint32_t> entries(static_cast<std::size_t>(count));
        QXLPalette head{};
        head.num_ents = static_cast<std::uint16_t>(count);
        head.unique = reader_.value("unique");
        for (std::uint32_t& entry : entries)
            entry = reader_.value("ents");
        std::uint8_t* place = room(sizeof head + entries.size() * sizeof(std::uint32_t));
        std::memcpy(place, &head, sizeof head);
        if (!entries.empty()) {
            std::memcpy(place + sizeof head, entries.data(),
                        entries.size() * sizeof(std::uint32_t));
        }
        return address(place);
    }

    QXLPHYSICAL image() {
        if (reader_.field("image") == 0 || reader_.failed()) return 0;
        QXLImage made{};
        made.descriptor.id = reader_.value("descriptor.id");
        made.descriptor.type = reader_.value("descriptor.type");
        made.descriptor.flags = reader_.value("descriptor.flags");
        made.descriptor.width = reader_.value("descriptor.width");
        made.descriptor.height = reader_.value("descriptor.height");
        switch (made.descriptor.type) {
            case SPICE_IMAGE_TYPE_BITMAP: bitmap(made.bitmap); return put(made);
            case SPICE_IMAGE_TYPE_SURFACE:
                made.surface_image.surface_id = reader_.value("surface_image.surface_id");
                return put(made);
            case SPICE_IMAGE_TYPE_QUIC: return quic(made);
            default:
                reader_.fail_with(fmt::format("an image of type {}", made.descriptor.type));
                return 0;
        }
    }

    void bitmap(QXLBitmap& made) {
        made.format = reader_.value("bitmap.format");
        made.flags = reader_.value("bitmap.flags");
        made.x = reader_.value("bitmap.x");
        made.y = reader_.value("bitmap.y");
        made.stride = reader_.value("bitmap.stride");
        if (reader_.field("has_palette") != 0) made.palette = palette();
        const std::uint64_t size = std::uint64_t{made.y} * made.stride;
        std::size_t given = 0;
        if ((made.flags & QXL_BITMAP_DIRECT) != 0) {
            Bytes data = reader_.binary("image_data_flat");
            given = data.size();
            made.data = put(std::move(data));
        } else {
            std::uint8_t* place = nullptr;
            given = chunks("bitmap.data", sizeof(QXLDataChunk), place);
            made.data = address(place);
        }
        if (!reader_.failed() && given < size)
            reader_.fail_with(fmt::format("a bitmap of {} bytes with {}", size, given));
    }

    QXLPHYSICAL quic(const QXLImage& descriptor) {
        reader_.field("quic.data_size");
        constexpr std::size_t kHead =
            sizeof(QXLImageDescriptor) + sizeof(QXLQUICData) + sizeof(QXLDataChunk);
        std::uint8_t* place = nullptr;
        QXLQUICData data{};
        data.data_size = static_cast<std::uint32_t>(chunks("quic.data", kHead, place));
        std::memcpy(place, &descriptor.descriptor, sizeof descriptor.descriptor);
        std::memcpy(place + sizeof descriptor.descriptor, &data, sizeof data);
        return address(place);
    }

    QXLBrush brush() {
        QXLBrush made{};
        made.type = reader_.value("type");
        if (made.type == SPICE_BRUSH_TYPE_SOLID) {
            made.u.color = reader_.value("u.color");
        } else if (made.type == SPICE_BRUSH_TYPE_PATTERN) {
            made.u.pattern.pat = image();
            made.u.pattern.pos = point();
        }
        return made;
    }
    QXLQMask mask() {
        QXLQMask made{};
        made.flags = reader_.value("flags");
        made.pos = point();
        made.bitmap = image();
        return made;
    }

    // --- Operations ---
    QXLClip clip() {
        QXLClip made{};
        made.type = reader_.value("type");
        if (made.type != SPICE_CLIP_TYPE_RECTS) return made;
        const auto count = static_cast<std::uint32_t>(reader_.field("num_rects"));
        std::uint8_t* place = nullptr;
        chunks("clip_rects", sizeof(QXLClipRects), place);
        std::memcpy(place + offsetof(QXLClipRects, num_rects), &count, sizeof count);
        made.data = address(place);
        return made;
    }
    QXLFill fill() {
        QXLFill made{};
        made.brush = brush();
        made.rop_descriptor = reader_.value("rop_descriptor");
        made.mask = mask();
        return made;
    }
    QXLCopy copy() {
        QXLCopy made{};
        made.src_bitmap = image();
        made.src_area = rect("src_area");
        made.rop_descriptor = reader_.value("rop_descriptor");
        made.scale_mode = reader_.value("scale_mode");
        made.mask = mask();
        return made;
    }
    QXLOpaque opaque() {
        QXLOpaque made{};
        made.src_bitmap = image();
        made.src_area = rect("src_area");
        made.brush = brush();
        made.rop_descriptor = reader_.value("rop_descriptor");
        made.scale_mode = reader_.value("scale_mode");
        made.mask = mask();
        return made;
    }
    QXLRop3 rop3() {
        QXLRop3 made{};
        made.src_bitmap = image();
        made.src_area = rect("src_area");
        made.brush = brush();
        made.rop3 = reader_.value("rop3");
        made.scale_mode = reader_.value("scale_mode");
        made.mask = mask();
        return made;
    }
    QXLTransparent transparent() {
        QXLTransparent made{};
        made.src_bitmap = image();
        made.src_area = rect("src_area");
        made.src_color = reader_.value("src_color");
        made.true_color = reader_.value("true_color");
        return made;
    }
    QXLAlphaBlend alpha_blend() {
        QXLAlphaBlend made{};
        made.alpha_flags = reader_.value("alpha_flags");
        made.alpha = reader_.value("alpha");
        made.src_bitmap = image();
        made.src_area = rect("src_area");
        return made;
    }
    QXLStroke stroke() {
        QXLStroke made{};
        std::uint8_t* path = nullptr;
        const auto size = static_cast<std::uint32_t>(chunks("path", sizeof(QXLPath), path));
        std::memcpy(path + offsetof(QXLPath, data_size), &size, sizeof size);
        made.path = address(path);
        made.attr.flags = reader_.value("attr.flags");
        if ((made.attr.flags & SPICE_LINE_FLAGS_STYLED) != 0) {
            made.attr.style_nseg = reader_.value("attr.style_nseg");
            Bytes style = reader_.binary("style");
            if (style.size() < made.attr.style_nseg * sizeof(QXLFIXED))
                reader_.fail_with("a line style with too few segments");
            made.attr.style = put(std::move(style));
        }
        made.brush = brush();
        made.fore_mode = reader_.value("fore_mode");
        made.back_mode = reader_.value("back_mode");
        return made;
    }
    QXLText text() {
        QXLText made{};
        reader_.field("data_size");
        QXLString head{};
        head.length = reader_.value("length");
        head.flags = reader_.value("flags");
        std::uint8_t* place = nullptr;
        head.data_size = static_cast<std::uint32_t>(chunks("string", sizeof head, place));
        std::memcpy(place, &head, offsetof(QXLString, chunk));
        made.str = address(place);
        made.back_area = rect("back_area");
        made.fore_brush = brush();
        made.back_brush = brush();
        made.fore_mode = reader_.value("fore_mode");
        made.back_mode = reader_.value("back_mode");
        return made;
    }
    QXLPHYSICAL transform() {
        Bytes data = reader_.binary("transform");
        if (data.size() < sizeof(QXLTransform)) reader_.fail_with("a transform is too short");
        return put(std::move(data));
    }
    QXLComposite composite() {
        QXLComposite made{};
        made.flags = reader_.value("flags");
        made.src = image();
        if (reader_.field("src_transform") != 0) made.src_transform = transform();
        if (reader_.field("mask") != 0) made.mask = image();
        if (reader_.field("mask_transform") != 0) made.mask_transform = transform();
        made.src_origin = two_numbers("src_origin");
        made.mask_origin = two_numbers("mask_origin");
        return made;
    }

    void operation(QXLDrawable& made) {
        switch (made.type) {
            case QXL_DRAW_NOP: return;
            case QXL_DRAW_FILL: made.u.fill = fill(); return;
            case QXL_DRAW_OPAQUE: made.u.opaque = opaque(); return;
            case QXL_DRAW_COPY: made.u.copy = copy(); return;
            case QXL_DRAW_BLEND: made.u.blend = copy(); return;
            case QXL_COPY_BITS: made.u.copy_bits.src_pos = point(); return;
            case QXL_DRAW_BLACKNESS: made.u.blackness.mask = mask(); return;
            case QXL_DRAW_WHITENESS: made.u.whiteness.mask = mask(); return;
            case QXL_DRAW_INVERS: made.u.invers.mask = mask(); return;
            case QXL_DRAW_ROP3: made.u.rop3 = rop3(); return;
            case QXL_DRAW_STROKE: made.u.stroke = stroke(); return;
            case QXL_DRAW_TEXT: made.u.text = text(); return;
            case QXL_DRAW_TRANSPARENT: made.u.transparent = transparent(); return;
            case QXL_DRAW_ALPHA_BLEND: made.u.alpha_blend = alpha_blend(); return;
            case QXL_DRAW_COMPOSITE: made.u.composite = composite(); return;
            default: reader_.fail_with(fmt::format("a drawing of type {}", made.type));
        }
    }

    // --- Commands ---
    QXLDrawable drawable() {
        QXLDrawable made{};
        reader_.expect("drawable");
        made.bbox = rect("bbox");
        made.clip = clip();
        made.effect = reader_.value("effect");
        made.mm_time = reader_.value("mm_time");
        made.self_bitmap = reader_.value("self_bitmap");
        made.self_bitmap_area = rect("self_bitmap_area");
        made.surface_id = reader_.value("surface_id");
        for (int at = 0; at < 3; ++at) {
            made.surfaces_dest[at] = reader_.value("surfaces_dest");
            made.surfaces_rects[at] = rect("surfaces_rects");
        }
        made.type = reader_.value("type");
        if (!reader_.failed()) operation(made);
        return made;
    }
    QXLUpdateCmd update() {
        QXLUpdateCmd made{};
        reader_.expect("update");
        made.area = rect("area");
        made.update_id = reader_.value("update_id");
        made.surface_id = reader_.value("surface_id");
        return made;
    }
    QXLPHYSICAL message() {
        const Bytes text = reader_.binary("message");
        std::uint8_t* place = room(sizeof(QXLMessage) + text.size() + 1);
        std::copy(text.begin(), text.end(), place + sizeof(QXLMessage));
        return address(place);
    }
    QXLSurfaceCmd surface() {
        QXLSurfaceCmd made{};
        reader_.expect("surface_cmd");
        made.surface_id = reader_.value("surface_id");
        made.type = reader_.value("type");
        made.flags = reader_.value("flags");
        if (made.type != QXL_SURFACE_CMD_CREATE || reader_.failed()) return made;
        QXLSurface& create = made.u.surface_create;
        create.format = reader_.value("u.surface_create.format");
        create.width = reader_.value("u.surface_create.width");
        create.height = reader_.value("u.surface_create.height");
        create.stride = reader_.value("u.surface_create.stride");
        const std::uint64_t size =
            static_cast<std::uint64_t>(std::abs(std::int64_t{create.stride})) * create.height;
        if (size > RecordingReader::kMostBytes)
            reader_.fail_with(fmt::format("a surface of {} bytes", size));
        if (reader_.failed()) return made;
        if ((made.flags & QXL_SURF_FLAG_KEEP_DATA) == 0) {
            create.data = address(room(size));
            return made;
        }
        Bytes pixels = reader_.binary("data");
        pixels.resize(std::max<std::size_t>(pixels.size(), size));
        create.data = put(std::move(pixels));
        return made;
    }
    QXLPHYSICAL cursor_shape() {
        QXLCursor made{};
        made.header.unique = reader_.value("header.unique");
        made.header.type = reader_.value("header.type");
        made.header.width = reader_.value("header.width");
        made.header.height = reader_.value("header.height");
        made.header.hot_spot_x = reader_.value("header.hot_spot_x");
        made.header.hot_spot_y = reader_.value("header.hot_spot_y");
        reader_.field("data_size");
        std::uint8_t* place = nullptr;
        made.data_size = static_cast<std::uint32_t>(chunks("cursor", sizeof made, place));
        std::memcpy(place, &made, offsetof(QXLCursor, chunk));
        return address(place);
    }
    QXLCursorCmd cursor_command() {
        QXLCursorCmd made{};
        reader_.expect("cursor_cmd");
        made.type = reader_.value("type");
        switch (made.type) {
            case QXL_CURSOR_SET:
                made.u.set.position = two_numbers("point16");
                made.u.set.visible = reader_.value("u.set.visible");
                made.u.set.shape = cursor_shape();
                break;
            case QXL_CURSOR_MOVE: made.u.position = two_numbers("point16"); break;
            case QXL_CURSOR_TRAIL:
                made.u.trail.length = reader_.value("u.trail.length");
                made.u.trail.frequency = reader_.value("u.trail.frequency");
                break;
            default: break;
        }
        return made;
    }

    RecordingReader& reader_;
    std::vector<Bytes>& memory_;
};

}  // namespace

std::unique_ptr<RecordedCommand> read_command(RecordingReader& reader, std::uint32_t type) {
    auto made = std::make_unique<RecordedCommand>();
    made->command.cmd.type = type;
    made->command.cmd.data = CommandReader(reader, *made).read(type);
    if (reader.failed()) return made;
    // Whoever gives the command back knows it by this.
    if (type != QXL_CMD_MESSAGE) {
        auto* info =
            reinterpret_cast<QXLReleaseInfo*>(static_cast<std::uintptr_t>(made->command.cmd.data));
        info->id = reinterpret_cast<std::uintptr_t>(&made->command);
    }
    return made;
}

}  // namespace segue::spice::server
