// SPDX-License-Identifier: LGPL-2.1-or-later
// segue-migration-document > docs/migration.md
#include <cstdio>

#include "migrate/document.h"

int main() {
    const std::string text = segue::migrate::migration_document();
    return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() ? 0 : 1;
}
