// SPDX-License-Identifier: LGPL-2.1-or-later
// Bytes as text, for headers of HTTP and the keys of etcd (RFC 4648, section 4: with padding, in
// one line).
#pragma once

#include <string>

#include "base/bytes.h"

namespace segue::net {

std::string base64(ByteView bytes);
std::string base64(std::string_view text);

}  // namespace segue::net
