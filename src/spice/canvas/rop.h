// SPDX-License-Identifier: LGPL-2.1-or-later
// Raster operations of two operands, source and destination. The value is the truth table: bit 0 is
// the result for source 1 and destination 1, bit 1 for 1 and 0, bit 2 for 0 and 1, bit 3 for 0 and
// 0 (the numbering X11 calls GX functions).
#pragma once

#include <cstdint>
#include <utility>

namespace segue::spice::canvas {

enum class Rop : std::uint8_t {
    clear = 0,
    bit_and = 1,
    copy = 3,
    noop = 5,
    bit_xor = 6,
    bit_or = 7,
    invert = 10,
    copy_inverted = 12,
    set = 15,
};

// Which operand of a SPICE raster descriptor (SPICE_ROPD_*) stands where.
enum class RopInput : std::uint8_t { source, brush, destination };

// `descriptor` is a set of SPICE_ROPD_* flags; unknown bits are ignored, and one without an
// operation is a copy.
Rop rop_from_descriptor(std::uint16_t descriptor, RopInput source, RopInput destination);

template <int kTable>
struct RopFunction {
    template <class Pixel>
    static Pixel apply(Pixel source, Pixel destination) {
        Pixel result = 0;
        if constexpr (kTable & 1) result |= source & destination;
        if constexpr (kTable & 2) result |= source & static_cast<Pixel>(~destination);
        if constexpr (kTable & 4) result |= static_cast<Pixel>(~source) & destination;
        if constexpr (kTable & 8) result |= static_cast<Pixel>(~(source | destination));
        return result;
    }
};

namespace detail {
template <class Action, std::size_t... kTable>
void dispatch_rop(Rop rop, const Action& action, std::index_sequence<kTable...>) {
    ((static_cast<std::size_t>(rop) == kTable ? action(RopFunction<static_cast<int>(kTable)>{})
                                              : void()),
     ...);
}
}  // namespace detail

// Calls the action once, with the RopFunction of this operation: the loop inside is compiled for
// it.
template <class Action>
void with_rop(Rop rop, const Action& action) {
    detail::dispatch_rop(rop, action, std::make_index_sequence<16>{});
}

}  // namespace segue::spice::canvas
