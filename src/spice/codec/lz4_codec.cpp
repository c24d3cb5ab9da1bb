// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/codec/lz4_codec.h"

#include <lz4.h>

#include <algorithm>

namespace segue::spice::codec {

namespace {

constexpr std::size_t kHeaderSize = 2;

tl::unexpected<Error> broken(std::string_view what) {
    return fail(ErrorCode::protocol, "LZ4 picture: {}", what);
}

// The numbers of display.BitmapFormat.
Result<std::uint8_t> wire_format(PixelFormat format) {
    switch (format) {
        case PixelFormat::rgb16: return std::uint8_t{6};
        case PixelFormat::bgr24: return std::uint8_t{7};
        case PixelFormat::bgrx32: return std::uint8_t{8};
        case PixelFormat::bgra32: return std::uint8_t{9};
        default: return fail(ErrorCode::invalid_argument, "LZ4 takes no pictures with palettes");
    }
}

}  // namespace

Result<> lz4_encode(const PictureView& picture, Bytes& out) {
    const std::uint8_t format = TRY(wire_format(picture.format));
    const Result<> fits = check_size("LZ4", picture.format, picture.width, picture.height);
    if (!fits) return fits;
    out.push_back(picture.top_down ? 1 : 0);
    out.push_back(format);

    PixelBuffer together;
    const std::uint8_t* rows = picture.rows;
    if (!picture.is_contiguous()) {
        together = PixelBuffer(picture.bytes());
        for (std::uint32_t y = 0; y < picture.height; ++y) {
            std::memcpy(together.data() + y * picture.row_bytes(), picture.row(y),
                        picture.row_bytes());
        }
        rows = together.data();
    }
    const int size = static_cast<int>(picture.bytes());
    const int bound = LZ4_compressBound(size);
    PixelBuffer block(static_cast<std::size_t>(bound));
    const int used = LZ4_compress_default(reinterpret_cast<const char*>(rows),
                                          reinterpret_cast<char*>(block.data()), size, bound);
    if (used <= 0) return fail(ErrorCode::internal, "LZ4 could not encode {} bytes", size);
    const std::size_t at = out.size();
    out.reserve(at + 4 + static_cast<std::size_t>(used));
    out.resize(at + 4);
    store<ByteOrder::big>(out.data() + at, static_cast<std::uint32_t>(used));
    out.insert(out.end(), block.data(), block.data() + used);
    return {};
}

Result<Lz4Header> lz4_read_header(ByteView data) {
    if (data.size() < kHeaderSize) return broken("no room for its header");
    Lz4Header header;
    header.top_down = data[0] != 0;
    switch (data[1]) {
        case 6: header.format = PixelFormat::rgb16; break;
        case 7: header.format = PixelFormat::bgr24; break;
        case 8: header.format = PixelFormat::bgrx32; break;
        case 9: header.format = PixelFormat::bgra32; break;
        default: return broken("neither 16, 24 nor 32 bits a pixel");
    }
    return header;
}

Result<> lz4_decode(ByteView data, std::span<std::uint8_t> pixels) {
    const Lz4Header header = TRY(lz4_read_header(data));
    static_cast<void>(header);
    if (pixels.size() > kMaxPictureBytes) return broken("larger than the bounds");
    LZ4_streamDecode_t stream;
    LZ4_setStreamDecode(&stream, nullptr, 0);
    BigReader reader(data.subspan(kHeaderSize));
    std::size_t filled = 0;
    while (filled < pixels.size()) {
        const std::uint32_t size = reader.u32();
        const ByteView block = reader.bytes(size);
        if (!reader.ok() || size > INT32_MAX) return broken("the data ends early");
        const int done = LZ4_decompress_safe_continue(
            &stream, reinterpret_cast<const char*>(block.data()),
            reinterpret_cast<char*>(pixels.data() + filled), static_cast<int>(size),
            static_cast<int>(pixels.size() - filled));
        if (done <= 0) return broken("a block is damaged, or has more than the picture");
        filled += static_cast<std::size_t>(done);
    }
    if (reader.remaining() != 0) return broken("more data than the picture");
    return {};
}

Result<> lz4_decode_block(ByteView data, std::span<std::uint8_t> out) {
    const int size = LZ4_decompress_safe(
        reinterpret_cast<const char*>(data.data()), reinterpret_cast<char*>(out.data()),
        static_cast<int>(data.size()), static_cast<int>(out.size()));
    if (size >= 0 && static_cast<std::size_t>(size) == out.size()) return {};
    return fail(ErrorCode::protocol, "LZ4 data of {} bytes do not become {}", data.size(),
                out.size());
}

Bytes lz4_encode_block(ByteView data) {
    const int size = static_cast<int>(data.size());
    Bytes out(static_cast<std::size_t>(LZ4_compressBound(size)));
    const int used = LZ4_compress_default(reinterpret_cast<const char*>(data.data()),
                                          reinterpret_cast<char*>(out.data()), size,
                                          static_cast<int>(out.size()));
    out.resize(static_cast<std::size_t>(std::max(used, 0)));
    return out;
}

}  // namespace segue::spice::codec
