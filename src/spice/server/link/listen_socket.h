// SPDX-License-Identifier: LGPL-2.1-or-later
// Binds what the embedder wants to listen on.
#pragma once

#include <string>

#include "base/result.h"
#include "net/descriptor.h"

namespace segue::spice::server {

// SPICE_ADDR_FLAG_* of spice-server.h.
struct AddressFlags {
    static constexpr int kIpv4Only = 1;
    static constexpr int kIpv6Only = 2;
    static constexpr int kUnix = 4;
};

// A unix socket at `address`, or a TCP port there (empty: every address). The socket listens.
Result<net::Descriptor> listen_socket(const std::string& address, int port, int flags);

}  // namespace segue::spice::server
