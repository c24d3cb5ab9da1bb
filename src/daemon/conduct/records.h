// SPDX-License-Identifier: LGPL-2.1-or-later
// The durable records of the migrations of this host, each write of which is a fault point.
#pragma once

#include <memory>

#include "base/loop.h"
#include "migrate/record.h"
#include "store/migration_ledger.h"

namespace segue {

class MigrationRecords {
  public:
    MigrationRecords(Loop& loop, storage::Store& store);

    // Durable when it returns without an error.
    Result<> keep(const migrate::Record& record);
    // Tried again until the store lets it go.
    void forget(const migrate::Record& record);

  private:
    void forget_again();

    Loop& loop_;
    storage::Store& store_;
    storage::MigrationLedger ledger_;
    std::unique_ptr<Timer> again_;
};

}  // namespace segue
