// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/stream/stream_reader.h"

#include <spice/enums.h>
#include <spice/stream-device.h>

#include <algorithm>

namespace segue::spice::server {
namespace {

constexpr std::size_t kFormat = sizeof(StreamMsgFormat);
constexpr std::size_t kCursorHead = sizeof(StreamMsgCursorSet);
constexpr std::size_t kCursorMove = sizeof(StreamMsgCursorMove);
constexpr std::size_t kOriginHead = sizeof(StreamMsgDeviceDisplayInfo);

struct Sizes {
    std::size_t least;
    std::size_t most;
};

// Pixels, and a bit of mask each where the type has one (SPICE_CURSOR_TYPE_*).
std::size_t cursor_bits(std::uint8_t type) {
    switch (type) {
        case SPICE_CURSOR_TYPE_ALPHA: return 32;
        case SPICE_CURSOR_TYPE_COLOR24: return 25;
        case SPICE_CURSOR_TYPE_COLOR32: return 33;
        default: return 0;
    }
}

constexpr std::size_t kMostCursor =
    std::size_t{StreamReader::kMostCursorSide} * StreamReader::kMostCursorSide * 33 / 8;

// How large the body of a message may be; nothing: no guest says this.
std::optional<Sizes> sizes_of(std::uint16_t type) {
    switch (type) {
        case STREAM_TYPE_CAPABILITIES: return Sizes{0, StreamReader::kMostCapabilities};
        case STREAM_TYPE_FORMAT: return Sizes{kFormat, kFormat};
        case STREAM_TYPE_DATA: return Sizes{0, StreamReader::kMostFrame};
        case STREAM_TYPE_CURSOR_SET: return Sizes{kCursorHead, kCursorHead + kMostCursor};
        case STREAM_TYPE_CURSOR_MOVE: return Sizes{kCursorMove, kCursorMove};
        case STREAM_TYPE_DEVICE_DISPLAY_INFO:
            return Sizes{kOriginHead, kOriginHead + StreamReader::kMostAddress + 1};
        default: return std::nullopt;
    }
}

bool is_codec(std::uint8_t type) {
    return type >= SPICE_VIDEO_CODEC_TYPE_MJPEG && type < SPICE_VIDEO_CODEC_TYPE_ENUM_END;
}

Result<StreamMessage> read_format(LittleReader& reader) {
    StreamFormat format;
    format.width = reader.u32();
    format.height = reader.u32();
    format.codec = reader.u8();
    const auto fits = [](std::uint32_t side) {
        return side > 0 && side <= StreamReader::kMostSide;
    };
    if (!fits(format.width) || !fits(format.height)) {
        return fail(ErrorCode::protocol, "stream: {}x{} pixels, at most {} aside", format.width,
                    format.height, StreamReader::kMostSide);
    }
    if (!is_codec(format.codec)) {
        return fail(ErrorCode::protocol, "stream: a codec of type {}", format.codec);
    }
    return format;
}

Result<StreamMessage> read_cursor(LittleReader& reader) {
    auto shape = std::make_shared<CursorShape>();
    shape->width = reader.u16();
    shape->height = reader.u16();
    shape->hot_spot_x = reader.u16();
    shape->hot_spot_y = reader.u16();
    const std::uint8_t type = reader.u8();
    shape->type = type;
    reader.bytes(3);
    const std::size_t bits = cursor_bits(type);
    if (bits == 0) return fail(ErrorCode::protocol, "stream: a cursor of type {}", type);
    const std::uint32_t longer = std::max(shape->width, shape->height);
    if (longer > StreamReader::kMostCursorSide) {
        return fail(ErrorCode::protocol, "stream: a cursor of {}x{} pixels, at most {} aside",
                    shape->width, shape->height, StreamReader::kMostCursorSide);
    }
    const std::size_t size = (std::size_t{shape->width} * shape->height * bits + 7) / 8;
    if (reader.remaining() < size) {
        return fail(ErrorCode::protocol, "stream: a cursor of {} bytes, {} needed",
                    reader.remaining(), size);
    }
    const ByteView pixels = reader.bytes(size);
    shape->data.assign(pixels.begin(), pixels.end());
    CursorCommand command;
    command.kind = CursorCommand::Kind::set;
    command.visible = true;
    command.shape = std::move(shape);
    return command;
}

std::int16_t coordinate(std::uint32_t value) {
    return static_cast<std::int16_t>(
        std::clamp<std::int32_t>(static_cast<std::int32_t>(value), INT16_MIN, INT16_MAX));
}

Result<StreamMessage> read_cursor_move(LittleReader& reader) {
    CursorCommand command;
    command.kind = CursorCommand::Kind::move;
    command.visible = true;
    command.x = coordinate(reader.u32());
    command.y = coordinate(reader.u32());
    return command;
}

Result<StreamMessage> read_origin(LittleReader& reader) {
    StreamOrigin origin;
    origin.stream = reader.u32();
    origin.output = reader.u32();
    const std::uint32_t size = reader.u32();
    if (size > reader.remaining()) {
        return fail(ErrorCode::protocol, "stream: an address of {} bytes in {}", size,
                    reader.remaining());
    }
    const std::string_view text = as_text(reader.bytes(size));
    origin.address = text.substr(0, text.find('\0'));
    return origin;
}

Bytes message(std::uint16_t type, ByteView body) {
    LittleWriter writer;
    writer.u8(STREAM_DEVICE_PROTOCOL);
    writer.u8(0);
    writer.u16(type);
    writer.u32(static_cast<std::uint32_t>(body.size()));
    writer.bytes(body);
    return writer.take();
}

}  // namespace

Result<std::optional<StreamMessage>> StreamReader::feed(ByteView& bytes) {
    const auto take = [&](std::size_t up_to) {
        const std::size_t size = std::min(up_to - message_.size(), bytes.size());
        message_.insert(message_.end(), bytes.begin(),
                        bytes.begin() + static_cast<std::ptrdiff_t>(size));
        bytes = bytes.subspan(size);
        return message_.size() == up_to;
    };
    begins_frame_ = false;
    if (message_.size() < kHeader) {
        if (!take(kHeader)) return std::nullopt;
        TRY(read_header());
        begins_frame_ = type_ == STREAM_TYPE_DATA;
    }
    if (!take(kHeader + std::size_t{size_})) return std::nullopt;
    StreamMessage whole = TRY(read_body());
    message_.clear();
    return whole;
}

Result<> StreamReader::read_header() {
    LittleReader reader(message_);
    const std::uint8_t version = reader.u8();
    reader.u8();
    type_ = reader.u16();
    size_ = reader.u32();
    const std::optional<Sizes> sizes = sizes_of(type_);
    if (version != STREAM_DEVICE_PROTOCOL || !sizes) {
        return fail(ErrorCode::protocol, "stream: message {} of version {} is not known", type_,
                    version);
    }
    if (size_ < sizes->least || size_ > sizes->most) {
        return fail(ErrorCode::protocol, "stream: message {} of {} bytes, {} to {} allowed", type_,
                    size_, sizes->least, sizes->most);
    }
    return {};
}

Result<StreamMessage> StreamReader::read_body() {
    if (type_ == STREAM_TYPE_DATA) {
        message_.erase(message_.begin(), message_.begin() + kHeader);
        return StreamFrame{std::exchange(message_, {})};
    }
    LittleReader reader(ByteView(message_).subspan(kHeader));
    switch (type_) {
        case STREAM_TYPE_FORMAT: return read_format(reader);
        case STREAM_TYPE_CURSOR_SET: return read_cursor(reader);
        case STREAM_TYPE_CURSOR_MOVE: return read_cursor_move(reader);
        case STREAM_TYPE_DEVICE_DISPLAY_INFO: return read_origin(reader);
        default: {
            const ByteView bits = reader.bytes(reader.remaining());
            return StreamCapabilities{Bytes(bits.begin(), bits.end())};
        }
    }
}

// None is ours: the quality indicator is for modules of stock's.
Bytes stream_capabilities() {
    return message(STREAM_TYPE_CAPABILITIES, Bytes((STREAM_CAP_END + 7) / 8));
}

Bytes stream_start_stop(ByteView codecs) {
    Bytes body{static_cast<std::uint8_t>(codecs.size())};
    body.insert(body.end(), codecs.begin(), codecs.end());
    return message(STREAM_TYPE_START_STOP, body);
}

Bytes stream_error(std::string_view text) {
    LittleWriter body;
    body.u32(0);
    body.bytes(as_bytes(text));
    body.u8(0);
    return message(STREAM_TYPE_NOTIFY_ERROR, body.take());
}

}  // namespace segue::spice::server
