// SPDX-License-Identifier: LGPL-2.1-or-later
// SPICE's LZ: FastLZ level 2 with pixels as units. Image types LZ_RGB and LZ_PLT, and the alpha
// plane of JPEG_ALPHA.
//
//   LzEncoder encoder;                                // keep it: it holds its tables and scratch
//   TRY(encoder.encode(picture, out));                // appends to `out`
//
//   const LzHeader header = TRY(lz_read_header(data));   // checked against the bounds of picture.h
//   pixels.resize(header.pixel_bytes());
//   TRY(lz_decode(data, pixels));                        // exactly that many bytes, rows together
//
// Stream: 28 bytes of header, big endian; then control bytes. c < 32: c + 1 literals follow. Else a
// match: length c >> 5, with 7 more bytes are added while they are 255; distance (c & 31) << 8 |
// next, at 8191 two more bytes are added to it.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "spice/codec/picture.h"

namespace segue::spice::codec {

// The numbers of the wire.
enum class LzType : std::uint8_t {
    one_bit_le = 1,
    one_bit_be,
    four_bit_le,
    four_bit_be,
    eight_bit,
    rgb16,
    rgb24,
    rgb32,
    rgba,        // the colours, then the alpha plane
    alpha_only,  // only the alpha of 32-bit pixels (XXXA)
    alpha8,
};

struct LzHeader {
    LzType type = LzType::rgb32;
    std::uint32_t width = 0;
    std::uint32_t height = 0;
    bool top_down = true;

    // The form of the decoded rows: rgb24 comes out as bgrx32, the alpha plane inside bgra32.
    PixelFormat format() const;
    std::size_t row_bytes() const { return row_size(format(), width); }
    std::size_t pixel_bytes() const { return row_bytes() * height; }
};

class LzEncoder {
  public:
    // Appends header and data. bgra32 keeps its alpha; bgrx32 drops the fourth byte.
    Result<> encode(const PictureView& picture, Bytes& out);
    // Appends only the alpha plane of a bgra32 picture (type alpha_only), for JPEG_ALPHA.
    Result<> encode_alpha(const PictureView& picture, Bytes& out);

  private:
    template <class Unit>
    friend struct LzPass;

    static constexpr unsigned kTableBits = 14;
    static constexpr unsigned kPairBits = 13;

    void put_header(LzType type, const PictureView& picture, Bytes& out);
    template <class Unit>
    void put_units(const Unit* units, std::size_t count, Bytes& out);
    std::uint8_t* scratch(std::size_t size);
    const std::uint8_t* contiguous(const PictureView& picture);
    void gather_alpha(const PictureView& picture);

    // Where each hash of pixels was last seen; entries below base_ are of earlier pictures.
    std::vector<std::uint32_t> table_ = std::vector<std::uint32_t>(1u << kTableBits);
    std::vector<std::uint32_t> pairs_ = std::vector<std::uint32_t>(1u << kPairBits);
    std::uint32_t base_ = 1;
    std::unique_ptr<std::uint8_t[]> scratch_;
    std::size_t scratch_size_ = 0;
    Bytes rows_;
};

Result<LzHeader> lz_read_header(ByteView data);
// `pixels` has header.pixel_bytes(), at a multiple of 4. With alpha_only the other three bytes of
// each pixel stay. The fourth byte of bgrx32 becomes 0.
Result<> lz_decode(ByteView data, std::span<std::uint8_t> pixels);

}  // namespace segue::spice::codec
