// SPDX-License-Identifier: LGPL-2.1-or-later
// SPICE URIs as spice-gtk and remote-viewer read them:
//   spice://[user@]host:port          spice://host?port=N&tls-port=M&password=P   (& or ;)
//   spice+tls://host:port             spice+unix:///path
#pragma once

#include <string_view>

#include "spice/client/settings.h"

namespace segue::viewer {

// Sets address, password and what must be encrypted. Errors: invalid_argument, which names the
// part; never the password.
Result<> apply_uri(std::string_view uri, spice::client::Settings& settings);

}  // namespace segue::viewer
