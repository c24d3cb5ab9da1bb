// SPDX-License-Identifier: LGPL-2.1-or-later
// What LZ and GLZ share: units of pixels, and how far two stretches of them agree.
#pragma once

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include <bit>
#include <cstdint>
#include <cstring>

namespace segue::spice::codec {

// A unit is one byte (palette indices, alpha), a 16-bit pixel, or a 32-bit pixel whose fourth byte
// does not count.
template <class Unit>
struct LzUnit;

template <>
struct LzUnit<std::uint8_t> {
    static constexpr std::uint64_t kMask = ~std::uint64_t{0};
    static constexpr std::size_t kLiteral = 1;    // bytes of a literal on the wire
    static constexpr std::size_t kBias = 2;       // a length of 1 on the wire means 1 + this
    static constexpr std::size_t kFarLength = 5;  // least length that pays for a far distance
};
template <>
struct LzUnit<std::uint16_t> {
    static constexpr std::uint64_t kMask = 0x7fff7fff7fff7fff;
    static constexpr std::size_t kLiteral = 2;
    static constexpr std::size_t kBias = 1;
    static constexpr std::size_t kFarLength = 3;
};
template <>
struct LzUnit<std::uint32_t> {
    static constexpr std::uint64_t kMask = 0x00ffffff00ffffff;
    static constexpr std::size_t kLiteral = 3;
    static constexpr std::size_t kBias = 0;
    static constexpr std::size_t kFarLength = 2;
};

inline std::uint64_t load_u64(const void* from) {
    std::uint64_t value;
    std::memcpy(&value, from, sizeof value);
    return value;
}

template <class Unit>
inline bool same_unit(Unit one, Unit other) {
    return ((one ^ other) & static_cast<Unit>(LzUnit<Unit>::kMask)) == 0;
}

#if defined(__SSE2__)

// Which of the sixteen units at `one` and `other` differ: a bit for each, the first lowest.
template <class Unit>
inline unsigned differing_units(const Unit* one, const Unit* other) {
    const __m128i mask = _mm_set1_epi64x(static_cast<long long>(LzUnit<Unit>::kMask));
    const auto same = [&](std::size_t part) {
        const auto* const first = reinterpret_cast<const __m128i*>(one) + part;
        const auto* const second = reinterpret_cast<const __m128i*>(other) + part;
        const __m128i differ =
            _mm_and_si128(_mm_xor_si128(_mm_loadu_si128(first), _mm_loadu_si128(second)), mask);
        if constexpr (sizeof(Unit) == 4) return _mm_cmpeq_epi32(differ, _mm_setzero_si128());
        if constexpr (sizeof(Unit) == 2) return _mm_cmpeq_epi16(differ, _mm_setzero_si128());
        return _mm_cmpeq_epi8(differ, _mm_setzero_si128());
    };
    __m128i all = same(0);
    if constexpr (sizeof(Unit) == 2) all = _mm_packs_epi16(all, same(1));
    if constexpr (sizeof(Unit) == 4) {
        all = _mm_packs_epi16(_mm_packs_epi32(all, same(1)), _mm_packs_epi32(same(2), same(3)));
    }
    return static_cast<unsigned>(_mm_movemask_epi8(all)) ^ 0xffffu;
}

// Moves both behind the blocks that agree; true: to the units that differ.
template <class Unit>
inline bool same_blocks(const Unit*& one, const Unit*& other, const Unit* end) {
    while (end - one >= 16) {
        // One guess for most matches, which are shorter than a block, wherever they end.
        const unsigned differ = differing_units(one, other);
        const int same = differ == 0 ? 16 : std::countr_zero(differ);
        one += same;
        other += same;
        if (differ != 0) return true;
    }
    return false;
}

#else

template <class Unit>
inline bool same_blocks(const Unit*& one, const Unit*& other, const Unit* end) {
    constexpr std::size_t kStep = 8 / sizeof(Unit);
    while (static_cast<std::size_t>(end - one) >= 4 * kStep) {
        std::uint64_t differ = 0;
        for (std::size_t i = 0; i < 4; ++i) {
            differ |= load_u64(one + i * kStep) ^ load_u64(other + i * kStep);
        }
        if ((differ & LzUnit<Unit>::kMask) != 0) break;
        one += 4 * kStep;
        other += 4 * kStep;
    }
    return false;
}

#endif

// How many units from `one` and `other` on agree, up to `end` (the end for `one`; `other` has as
// many units left). The two may overlap.
template <class Unit>
inline std::size_t same_length(const Unit* one, const Unit* other, const Unit* end) {
    constexpr std::size_t kStep = 8 / sizeof(Unit);
    const Unit* const start = one;
    if (same_blocks(one, other, end)) return static_cast<std::size_t>(one - start);
    while (static_cast<std::size_t>(end - one) >= kStep) {
        const std::uint64_t differ = (load_u64(one) ^ load_u64(other)) & LzUnit<Unit>::kMask;
        if (differ != 0) {
            return static_cast<std::size_t>(one - start) +
                   static_cast<std::size_t>(std::countr_zero(differ)) / (8 * sizeof(Unit));
        }
        one += kStep;
        other += kStep;
    }
    while (one < end && same_unit(*one, *other)) {
        ++one;
        ++other;
    }
    return static_cast<std::size_t>(one - start);
}

// A hash of the four units at `at`, of `bits` bits. Four are enough for the matches that pay, and
// make them longer than three do: less output and fewer steps.
inline constexpr std::size_t kHashedUnits = 4;
template <class Unit>
inline std::uint32_t hash_units(const Unit* at, unsigned bits) {
    constexpr std::uint64_t kFactor = 0x9e3779b97f4a7c15;
    std::uint64_t value;
    if constexpr (sizeof(Unit) == 1) {
        std::uint32_t four;
        std::memcpy(&four, at, sizeof four);
        value = four * kFactor;
    } else {
        value = (load_u64(at) & LzUnit<Unit>::kMask) * kFactor;
        if constexpr (sizeof(Unit) == 4) {
            value ^= (load_u64(at + 2) & LzUnit<Unit>::kMask) * 0xc2b2ae3d27d4eb4f;
        }
    }
    return static_cast<std::uint32_t>(value >> (64 - bits));
}

// A hash of the two units at `at`. Pixels are so wide that a near match of two pays, too: what
// photos are made of.
template <class Unit>
inline std::uint32_t hash_pair(const Unit* at, unsigned bits) {
    static_assert(sizeof(Unit) > 1);
    constexpr std::uint64_t kFactor = 0x9e3779b97f4a7c15;
    std::uint64_t value = 0;
    std::memcpy(&value, at, 2 * sizeof(Unit));
    return static_cast<std::uint32_t>((value & LzUnit<Unit>::kMask) * kFactor >> (64 - bits));
}

// Literals: in groups of at most 32 behind their count.
template <class Unit>
inline std::uint8_t* put_literals(const Unit* from, std::size_t count, std::uint8_t* out) {
    while (count > 0) {
        const std::size_t group = count < 32 ? count : 32;
        *out++ = static_cast<std::uint8_t>(group - 1);
        if constexpr (sizeof(Unit) == 1) {
            std::memcpy(out, from, group);
            out += group;
        } else if constexpr (sizeof(Unit) == 2) {
            for (std::size_t i = 0; i < group; ++i) {
                *out++ = static_cast<std::uint8_t>(from[i] >> 8);
                *out++ = static_cast<std::uint8_t>(from[i]);
            }
        } else {
            // Four bytes stored, three kept: the caller leaves room for one more.
            for (std::size_t i = 0; i < group; ++i, out += 3)
                std::memcpy(out, &from[i], 4);
        }
        from += group;
        count -= group;
    }
    return out;
}

}  // namespace segue::spice::codec
