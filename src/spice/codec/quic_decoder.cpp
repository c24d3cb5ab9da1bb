// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>

#include "spice/codec/quic.h"
#include "spice/codec/quic_model.h"

namespace segue::spice::codec {

namespace quic {
namespace {

// Bits, the first one highest, of little-endian words. Behind the end come zeros; `overran()` says
// whether any were used.
class BitReader {
  public:
    explicit BitReader(ByteView words) : at_(words.data()), end_(words.data() + words.size()) {
        left_ = static_cast<std::int64_t>(words.size()) * 8;
        refill();
    }

    // The next 32 bits.
    std::uint32_t peek() const { return static_cast<std::uint32_t>(window_ >> 32); }
    // At most 32.
    void skip(unsigned count) {
        window_ <<= count;
        valid_ -= static_cast<int>(count);
        left_ -= count;
        if (valid_ < 32) refill();
    }
    std::uint32_t take(unsigned count) {
        if (count == 0) return 0;
        const std::uint32_t bits = peek() >> (32 - count);
        skip(count);
        return bits;
    }
    bool overran() const { return left_ < 0; }

  private:
    void refill() {
        do {
            std::uint64_t word = 0;
            if (end_ - at_ >= 4) {
                word = load<ByteOrder::little, std::uint32_t>(at_);
                at_ += 4;
            }
            window_ |= word << (32 - valid_);
            valid_ += 32;
        } while (valid_ < 32);
    }

    const std::uint8_t* at_;
    const std::uint8_t* end_;
    std::uint64_t window_ = 0;
    int valid_ = 0;
    std::int64_t left_ = 0;
};

template <unsigned kBits, unsigned kParts>
class RowDecoder {
  public:
    RowDecoder(unsigned width, BitReader& bits) : width_(width), bits_(bits), coder_(width) {}

    // Null above for the first row. False: a run is longer than the row.
    bool row(const std::uint32_t* above, std::uint32_t* row) {
        coder_.start_row(above == nullptr);
        bool is_good = true;
        for_segments(coder_.pace, width_, [&](unsigned from, unsigned to) {
            is_good = is_good && segment(above, row, from, to);
        });
        return is_good;
    }

  private:
    using Math = Arithmetic<kBits>;

    std::uint32_t value(unsigned code) {
        const auto& codes = kCodes<kBits>;
        const std::uint32_t bits = bits_.peek();
        const auto zeros = static_cast<unsigned>(std::countl_zero(bits));
        std::uint32_t number;
        unsigned length;
        if (zeros < codes.other_prefix[code]) {
            length = zeros + 1 + code;
            number = zeros << code | ((bits >> (32 - length)) & ((1u << code) - 1));
        } else {
            length = codes.other_length[code];
            const unsigned suffix = length - codes.other_prefix[code];
            number = codes.rice_words[code] + ((bits >> (32 - length)) & ((1u << suffix) - 1));
        }
        bits_.skip(length);
        return number & (Math::kLevels - 1);
    }

    std::uint32_t pixel(unsigned at) {
        const auto& context = coder_.contexts[at];
        std::uint32_t folded = 0;
        for (unsigned part = kParts; part-- > 0;) {
            folded |= value(coder_.models[part].best(context[part])) << (8 * part);
        }
        coder_.remember(at, folded);
        return folded;
    }

    bool segment(const std::uint32_t* above, std::uint32_t* row, unsigned at, unsigned end) {
        Pace& pace = coder_.pace;
        if (at == 0) {
            const std::uint32_t folded = pixel(0);
            row[0] = Math::add(Math::unfold(folded), above ? above[0] : 0);
            if (pace.wait > 0) {
                --pace.wait;
            } else {
                pace.wait = pace.next_wait();
                coder_.learn(0, folded);
            }
            at = 1;
        }
        unsigned stop = at + pace.wait;
        unsigned last_run = 0;
        while (at < end) {
            if (above != nullptr && run_starts(above, row, at, last_run)) {
                const unsigned wait = stop - at;
                const unsigned length = take_run(end - at);
                if (length > end - at) return false;
                last_run = at;
                std::fill_n(row + at, length, row[at - 1]);
                at += length;
                if (at == end) {
                    pace.wait = wait;
                    return true;
                }
                stop = at + wait;
                continue;
            }
            const std::uint32_t folded = pixel(at);
            const std::uint32_t expected =
                above ? Math::average(row[at - 1], above[at]) : row[at - 1];
            row[at] = Math::add(Math::unfold(folded), expected);
            if (at == stop) {
                coder_.learn(at, folded);
                stop = at + 1 + pace.next_wait();
            }
            ++at;
        }
        pace.wait = stop - end;
        return true;
    }

    // More than `most`: the run is broken.
    unsigned take_run(unsigned most) {
        Pace& pace = coder_.pace;
        unsigned length = 0;
        while (bits_.take(1) != 0) {
            length += 1u << pace.run_order();
            if (length > most) return length;
            pace.run_longer();
        }
        length += bits_.take(pace.run_order());
        pace.run_shorter();
        return length;
    }

    unsigned width_;
    BitReader& bits_;
    Coder<kBits, kParts> coder_;
};

void pack(const QuicHeader& header, const std::uint32_t* from, std::uint8_t* to) {
    switch (header.type) {
        case QuicType::gray:
            for (std::uint32_t x = 0; x < header.width; ++x)
                to[x] = static_cast<std::uint8_t>(from[x]);
            break;
        case QuicType::rgb16:
            for (std::uint32_t x = 0; x < header.width; ++x, to += 2) {
                const std::uint32_t pixel = from[x];
                store<ByteOrder::little>(
                    to, static_cast<std::uint16_t>((pixel & 31) | (pixel >> 8 & 31) << 5 |
                                                   (pixel >> 16 & 31) << 10));
            }
            break;
        case QuicType::rgb24:
        case QuicType::rgb32:
        case QuicType::rgba: std::memcpy(to, from, header.row_bytes()); break;
    }
}

const char* kBadRun = "a run is longer than its row";
const char* kEndsEarly = "the data ends early";

// Null, or what is wrong.
template <unsigned kBits, unsigned kParts>
const char* decode(const QuicHeader& header, BitReader& bits, std::uint8_t* pixels) {
    RowDecoder<kBits, kParts> rows(header.width, bits);
    const bool has_alpha = header.type == QuicType::rgba;
    RowDecoder<8, 1> alpha_rows(has_alpha ? header.width : 0, bits);
    std::vector<std::uint32_t> memory(std::size_t{header.width} * 4);
    std::uint32_t* above = memory.data();
    std::uint32_t* row = above + header.width;
    std::uint32_t* alpha_above = row + header.width;
    std::uint32_t* alpha = alpha_above + header.width;
    for (std::uint32_t y = 0; y < header.height; ++y) {
        if (!rows.row(y == 0 ? nullptr : above, row)) return kBadRun;
        std::uint8_t* to = pixels + y * header.row_bytes();
        pack(header, row, to);
        if (has_alpha) {
            if (!alpha_rows.row(y == 0 ? nullptr : alpha_above, alpha)) return kBadRun;
            for (std::uint32_t x = 0; x < header.width; ++x) {
                to[4 * std::size_t{x} + 3] = static_cast<std::uint8_t>(alpha[x]);
            }
            std::swap(alpha, alpha_above);
        }
        std::swap(row, above);
        if (bits.overran()) return kEndsEarly;
    }
    return nullptr;
}

}  // namespace
}  // namespace quic

namespace {

tl::unexpected<Error> broken(std::string_view what) {
    return fail(ErrorCode::protocol, "QUIC picture: {}", what);
}

}  // namespace

PixelFormat QuicHeader::format() const {
    switch (type) {
        case QuicType::gray: return PixelFormat::alpha8;
        case QuicType::rgb16: return PixelFormat::rgb16;
        case QuicType::rgb24:
        case QuicType::rgb32: return PixelFormat::bgrx32;
        case QuicType::rgba: return PixelFormat::bgra32;
    }
    return PixelFormat::bgrx32;
}

Result<QuicHeader> quic_read_header(ByteView data) {
    LittleReader reader(data);
    const std::uint32_t magic = reader.u32();
    const std::uint32_t version = reader.u32();
    const std::uint32_t type = reader.u32();
    QuicHeader header;
    header.width = reader.u32();
    header.height = reader.u32();
    if (!reader.ok()) return broken("no room for its header");
    if (magic != quic::kMagic || version != 0) return broken("wrong magic or version");
    if (type < 1 || type > 5) return broken("unknown type");
    header.type = static_cast<QuicType>(type);
    const Result<> fits = check_size("QUIC", header.format(), header.width, header.height);
    if (!fits) return tl::unexpected(fits.error());
    return header;
}

Result<> quic_decode(ByteView data, std::span<std::uint8_t> pixels) {
    const QuicHeader header = TRY(quic_read_header(data));
    if (pixels.size() != header.pixel_bytes()) {
        return fail(ErrorCode::invalid_argument, "QUIC picture: room for {} bytes, {} are needed",
                    pixels.size(), header.pixel_bytes());
    }
    quic::BitReader bits(data.subspan(quic::kHeaderSize));
    const char* wrong = nullptr;
    switch (header.type) {
        case QuicType::gray: wrong = quic::decode<8, 1>(header, bits, pixels.data()); break;
        case QuicType::rgb16: wrong = quic::decode<5, 3>(header, bits, pixels.data()); break;
        case QuicType::rgb24:
        case QuicType::rgb32:
        case QuicType::rgba: wrong = quic::decode<8, 3>(header, bits, pixels.data()); break;
    }
    if (wrong != nullptr) return broken(wrong);
    return {};
}

}  // namespace segue::spice::codec
