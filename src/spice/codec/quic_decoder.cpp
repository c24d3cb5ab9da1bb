// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>

#include "spice/codec/quic.h"
#include "spice/codec/quic_model.h"

namespace segue::spice::codec {

namespace quic {
namespace {

// The bits of little-endian words, the first one highest, as bytes in reading order. Zeros follow:
// a damaged picture reads them until `overran()` is asked.
class BitSource {
  public:
    explicit BitSource(ByteView words)
        : bytes_(words.size() / 4 * 4 + 8), size_(bytes_.size() - 8) {
        for (std::size_t at = 0; at < size_; at += 4) {
            const auto word = load<ByteOrder::little, std::uint32_t>(words.data() + at);
            store<ByteOrder::big>(bytes_.data() + at, word);
        }
    }

    // At least 57 bits from `position` on, the first one highest.
    std::uint64_t window(std::uint64_t position) const {
        const std::uint64_t at = std::min<std::uint64_t>(position >> 3, size_);
        return load<ByteOrder::big, std::uint64_t>(bytes_.data() + at) << (position & 7);
    }
    bool overran(std::uint64_t position) const { return position > size_ * 8; }

  private:
    Bytes bytes_;
    std::size_t size_;
};

template <unsigned kBits, unsigned kParts>
class RowDecoder {
  public:
    RowDecoder(unsigned width, const BitSource& bits) : width_(width), bits_(bits), coder_(width) {}

    // Null above for the first row. `position` moves on. False: a run is longer than the row.
    bool row(const std::uint32_t* above, std::uint32_t* row, std::uint64_t& position) {
        coder_.start_row(above == nullptr);
        position_ = position;
        bool is_good = true;
        for_segments(coder_.pace, width_, [&](unsigned from, unsigned to) {
            is_good = is_good && segment(above, row, from, to);
        });
        position = position_;
        return is_good;
    }

  private:
    using Math = Arithmetic<kBits>;

    // Takes one value from the top of the window; returns it and moves `used` on.
    static std::uint32_t value(std::uint64_t& window, unsigned& used, unsigned code) {
        const auto& codes = kCodes<kBits>;
        const auto zeros = static_cast<unsigned>(std::countl_zero(window));
        unsigned length = zeros + 1 + code;
        // What stands in front of the first one, and of the fixed form's number, is zeros.
        std::uint64_t number;
        if (zeros < codes.other_prefix[code]) {
            number = (window >> (64 - length)) + ((std::uint64_t{zeros} - 1) << code);
        } else {
            length = codes.other_length[code];
            number = codes.rice_words[code] + (window >> (64 - length));
        }
        window <<= length;
        used += length;
        return static_cast<std::uint32_t>(number) & (Math::kLevels - 1);
    }

    std::uint32_t pixel(std::uint64_t& position, unsigned at) {
        const std::uint32_t context = coder_.contexts[at];
        std::uint64_t window = bits_.window(position);
        unsigned used = 0;
        std::uint32_t folded = 0;
        for (unsigned part = kParts; part-- > 0;) {
            // The window holds two of the longest words; seldom are three of them longer.
            if (used > 57 - Codes<kBits>::kLimit) {
                position += used;
                used = 0;
                window = bits_.window(position);
            }
            const unsigned best = coder_.models[part].best(context >> (8 * part) & 255);
            folded |= value(window, used, best) << (8 * part);
        }
        position += used;
        coder_.contexts[at + 1] = folded;
        return folded;
    }

    bool segment(const std::uint32_t* above, std::uint32_t* row, unsigned at, unsigned end) {
        Pace& pace = coder_.pace;
        std::uint64_t position = position_;  // here it lives in a register
        if (at == 0) {
            const std::uint32_t folded = pixel(position, 0);
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
                const unsigned length = take_run(position, end - at);
                if (length > end - at) return false;
                last_run = at;
                std::fill_n(row + at, length, row[at - 1]);
                at += length;
                stop = at + wait;
                continue;
            }
            const std::uint32_t folded = pixel(position, at);
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
        position_ = position;
        return true;
    }

    // A run starts where the row above repeats, and so did this row just before.
    static bool run_starts(const std::uint32_t* above, const std::uint32_t* row, unsigned at,
                           unsigned last_run) {
        return above[at - 1] == above[at] && last_run != at && at > 2 && row[at - 1] == row[at - 2];
    }

    // More than `most`: the run is broken.
    unsigned take_run(std::uint64_t& position, unsigned most) {
        Pace& pace = coder_.pace;
        unsigned length = 0;
        while (bits_.window(position) >> 63 != 0) {
            ++position;
            length += 1u << pace.run_order();
            if (length > most) return length;
            pace.run_longer();
        }
        ++position;
        const unsigned order = pace.run_order();
        if (order > 0) length += static_cast<unsigned>(bits_.window(position) >> (64 - order));
        position += order;
        pace.run_shorter();
        return length;
    }

    unsigned width_;
    const BitSource& bits_;
    std::uint64_t position_ = 0;
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
const char* decode(const QuicHeader& header, const BitSource& bits, std::uint8_t* pixels) {
    std::uint64_t position = 0;
    RowDecoder<kBits, kParts> rows(header.width, bits);
    const bool has_alpha = header.type == QuicType::rgba;
    RowDecoder<8, 1> alpha_rows(has_alpha ? header.width : 0, bits);
    std::vector<std::uint32_t> memory(std::size_t{header.width} * 4);
    std::uint32_t* above = memory.data();
    std::uint32_t* row = above + header.width;
    std::uint32_t* alpha_above = row + header.width;
    std::uint32_t* alpha = alpha_above + header.width;
    for (std::uint32_t y = 0; y < header.height; ++y) {
        if (!rows.row(y == 0 ? nullptr : above, row, position)) return kBadRun;
        std::uint8_t* to = pixels + y * header.row_bytes();
        pack(header, row, to);
        if (has_alpha) {
            if (!alpha_rows.row(y == 0 ? nullptr : alpha_above, alpha, position)) return kBadRun;
            for (std::uint32_t x = 0; x < header.width; ++x) {
                to[4 * std::size_t{x} + 3] = static_cast<std::uint8_t>(alpha[x]);
            }
            std::swap(alpha, alpha_above);
        }
        std::swap(row, above);
        if (bits.overran(position)) return kEndsEarly;
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
    const quic::BitSource bits(data.subspan(quic::kHeaderSize));
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
