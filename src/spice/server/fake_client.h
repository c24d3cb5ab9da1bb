// SPDX-License-Identifier: LGPL-2.1-or-later
// For tests: what a client writes.
#pragma once

#include <vector>

#include "spice/wire/encoding.h"
#include "spice/wire/framing.h"

namespace segue::spice::server {

// A message as it comes from the client.
template <class Message>
Bytes from_client(const Message& message) {
    wire::MessageWriter writer(wire::HeaderKind::mini);
    std::vector<wire::SharedBytes> pieces;
    writer.frame(wire::encode_from_client(message), pieces);
    return wire::flatten(pieces);
}

}  // namespace segue::spice::server
