// SPDX-License-Identifier: LGPL-2.1-or-later
// XBZRLE, the delta encoding of one page (docs/xbzrle.txt of QEMU): pairs of run lengths in
// ULEB128, first how many bytes stay, then how many follow and replace. Runs hold the new bytes,
// not a difference, so applying a delta twice gives the same page: a redo log may be replayed.
#pragma once

#include <span>

#include "base/result.h"
#include "qemu/stream_format.h"

namespace segue {

// Whether every run is whole and stays inside one page.
bool is_sound_delta(ByteView encoded);

// `encoded` must be sound.
void apply_delta(ByteView encoded, std::span<std::uint8_t, kPageSize> page);

}  // namespace segue
