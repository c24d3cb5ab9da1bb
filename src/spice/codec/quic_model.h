// SPDX-License-Identifier: LGPL-2.1-or-later
// Inside QUIC: what encoder and decoder must do in step. Pixels are handled as one 32-bit word with
// a component in each byte (b, g, r from the low byte up; or one component alone).
//
// The model of one component: the coded residual of the pixel to the left chooses a bucket; a
// bucket counts what each of the Golomb-Rice codes would have cost and uses the cheapest. Buckets
// learn only at pseudo-random pixels, which grow rarer with the picture.
#pragma once

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <vector>

namespace segue::spice::codec::quic {

inline constexpr std::uint32_t kMagic = 0x43495551;
inline constexpr std::size_t kHeaderSize = 20;

// Components side by side, as a vector of the processor: those of four pixels, or of one in the
// first four.
using Components [[gnu::vector_size(16)]] = std::uint8_t;
using SignedComponents [[gnu::vector_size(16)]] = std::int8_t;
using PixelWords [[gnu::vector_size(16)]] = std::uint32_t;

inline Components components(std::uint32_t word) {
    return reinterpret_cast<Components>(PixelWords{word, 0, 0, 0});
}
inline std::uint32_t word_of(Components pixel) {
    return reinterpret_cast<PixelWords>(pixel)[0];
}

// Components have 8 or 5 bits.
template <unsigned kBits>
struct Arithmetic {
    static constexpr std::uint8_t kMask = (1u << kBits) - 1;

    static Components average(Components one, Components other) {
#if defined(__SSE2__)
        // The processor rounds up.
        const auto up = reinterpret_cast<Components>(
            _mm_avg_epu8(reinterpret_cast<__m128i>(one), reinterpret_cast<__m128i>(other)));
        return up - ((one ^ other) & 1);
#else
        return (one & other) + ((one ^ other) >> 1);
#endif
    }
    static Components subtract(Components one, Components other) {
        return (one - other) & kMask;
    }
    static Components add(Components one, Components other) {
        return (one + other) & kMask;
    }
    // Differences 0, -1, 1, -2, … as 0, 1, 2, 3, … and back.
    static Components fold(Components difference) {
        if constexpr (kBits == 8) {
            const auto is_negative = reinterpret_cast<SignedComponents>(difference) < 0;
            return (difference + difference) ^ reinterpret_cast<Components>(is_negative);
        }
        return ((difference << 1) ^ -(difference >> (kBits - 1))) & kMask;
    }
    static Components unfold(Components folded) {
        return ((folded >> 1) ^ -(folded & 1)) & kMask;
    }
};

// Code l writes n as n >> l zeros, a one, and the low l bits; above a bound all of n in a fixed
// form.
template <unsigned kBits>
struct Codes {
    // No code word is longer.
    static constexpr unsigned kLimit = 26;

    std::uint32_t rice_words[kBits] = {};    // so many values have the Golomb-Rice form
    std::uint32_t other_length[kBits] = {};  // of the words of the others
    std::uint32_t other_prefix[kBits] = {};  // their leading zeros
    // By value, then code: a lesson asks for all codes of one value. Codes beyond the last one have
    // longer words than any other.
    alignas(16) std::int16_t length[1u << kBits][8] = {};
    // word << 5 | length
    std::uint32_t packed[kBits][256] = {};

    constexpr Codes() {
        for (auto& lengths : length)
            std::fill(std::begin(lengths), std::end(lengths), std::int16_t{kLimit});
        for (unsigned code = 0; code < kBits; ++code) {
            const unsigned zeros = std::min(kLimit - kBits, (1u << (kBits - code)) - 1);
            rice_words[code] = zeros << code;
            const std::uint32_t others = (1u << kBits) - rice_words[code];
            other_prefix[code] = zeros;
            other_length[code] = zeros + static_cast<unsigned>(std::bit_width(others - 1));
            for (std::uint32_t n = 0; n < 1u << kBits; ++n) {
                const bool is_rice = n < rice_words[code];
                const std::uint32_t word =
                    is_rice ? 1u << code | (n & ((1u << code) - 1)) : n - rice_words[code];
                const std::uint32_t size = is_rice ? (n >> code) + code + 1 : other_length[code];
                length[n][code] = static_cast<std::int16_t>(size);
                packed[code][n] = word << 5 | size;
            }
        }
    }
};
template <unsigned kBits>
inline constexpr Codes<kBits> kCodes{};

// Buckets hold 1, 2, 4, 8, … values of the context.
template <unsigned kBits>
struct Buckets {
    static constexpr unsigned kCount = kBits;
    std::uint8_t of[256] = {};

    constexpr Buckets() {
        for (unsigned n = 0; n < 256; ++n) {
            const auto bucket = static_cast<unsigned>(std::bit_width(n + 1)) - 1;
            of[n] = static_cast<std::uint8_t>(std::min(bucket, kCount - 1));
        }
    }
};
template <unsigned kBits>
inline constexpr Buckets<kBits> kBuckets{};

template <unsigned kBits>
class Model {
  public:
    Model() { best_.fill(kBits - 1); }
    // The code that the bucket of this context prefers.
    unsigned best(unsigned context) const { return best_[context]; }

    void learn(unsigned context, unsigned value, unsigned trigger) {
        const unsigned bucket = kBuckets<kBits>.of[context];
        Counters& counters = counters_[bucket];
        Counters lengths;
        std::memcpy(&lengths, kCodes<kBits>.length[value], sizeof lengths);
        counters += lengths;
        const Counters least = lowest(counters);
        const auto best =
            static_cast<std::uint8_t>(7 - lowest(counters == least ? kFromLast : kNone)[0]);
        if (best_[first_of(bucket)] != best) prefer(bucket, best);
        if (static_cast<unsigned>(least[0]) > trigger) counters >>= 1;
    }

  private:
    // A lane for each code. No word is 26 times as long as another, and all counters are halved
    // when the least is above 900: the largest one stays below 26 * (900 + 26 + 1).
    using Counters [[gnu::vector_size(16)]] = std::int16_t;
    // By code: of those that cost the same the last one is taken.
    static constexpr Counters kFromLast = {7, 6, 5, 4, 3, 2, 1, 0};
    static constexpr Counters kNone = {32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767};

    static Counters lower(Counters one, Counters other) { return one < other ? one : other; }
    // The lowest of all lanes, in each.
    static Counters lowest(Counters all) {
        all = lower(all, __builtin_shufflevector(all, all, 4, 5, 6, 7, 0, 1, 2, 3));
        all = lower(all, __builtin_shufflevector(all, all, 2, 3, 0, 1, 6, 7, 4, 5));
        return lower(all, __builtin_shufflevector(all, all, 1, 0, 3, 2, 5, 4, 7, 6));
    }

    static constexpr unsigned first_of(unsigned bucket) { return (1u << bucket) - 1; }

    // Asked for at each pixel and changed seldom: by context, not by bucket.
    void prefer(unsigned bucket, std::uint8_t code) {
        const unsigned first = first_of(bucket);
        const unsigned end = bucket + 1 >= Buckets<kBits>::kCount ? 256 : 2 * first + 1;
        std::fill(best_.begin() + first, best_.begin() + end, code);
    }

    std::array<std::uint8_t, 256> best_{};
    Counters counters_[Buckets<kBits>::kCount] = {};
};

// Pseudo-random words that say how long to wait until the next lesson (a table of the format).
inline constexpr std::array<std::uint32_t, 256> kChaos = {
    0x02c57542, 0x35427717, 0x2f5a2153, 0x9244f155, 0x7bd26d07, 0x354c6052, 0x57329b28, 0x2993868e,
    0x6cd8808c, 0x147b46e0, 0x99db66af, 0xe32b4cac, 0x1b671264, 0x9d433486, 0x62a4c192, 0x06089a4b,
    0x9e3dce44, 0xdaabee13, 0x222425ea, 0xa46f331d, 0xcd589250, 0x8bb81d7f, 0xc8b736b9, 0x35948d33,
    0xd7ac7fd0, 0x5fbe2803, 0x2cfbc105, 0x013dbc4e, 0x7a37820f, 0x39f88e9e, 0xedd58794, 0xc5076689,
    0xfcada5a4, 0x64c2f46d, 0xb3ba3243, 0x8974b4f9, 0x5a05aebd, 0x20afcd00, 0x39e2b008, 0x88a18a45,
    0x600bde29, 0xf3971ace, 0xf37b0a6b, 0x7041495b, 0x70b707ab, 0x06beffbb, 0x4206051f, 0xe13c4ee3,
    0xc1a78327, 0x91aa067c, 0x8295f72a, 0x732917a6, 0x1d871b4d, 0x4048f136, 0xf1840e7e, 0x6a6048c1,
    0x696cb71a, 0x7ff501c3, 0x0fc6310b, 0x57e0f83d, 0x8cc26e74, 0x11a525a2, 0x946934c7, 0x7cd888f0,
    0x8f9d8604, 0x4f86e73b, 0x04520316, 0xdeeea20c, 0xf1def496, 0x67687288, 0xf540c5b2, 0x22401484,
    0x3478658a, 0xc2385746, 0x01979c2c, 0x5dad73c8, 0x0321f58b, 0xf0fedbee, 0x92826ddf, 0x284bec73,
    0x5b1a1975, 0x03df1e11, 0x20963e01, 0xa17cf12b, 0x740d776e, 0xa7a6bf3c, 0x01b5cce4, 0x1118aa76,
    0xfc6fac0a, 0xce927e9b, 0x00bf2567, 0x806f216c, 0xbca69056, 0x795bd3e9, 0xc9dc4557, 0x8929b6c2,
    0x789d52ec, 0x3f3fbf40, 0xb9197368, 0xa38c15b5, 0xc3b44fa8, 0xca8333b0, 0xb7e8d590, 0xbe807feb,
    0xbf5f8360, 0xd99e2f5c, 0x372928e1, 0x7c757c4c, 0x0db5b154, 0xc01ede02, 0x1fc86e78, 0x1f3985be,
    0xb4805c77, 0x00c880fa, 0x974c1b12, 0x35ab0214, 0xb2dc840d, 0x5b00ae37, 0xd313b026, 0xb260969d,
    0x7f4c8879, 0x1734c4d3, 0x49068631, 0xb9f6a021, 0x6b863e6f, 0xcee5debf, 0x29f8c9fb, 0x53dd6880,
    0x72b61223, 0x1f67a9fd, 0x0a0f6993, 0x13e59119, 0x11cca12e, 0xfe6b6766, 0x16b6effc, 0x97918fc4,
    0xc2b8a563, 0x94f2f741, 0x0bfa8c9a, 0xd1537ae8, 0xc1da349c, 0x873c60ca, 0x95005b85, 0x9b5c080e,
    0xbc8abbd9, 0xe1eab1d2, 0x6dac9070, 0x4ea9ebf1, 0xe0cf30d4, 0x1ef5bd7b, 0xd161043e, 0x5d2fa2e2,
    0xff5d3cae, 0x86ed9f87, 0x2aa1daa1, 0xbd731a34, 0x9e8f4b22, 0xb1c2c67a, 0xc21758c9, 0xa182215d,
    0xccb01948, 0x8d168df7, 0x04238cfe, 0x368c3dbc, 0x0aeadca5, 0xbad21c24, 0x0a71fee5, 0x9fc5d872,
    0x54c152c6, 0xfc329483, 0x6783384a, 0xeddb3e1c, 0x65f90e30, 0x884ad098, 0xce81675a, 0x4b372f7d,
    0x68bf9a39, 0x43445f1e, 0x40f8d8cb, 0x90d5acb6, 0x4cd07282, 0x349eeb06, 0x0c9d5332, 0x520b24ef,
    0x80020447, 0x67976491, 0x2f931ca3, 0xfe9b0535, 0xfcd30220, 0x61a9e6cc, 0xa487d8d7, 0x3f7c5dd1,
    0x7d0127c5, 0x48f51d15, 0x60dea871, 0xc9a91cb7, 0x58b53bb3, 0x9d5e0b2d, 0x624a78b4, 0x30dbee1b,
    0x9bdf22e7, 0x1df5c299, 0x2d5643a7, 0xf4dd35ff, 0x03ca8fd6, 0x53b47ed8, 0x6f2c19aa, 0xfeb0c1f4,
    0x49e54438, 0x2f2577e6, 0xbf876969, 0x72440ea9, 0xfa0bafb8, 0x74f5b3a0, 0x7dd357cd, 0x89ce1358,
    0x6ef2cdda, 0x1e7767f3, 0xa6be9fdb, 0x4f5f88f8, 0xba994a3a, 0x08ca6b65, 0xe0893818, 0x9e00a16a,
    0xf42bfc8f, 0x9972eedc, 0x749c8b51, 0x32c05f5e, 0xd706805f, 0x6bfbb7cf, 0xd9210a10, 0x31a1db97,
    0x923a9559, 0x37a7a1f6, 0x059f8861, 0xca493e62, 0x65157e81, 0x8f6467dd, 0xab85ff9f, 0x9331aff2,
    0x8616b9f5, 0xedbd5695, 0xee7e29b1, 0x313ac44f, 0xb903112f, 0x432ef649, 0xdc0a36c0, 0x61cf2bba,
    0x81474925, 0xa8b6c7ad, 0xee5931de, 0xb2f8158d, 0x59fb7409, 0x2e3dfaed, 0x9af25a3f, 0xe1fed4d5,
};
// Counters are halved above this, by the width of the wait mask.
inline constexpr std::array<unsigned, 7> kTriggers = {110, 550, 900, 800, 550, 400, 350};

// Run lengths: a state's order is the exponent of the length it expects.
inline constexpr std::array<std::uint8_t, 32> kRunOrders = {0, 0, 0, 0, 1,  1,  1,  1,  2,  2, 2,
                                                            2, 3, 3, 3, 3,  4,  4,  5,  5,  6, 6,
                                                            7, 7, 8, 9, 10, 11, 12, 13, 14, 15};

// The pixels of all run states below one, each with a hit; states above the last one are as that.
struct RunSums {
    std::array<std::uint32_t, 2 * kRunOrders.size()> of{};

    constexpr RunSums() {
        for (std::size_t state = 1; state < of.size(); ++state) {
            of[state] = of[state - 1] + (1u << kRunOrders[std::min(state, kRunOrders.size()) - 1]);
        }
    }
};
inline constexpr RunSums kRunSums{};

// What the components of one coder share: lessons and runs.
struct Pace {
    static constexpr unsigned kWidest = 6;
    static constexpr unsigned kStep = 2048;  // pixels until the wait mask widens

    unsigned wait = 0;
    unsigned seed = 255;
    unsigned mask_bits = 0;
    unsigned until_wider = kStep;
    unsigned run_state = 0;

    unsigned trigger() const { return kTriggers[mask_bits]; }
    unsigned next_wait() {
        seed = (seed + 1) & 255;
        return kChaos[seed] & ((1u << mask_bits) - 1);
    }
    constexpr unsigned run_order() const { return kRunOrders[run_state]; }
    constexpr void run_longer() {
        if (run_state < kRunOrders.size() - 1) ++run_state;
    }
    constexpr void run_shorter() {
        if (run_state > 0) --run_state;
    }
};

// Splits a row where the wait mask widens and calls segment(from, to) for each part.
template <class Segment>
void for_segments(Pace& pace, unsigned width, Segment segment) {
    unsigned at = 0;
    while (pace.mask_bits < Pace::kWidest && pace.until_wider <= width - at) {
        if (pace.until_wider > 0) segment(at, at + pace.until_wider);
        at += pace.until_wider;
        ++pace.mask_bits;
        pace.until_wider = Pace::kStep;
    }
    if (at < width) {
        segment(at, width);
        if (pace.mask_bits < Pace::kWidest) pace.until_wider -= width - at;
    }
}

// The state of one coder: `kParts` components that are coded pixel by pixel, the highest first.
template <unsigned kBits, unsigned kParts>
struct Coder {
    explicit Coder(unsigned width) : contexts(width + 1) {}

    Pace pace;
    std::array<Model<kBits>, kParts> models;
    // What was coded, by column and one column late: [x] is the context of column x. Columns inside
    // runs keep what an earlier row has left.
    std::vector<std::uint32_t> contexts;

    // The context of a row's first pixel is the first pixel above.
    void start_row(bool is_first) { contexts[0] = is_first ? 0 : contexts[1]; }

    // Of what was coded in a column; said in `contexts` already. Too seldom to stand amid the
    // pixels.
    [[gnu::noinline]] void learn(unsigned column) {
        const std::uint32_t context = contexts[column];
        const std::uint32_t folded = contexts[column + 1];
        for (unsigned part = 0; part < kParts; ++part) {
            models[part].learn(context >> (8 * part) & 255, folded >> (8 * part) & 255,
                               pace.trigger());
        }
    }
};

}  // namespace segue::spice::codec::quic
