// SPDX-License-Identifier: LGPL-2.1-or-later
#include "store/migration_ledger.h"

#include <algorithm>

namespace segue::storage {

Result<> MigrationLedger::flush(Batch batch) {
    TRY(store_.write(batch));
    owed_.clear();
    return {};
}

// A migration that is written again is not forgotten any more.
Result<> MigrationLedger::write(const MigrationRecord& record) {
    std::erase_if(owed_, [&](const EraseMigration& key) {
        return key.id == record.id && key.role == record.role;
    });
    Batch batch(owed_.begin(), owed_.end());
    batch.emplace_back(record);
    return flush(std::move(batch));
}

Result<> MigrationLedger::erase(const EraseMigration& key) {
    owed_.push_back(key);
    return settle();
}

Result<> MigrationLedger::settle() {
    if (owed_.empty()) return {};
    return flush(Batch(owed_.begin(), owed_.end()));
}

}  // namespace segue::storage
