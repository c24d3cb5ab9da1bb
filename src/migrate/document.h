// SPDX-License-Identifier: LGPL-2.1-or-later
// docs/migration.md, written from the tables themselves.
#pragma once

#include <string>

namespace segue::migrate {

std::string migration_document();

}  // namespace segue::migrate
