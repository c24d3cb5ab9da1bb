// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>

#include "spice/codec/quic.h"
#include "spice/codec/quic_model.h"

namespace segue::spice::codec {

namespace quic {
namespace {

// A bound of what one pixel may take, in bytes: four words and two empty runs.
constexpr std::size_t kPixelBytes = 18;

// Turns the bits of each byte round.
constexpr std::uint64_t reverse_bytes(std::uint64_t bytes) {
    bytes = (bytes >> 1 & 0x5555555555555555) | (bytes & 0x5555555555555555) << 1;
    bytes = (bytes >> 2 & 0x3333333333333333) | (bytes & 0x3333333333333333) << 2;
    return (bytes >> 4 & 0x0f0f0f0f0f0f0f0f) | (bytes & 0x0f0f0f0f0f0f0f0f) << 4;
}

// The bits in reading order, the first one lowest: what is on the wire are little-endian words with
// the first bit highest. Zeros are counted from the low end in one step on any processor. Behind
// the data zeros for `width` pixels: a row is decoded without asking for the end.
PixelBuffer reading_order(ByteView words, std::size_t width) {
    const std::size_t size = words.size() / 4 * 4;
    PixelBuffer bits(size + width * kPixelBytes + 16);
    std::size_t at = 0;
    for (; at + 8 <= size; at += 8) {
        const auto two = load<ByteOrder::big, std::uint64_t>(words.data() + at);
        store<ByteOrder::little>(bits.data() + at, std::rotl(reverse_bytes(two), 32));
    }
    if (at < size) {
        const auto one = load<ByteOrder::big, std::uint32_t>(words.data() + at);
        store<ByteOrder::little>(bits.data() + at, static_cast<std::uint32_t>(reverse_bytes(one)));
    }
    std::memset(bits.data() + size, 0, bits.size() - size);
    return bits;
}

struct ReversedBytes {
    std::uint8_t of[256] = {};
    constexpr ReversedBytes() {
        for (std::uint64_t byte = 0; byte < 256; ++byte)
            of[byte] = static_cast<std::uint8_t>(reverse_bytes(byte));
    }
};
inline constexpr ReversedBytes kReversed{};

// The value of the low `count` bits, at most 8, of which the first one is the highest.
constexpr std::uint32_t number(std::uint64_t bits, unsigned count) {
    return static_cast<std::uint32_t>(kReversed.of[bits & 255]) >> (8 - count);
}

// The next bits. Small enough to live in registers: copied, not referred to.
class BitReader {
  public:
    explicit BitReader(const std::uint8_t* bits) : next_(bits) {}

    static constexpr unsigned kRefilled = 56;

    // Makes at least so many bits valid. What the next bytes begin with may stand in the window
    // already: it is the same, and nothing waits for a branch.
    void refill() {
        window_ |= load<ByteOrder::little, std::uint64_t>(next_) << valid_;
        next_ += (63 - valid_) >> 3;
        valid_ |= kRefilled;
    }
    // The first one lowest.
    std::uint64_t window() const { return window_; }
    // At most 63 bits, all of them valid.
    void skip(unsigned bits) {
        window_ >>= bits;
        valid_ -= bits;
    }
    // How many bits are read of what began at `start`.
    std::uint64_t position(const std::uint8_t* start) const {
        return static_cast<std::uint64_t>(next_ - start) * 8 - valid_;
    }

  private:
    const std::uint8_t* next_;
    std::uint64_t window_ = 0;
    unsigned valid_ = 0;
};

// Most code words are so short that a table gives their value from the bits they begin with. Their
// length comes from their leading zeros and not from a table: all words behind wait for it.
template <unsigned kBits>
struct ShortWords {
    static constexpr unsigned kPeek = 10;
    std::uint8_t value[kBits][1u << kPeek] = {};
    // Those with fewer leading zeros are in the table. Their length is these and code + 1.
    std::uint8_t zeros[kBits] = {};

    constexpr ShortWords() {
        for (unsigned code = 0; code < kBits; ++code) {
            zeros[code] =
                static_cast<std::uint8_t>(std::min(kCodes<kBits>.other_prefix[code], kPeek - code));
            for (std::uint32_t bits = 1; bits < 1u << kPeek; ++bits) {
                const auto leading = static_cast<unsigned>(std::countr_zero(bits));
                if (leading >= zeros[code]) continue;
                value[code][bits] = static_cast<std::uint8_t>(leading << code |
                                                              number(bits >> (leading + 1), code));
            }
        }
    }
};
template <unsigned kBits>
inline constexpr ShortWords<kBits> kShortWords{};

struct Word {
    std::uint32_t value;
    unsigned length;
};
// What is in no table: the word that the window begins with, so many zeros first.
template <unsigned kBits>
[[gnu::always_inline]] inline Word long_word(std::uint64_t window, unsigned zeros, unsigned code) {
    const auto& codes = kCodes<kBits>;
    if (zeros < codes.other_prefix[code]) {
        return {zeros << code | number(window >> zeros >> 1, code), zeros + 1 + code};
    }
    const unsigned prefix = codes.other_prefix[code];
    const unsigned length = codes.other_length[code];
    // The fixed form may hold numbers that are no value.
    const std::uint32_t value = codes.rice_words[code] + number(window >> prefix, length - prefix);
    return {value & ((1u << kBits) - 1), length};
}

template <unsigned kBits, unsigned kParts>
class RowDecoder {
  public:
    // Rows have room for so many pixels more, at both sides.
    static constexpr unsigned kSlack = 32;

    RowDecoder(unsigned width, BitReader& bits) : width_(width), bits_(bits), coder_(width) {}

    // Null above for the first row. False: a run is longer than the row.
    bool row(const std::uint32_t* above, std::uint32_t* row) {
        coder_.start_row(above == nullptr);
        // A row's first pixel is expected to be as the one above.
        row[-1] = above == nullptr ? 0 : above[0];
        bool is_good = true;
        for_segments(coder_.pace, width_, [&](unsigned from, unsigned to) {
            is_good = is_good && (above == nullptr ? segment<true>(above, row, from, to)
                                                   : segment<false>(above, row, from, to));
        });
        return is_good;
    }

  private:
    using Math = Arithmetic<kBits>;

    // What was coded of one pixel: apart for the next one's contexts, so that no component of it
    // waits for another.
    struct Parts {
        std::uint32_t of[kParts];

        explicit Parts(std::uint32_t word) {
            for (unsigned part = 0; part < kParts; ++part)
                of[part] = word >> (8 * part) & 255;
        }
        std::uint32_t word() const {
            std::uint32_t all = of[0];
            for (unsigned part = 1; part < kParts; ++part)
                all |= of[part] << (8 * part);
            return all;
        }
    };

    // Takes one pixel from the bits; `parts` is its context before and what was coded behind it.
    void pixel(BitReader& bits, Parts& parts) const {
        constexpr const ShortWords<kBits>& words = kShortWords<kBits>;
        // Behind all that is read of a pixel, so that there are never zeros alone.
        constexpr std::uint64_t kEnd = std::uint64_t{1} << 63;
        bits.refill();
        std::uint64_t window = bits.window() | kEnd;
        unsigned used = 0;
        for (unsigned part = kParts; part-- > 0;) {
            if (used > BitReader::kRefilled - Codes<kBits>::kLimit) [[unlikely]] {
                bits.skip(used);
                bits.refill();
                window = bits.window() | kEnd;
                used = 0;
            }
            const unsigned code = coder_.models[part].best(parts.of[part]);
            const auto zeros = static_cast<unsigned>(__builtin_ctzll(window));
            if (zeros < words.zeros[code]) [[likely]] {
                parts.of[part] = words.value[code][window % (1u << words.kPeek)];
                // Two steps: the first one need not wait for the zeros, as the next word does.
                window = window >> (code + 1) >> zeros;
                used += code + 1 + zeros;
            } else {
                const Word word = long_word<kBits>(window, zeros, code);
                parts.of[part] = word.value;
                window >>= word.length;
                used += word.length;
            }
        }
        bits.skip(used);
    }

    template <bool kIsFirst>
    bool segment(const std::uint32_t* above, std::uint32_t* row, unsigned at, const unsigned end) {
        Pace& pace = coder_.pace;
        // Here they live in registers.
        std::uint32_t* const contexts = coder_.contexts.data();
        BitReader bits = bits_;
        Parts parts(contexts[at]);
        std::uint32_t left = row[std::ptrdiff_t{at} - 1];
        unsigned stop = at + pace.wait;
        unsigned last_run = 0;
        for (;;) {
            const std::ptrdiff_t until = std::min(stop + 1, end);
            std::ptrdiff_t x = at;
            for (; x < until; ++x) {
                const std::uint32_t up = kIsFirst ? 0 : above[x];
                // A run starts where the row above repeats, and so did this row just before.
                const bool repeats = !kIsFirst && ((up ^ above[x - 1]) | (left ^ row[x - 2])) == 0;
                if (repeats && x != last_run && x > 2) break;
                pixel(bits, parts);
                const std::uint32_t folded = parts.word();
                const Components known = components(left);
                const Components expected = kIsFirst ? known : Math::average(known, components(up));
                left = word_of(Math::add(expected, Math::unfold(components(folded))));
                row[x] = left;
                contexts[x + 1] = folded;
            }
            at = static_cast<unsigned>(x);
            if (x < until) {
                const unsigned length = take_run(bits, end - at);
                if (length > end - at) return false;
                fill(row + at, left, length);
                last_run = at;
                at += length;
                stop += length;
                parts = Parts(contexts[at]);
            } else if (stop < end) {
                coder_.learn(stop);
                stop = at + pace.next_wait();
            } else {
                break;
            }
        }
        pace.wait = stop - end;
        bits_ = bits;
        return true;
    }

    // Most runs end within the first block: no loop to guess wrong.
    static void fill(std::uint32_t* to, std::uint32_t pixel, unsigned length) {
        for (unsigned done = 0; done < length; done += kSlack)
            std::fill_n(to + done, kSlack, pixel);
    }

    // More than `most`: the run is broken.
    unsigned take_run(BitReader& bits, unsigned most) {
        Pace& pace = coder_.pace;
        bits.refill();
        const auto hits = static_cast<unsigned>(std::countr_one(bits.window()));
        // From any state so many are longer than a row may be.
        if (hits >= kRunOrders.size()) return most + 1;
        const std::uint32_t before = kRunSums.of[pace.run_state];
        const unsigned state = pace.run_state + hits;
        pace.run_state = std::min<unsigned>(state, kRunOrders.size() - 1);
        const unsigned order = pace.run_order();
        bits.skip(hits + 1);
        unsigned length = kRunSums.of[state] - before;
        if (order <= 8) {
            length += number(bits.window(), order);
        } else {
            length += number(bits.window(), 8) << (order - 8);
            length += number(bits.window() >> 8, order - 8);
        }
        bits.skip(order);
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
const char* decode(const QuicHeader& header, ByteView data, std::uint8_t* pixels) {
    // What comes behind the most that such a picture can take is not read, and not copied.
    const std::size_t most = (std::size_t{header.width} * header.height * kPixelBytes + 3) / 4 * 4;
    const ByteView words = data.first(std::min(data.size(), most));
    const PixelBuffer bytes = reading_order(words, header.width);
    const std::uint64_t size = words.size() / 4 * 32;
    BitReader bits(bytes.data());
    RowDecoder<kBits, kParts> rows(header.width, bits);
    const bool has_alpha = header.type == QuicType::rgba;
    RowDecoder<8, 1> alpha_rows(has_alpha ? header.width : 0, bits);
    constexpr std::size_t kSlack = RowDecoder<kBits, kParts>::kSlack;
    const std::size_t room = header.width + 2 * kSlack;
    std::vector<std::uint32_t> memory(room * 4);
    std::uint32_t* above = memory.data() + kSlack;
    std::uint32_t* row = above + room;
    std::uint32_t* alpha_above = row + room;
    std::uint32_t* alpha = alpha_above + room;
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
        if (bits.position(bytes.data()) > size) return kEndsEarly;
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
    const ByteView words = data.subspan(quic::kHeaderSize);
    const char* wrong = nullptr;
    switch (header.type) {
        case QuicType::gray: wrong = quic::decode<8, 1>(header, words, pixels.data()); break;
        case QuicType::rgb16: wrong = quic::decode<5, 3>(header, words, pixels.data()); break;
        case QuicType::rgb24:
        case QuicType::rgb32:
        case QuicType::rgba: wrong = quic::decode<8, 3>(header, words, pixels.data()); break;
    }
    if (wrong != nullptr) return broken(wrong);
    return {};
}

}  // namespace segue::spice::codec
