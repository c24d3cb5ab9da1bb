// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>

namespace segue::viewer {

// The XT scan code (set 1) of a key by its USB HID usage (which SDL's scan codes are); extended
// keys have 0xe0 in the low byte. 0: the key has none.
std::uint32_t xt_scan_code(int usb_usage);

}  // namespace segue::viewer
