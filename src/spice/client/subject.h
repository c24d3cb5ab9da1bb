// SPDX-License-Identifier: LGPL-2.1-or-later
// Certificate subjects as SPICE writes them: "C=IL, L=Raanana, O=Red Hat, CN=my server". Commas and
// backslashes inside a value are escaped with a backslash.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace segue::spice::client {

// In order: {"C", "IL"}, {"CN", "my server"}.
using SubjectFields = std::vector<std::pair<std::string, std::string>>;

// Errors: invalid_argument for a field without a name or "=".
Result<SubjectFields> parse_subject(std::string_view text);

}  // namespace segue::spice::client
