// SPDX-License-Identifier: LGPL-2.1-or-later
// The migration records of one daemon. A record that a full disk would not let go must never come
// back beside a later one of the same QEMU: the older might say that the guest may run here while
// the newer says that its right was given away. So an erasure that failed is owed, and goes out
// with whatever is written next, whole or not at all.
#pragma once

#include "store/store.h"

namespace segue::storage {

class MigrationLedger {
  public:
    explicit MigrationLedger(Store& store) : store_(store) {}

    // Both are durable when a later Store::sync() has returned (SqliteStore: at once).
    // After an error nothing has changed, except that the erasure is owed.
    Result<> write(const MigrationRecord& record);
    Result<> erase(const EraseMigration& key);
    // Tries again what is owed. No error when nothing is.
    Result<> settle();

    std::size_t owed() const { return owed_.size(); }

  private:
    Result<> flush(Batch batch);

    Store& store_;
    std::vector<EraseMigration> owed_;
};

}  // namespace segue::storage
