// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/canvas/rop.h"

namespace segue::spice::canvas {
namespace {

// SpiceRopd in libspice-protocol's spice/enums.h.
enum Descriptor : std::uint16_t {
    kInverseSource = 1 << 0,
    kInverseBrush = 1 << 1,
    kInverseDestination = 1 << 2,
    kPut = 1 << 3,
    kOr = 1 << 4,
    kAnd = 1 << 5,
    kXor = 1 << 6,
    kBlackness = 1 << 7,
    kWhiteness = 1 << 8,
    kInvers = 1 << 9,
    kInverseResult = 1 << 10,
};

std::uint16_t inverse_flag(RopInput input) {
    switch (input) {
        case RopInput::source: return kInverseSource;
        case RopInput::brush: return kInverseBrush;
        case RopInput::destination: break;
    }
    return kInverseDestination;
}

}  // namespace

Rop rop_from_descriptor(std::uint16_t descriptor, RopInput source, RopInput destination) {
    // The operands as truth tables; the operation on tables gives the table of the operation.
    unsigned s = 0b0011, d = 0b0101;
    if (descriptor & inverse_flag(source)) s = ~s;
    if (descriptor & inverse_flag(destination)) d = ~d;
    unsigned result;
    if (descriptor & kPut) {
        result = s;
    } else if (descriptor & kOr) {
        result = s | d;
    } else if (descriptor & kAnd) {
        result = s & d;
    } else if (descriptor & kXor) {
        result = s ^ d;
    } else if (descriptor & kBlackness) {
        return Rop::clear;
    } else if (descriptor & kWhiteness) {
        return Rop::set;
    } else if (descriptor & kInvers) {
        return Rop::invert;
    } else {
        return Rop::copy;
    }
    if (descriptor & kInverseResult) result = ~result;
    return static_cast<Rop>(result & 0xf);
}

}  // namespace segue::spice::canvas
