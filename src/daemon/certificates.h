// SPDX-License-Identifier: LGPL-2.1-or-later
// This host's certificates, of [tls] directory: the names are those that QEMU looks for, too.
#pragma once

#include "daemon/settings.h"
#include "net/tls.h"

namespace segue {

net::TlsFiles tls_files(const Settings& settings, net::TlsSide side);

// Read anew each time, so that renewed ones count. Either side checks the other's certificate.
Result<std::shared_ptr<net::TlsContext>> tls_context(const Settings& settings, net::TlsSide side);

// For a line to the host of this name; null where the name is empty: in the clear.
Result<std::unique_ptr<net::ByteFilter>> dial_filter(const Settings& settings,
                                                     const std::string& tls_name);

}  // namespace segue
