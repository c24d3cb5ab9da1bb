// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/conduct/records.h"

#include "base/log.h"
#include "daemon/fault.h"
#include "migrate/destination.h"

namespace segue {
namespace {

// As the fault points call it: what the record says about the right.
std::string_view word_of(const migrate::Record& record) {
    return record.settled ? "settled" : migrate::name_of(record.right);
}

}  // namespace

MigrationRecords::MigrationRecords(Loop& loop, storage::Store& store)
    : loop_(loop),
      store_(store),
      ledger_(store),
      again_(loop.make_timer([this] { forget_again(); })) {}

Result<> MigrationRecords::keep(const migrate::Record& record) {
    fault_point({migrate::name_of(record.role), "record", word_of(record), "before"});
    auto row = migrate::to_row<storage::MigrationRecord>(record);
    row.changed_ms = std::chrono::duration_cast<std::chrono::milliseconds>(
                         loop_.clock().wall().time_since_epoch())
                         .count();
    TRY(ledger_.write(row));
    TRY(store_.sync());
    fault_point({migrate::name_of(record.role), "record", word_of(record), "after"});
    return {};
}

void MigrationRecords::forget(const migrate::Record& record) {
    const std::string_view role = migrate::name_of(record.role);
    fault_point({role, "record", "forgotten", "before"});
    if (const auto erased = ledger_.erase({record.id, std::string(role)}); !erased) {
        log_warning("daemon", "migration {}: {}", record.id.text(), erased.error().message);
        again_->start(migrate::DestinationMachine::kStoreAgain);
    }
    fault_point({role, "record", "forgotten", "after"});
}

void MigrationRecords::forget_again() {
    if (!ledger_.settle()) again_->start(migrate::DestinationMachine::kStoreAgain);
}

}  // namespace segue
