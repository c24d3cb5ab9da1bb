// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>

#include "spice/codec/lz.h"
#include "spice/codec/lz_match.h"

namespace segue::spice::codec {

namespace {

constexpr std::size_t kMaxLiterals = 32;
constexpr std::uint32_t kNearDistance = 8191;             // biased by one: 0 is the unit before
constexpr std::uint32_t kFarDistance = 8191 + 65535 - 2;  // what every decoder takes

std::uint8_t* put_match(std::size_t length, std::uint32_t distance, std::uint8_t* out) {
    const bool is_far = distance >= kNearDistance;
    const auto high = static_cast<std::uint8_t>(is_far ? 31 : distance >> 8);
    if (length < 7) {
        *out++ = static_cast<std::uint8_t>(length << 5 | high);
    } else {
        *out++ = static_cast<std::uint8_t>(7 << 5 | high);
        for (length -= 7; length >= 255; length -= 255)
            *out++ = 255;
        *out++ = static_cast<std::uint8_t>(length);
    }
    *out++ = static_cast<std::uint8_t>(is_far ? 255 : distance);
    if (is_far) {
        *out++ = static_cast<std::uint8_t>((distance - kNearDistance) >> 8);
        *out++ = static_cast<std::uint8_t>(distance - kNearDistance);
    }
    return out;
}

}  // namespace

// One pass over a stretch of units. Positions in the table are base + index.
template <class Unit>
struct LzPass {
    using Kind = LzUnit<Unit>;
    const Unit* units;
    const Unit* end;
    std::uint32_t* table;
    std::uint32_t* pairs;
    std::uint32_t base;
    unsigned table_bits;
    unsigned pair_bits;

    struct Match {
        std::size_t length = 0;
        std::uint32_t distance = 0;  // biased by one
    };

    std::uint32_t& entry(const Unit* at) const { return table[hash_units(at, table_bits)]; }
    std::uint32_t& pair(const Unit* at) const { return pairs[hash_pair(at, pair_bits)]; }
    std::uint32_t position(const Unit* at) const {
        return base + static_cast<std::uint32_t>(at - units);
    }

    // The match that a table knows of, which is then told of this place.
    Match known(std::uint32_t& seen, const Unit* at, std::uint32_t farthest) const {
        const std::uint32_t distance = position(at) - seen - 1;
        const bool is_new = seen < base || distance > farthest;
        seen = position(at);
        if (is_new) return {};
        const std::size_t length = same_length(at, at - distance - 1, end);
        const std::size_t least = distance >= kNearDistance ? Kind::kFarLength : Kind::kBias + 1;
        return length < least ? Match{} : Match{length, distance};
    }

    Match find(const Unit* at) const {
        if (same_unit(at[0], at[-1]) && same_unit(at[1], at[0]) && same_unit(at[2], at[0])) {
            return {same_length(at, at - 1, end), 0};
        }
        const Match match = known(entry(at), at, kFarDistance);
        if constexpr (sizeof(Unit) > 1) {
            const Match near = known(pair(at), at, kNearDistance - 1);
            if (match.length == 0) return near;
        }
        return match;
    }

    void remember(const Unit* at) const {
        entry(at) = position(at);
        if constexpr (sizeof(Unit) > 1) pair(at) = position(at);
    }

    std::uint8_t* run(std::uint8_t* out) {
        const Unit* literals = units;
        const Unit* at = units + 1;
        const Unit* const last = end - kHashedUnits;
        while (at <= last) {
            const Match match = find(at);
            if (match.length == 0) {
                // Where nothing has matched for long, not every unit is tried.
                at += 1 + std::min<std::size_t>(static_cast<std::size_t>(at - literals) >> 9, 3);
                continue;
            }
            out = put_literals(literals, static_cast<std::size_t>(at - literals), out);
            out = put_match(match.length - Kind::kBias, match.distance, out);
            at += match.length;
            literals = at;
            if (at <= last) {
                remember(at - 2);
                remember(at - 1);
            }
        }
        return put_literals(literals, static_cast<std::size_t>(end - literals), out);
    }
};

std::uint8_t* LzEncoder::scratch(std::size_t size) {
    if (scratch_size_ < size) {
        scratch_ = std::make_unique_for_overwrite<std::uint8_t[]>(size);
        scratch_size_ = size;
    }
    return scratch_.get();
}

template <class Unit>
void LzEncoder::put_units(const Unit* units, std::size_t count, Bytes& out) {
    if (count > UINT32_MAX - base_) {
        std::fill(table_.begin(), table_.end(), 0);
        std::fill(pairs_.begin(), pairs_.end(), 0);
        base_ = 1;
    }
    // All literals is the worst that happens; one more for put_literals.
    const std::size_t most = count * LzUnit<Unit>::kLiteral + count / kMaxLiterals + 8;
    std::uint8_t* const start = scratch(most);
    // Of a small picture a small part of the tables is used: it was seldom touched of late, and
    // each new line of it comes from far away.
    const auto enough = static_cast<unsigned>(std::bit_width(count | 255));
    LzPass<Unit> pass{units,
                      units + count,
                      table_.data(),
                      pairs_.data(),
                      base_,
                      std::min(enough, kTableBits),
                      std::min(enough, kPairBits)};
    const std::uint8_t* const end = pass.run(start);
    out.insert(out.end(), static_cast<const std::uint8_t*>(start), end);
    base_ += static_cast<std::uint32_t>(count);
}

void LzEncoder::put_header(LzType type, const PictureView& picture, Bytes& out) {
    BigWriter header;
    header.u32(0x20205a4c);
    header.u32(0x00010001);
    header.u32(static_cast<std::uint32_t>(type));
    header.u32(picture.width);
    header.u32(picture.height);
    header.u32(static_cast<std::uint32_t>(picture.row_bytes()));
    header.u32(picture.top_down ? 1 : 0);
    out.insert(out.end(), header.view().begin(), header.view().end());
}

// The rows without what lies between them: matches may reach from row to row. A guest may have put
// its pixels at any address.
const std::uint8_t* LzEncoder::contiguous(const PictureView& picture) {
    if (picture.is_contiguous() && is_aligned(picture.rows)) return picture.rows;
    const std::size_t size = picture.row_bytes();
    rows_.resize(size * picture.height);
    for (std::uint32_t y = 0; y < picture.height; ++y) {
        std::memcpy(rows_.data() + y * size, picture.row(y), size);
    }
    return rows_.data();
}

void LzEncoder::gather_alpha(const PictureView& picture) {
    rows_.resize(std::size_t{picture.width} * picture.height);
    std::uint8_t* to = rows_.data();
    for (std::uint32_t y = 0; y < picture.height; ++y) {
        const std::uint8_t* from = picture.row(y) + 3;
        for (std::uint32_t x = 0; x < picture.width; ++x)
            *to++ = from[4 * std::size_t{x}];
    }
}

namespace {

LzType type_of(PixelFormat format) {
    switch (format) {
        case PixelFormat::one_bit_le: return LzType::one_bit_le;
        case PixelFormat::one_bit_be: return LzType::one_bit_be;
        case PixelFormat::four_bit_le: return LzType::four_bit_le;
        case PixelFormat::four_bit_be: return LzType::four_bit_be;
        case PixelFormat::eight_bit: return LzType::eight_bit;
        case PixelFormat::rgb16: return LzType::rgb16;
        case PixelFormat::bgr24: return LzType::rgb24;
        case PixelFormat::bgrx32: return LzType::rgb32;
        case PixelFormat::bgra32: return LzType::rgba;
        case PixelFormat::alpha8: return LzType::alpha8;
    }
    return LzType::rgb32;
}

}  // namespace

Result<> LzEncoder::encode(const PictureView& picture, Bytes& out) {
    const Result<> fits = check_size("LZ", picture.format, picture.width, picture.height);
    if (!fits) return fits;
    put_header(type_of(picture.format), picture, out);
    const std::size_t pixels = std::size_t{picture.width} * picture.height;
    switch (picture.format) {
        case PixelFormat::bgrx32:
        case PixelFormat::bgra32:
            put_units(reinterpret_cast<const std::uint32_t*>(contiguous(picture)), pixels, out);
            if (picture.format == PixelFormat::bgra32) {
                gather_alpha(picture);
                put_units(rows_.data(), rows_.size(), out);
            }
            break;
        case PixelFormat::bgr24: {
            std::vector<std::uint32_t> wide(pixels);
            std::uint32_t* to = wide.data();
            for (std::uint32_t y = 0; y < picture.height; ++y) {
                const std::uint8_t* from = picture.row(y);
                for (std::uint32_t x = 0; x < picture.width; ++x, from += 3) {
                    *to++ = static_cast<std::uint32_t>(from[0] | from[1] << 8 | from[2] << 16);
                }
            }
            put_units(wide.data(), pixels, out);
            break;
        }
        case PixelFormat::rgb16:
            put_units(reinterpret_cast<const std::uint16_t*>(contiguous(picture)), pixels, out);
            break;
        case PixelFormat::one_bit_le:
        case PixelFormat::one_bit_be:
        case PixelFormat::four_bit_le:
        case PixelFormat::four_bit_be:
        case PixelFormat::eight_bit:
        case PixelFormat::alpha8: put_units(contiguous(picture), picture.bytes(), out); break;
    }
    return {};
}

Result<> LzEncoder::encode_alpha(const PictureView& picture, Bytes& out) {
    const Result<> fits = check_size("LZ", picture.format, picture.width, picture.height);
    if (!fits) return fits;
    if (picture.format != PixelFormat::bgra32) {
        return fail(ErrorCode::invalid_argument, "LZ: only bgra32 pictures have an alpha plane");
    }
    put_header(LzType::alpha_only, picture, out);
    gather_alpha(picture);
    put_units(rows_.data(), rows_.size(), out);
    return {};
}

}  // namespace segue::spice::codec
