// SPDX-License-Identifier: LGPL-2.1-or-later
// Proof that a datagram comes from somebody who has the key: HMAC-SHA256, cut to 16 bytes.
#pragma once

#include <array>

#include "base/bytes.h"

namespace segue::net {

using MessageCode = std::array<std::uint8_t, 16>;

MessageCode message_code(ByteView key, ByteView message);
// In a time that does not depend on where they differ.
bool same_code(const MessageCode& one, ByteView other);

}  // namespace segue::net
