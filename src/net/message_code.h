// SPDX-License-Identifier: LGPL-2.1-or-later
// Proof that a datagram comes from somebody who has the key: HMAC-SHA256, cut to 16 bytes.
#pragma once

#include <array>
#include <optional>

#include "base/bytes.h"

namespace segue::net {

using MessageCode = std::array<std::uint8_t, 16>;

MessageCode message_code(ByteView key, ByteView message);
// In a time that does not depend on where they differ.
bool same_code(const MessageCode& one, ByteView other);

// The message with its code behind it.
Bytes sealed(ByteView key, Bytes message);
// The message in front of a code that is right; nothing for any other bytes.
std::optional<ByteView> unsealed(ByteView key, ByteView bytes);

}  // namespace segue::net
