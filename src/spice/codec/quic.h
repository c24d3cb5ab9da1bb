// SPDX-License-Identifier: LGPL-2.1-or-later
// QUIC: SPICE's lossless codec for photos and gradients (image type QUIC), an adaptive Golomb-Rice
// coder of the SFALIC family with runs. The stream is fully determined by the picture: ours and the
// stock encoder's are the same, bit for bit.
//
//   QuicEncoder encoder;                                  // keep it: it holds its tables and rows
//   TRY(encoder.encode(picture, out));                    // appends
//
//   const QuicHeader header = TRY(quic_read_header(data));
//   PixelBuffer pixels(header.pixel_bytes());
//   TRY(quic_decode(data, pixels.span()));                // rows together; the fourth byte is 0
#pragma once

#include <memory>

#include "spice/codec/picture.h"

namespace segue::spice::codec {

// The numbers of the wire.
enum class QuicType : std::uint8_t { gray = 1, rgb16, rgb24, rgb32, rgba };

struct QuicHeader {
    QuicType type = QuicType::rgb32;
    std::uint32_t width = 0;
    std::uint32_t height = 0;

    // rgb24 comes out as bgrx32; gray as alpha8, one byte a pixel.
    PixelFormat format() const;
    std::size_t row_bytes() const { return row_size(format(), width); }
    std::size_t pixel_bytes() const { return row_bytes() * height; }
};

class QuicEncoder {
  public:
    QuicEncoder();
    ~QuicEncoder();
    // rgb16, bgr24, bgrx32, bgra32; alpha8 as gray. Rows may have any stride.
    Result<> encode(const PictureView& picture, Bytes& out);

  private:
    struct Work;
    std::unique_ptr<Work> work_;
};

Result<QuicHeader> quic_read_header(ByteView data);
Result<> quic_decode(ByteView data, std::span<std::uint8_t> pixels);

}  // namespace segue::spice::codec
