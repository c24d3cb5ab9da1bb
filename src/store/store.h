// SPDX-License-Identifier: LGPL-2.1-or-later
// (The namespace is `storage`: segue::store() is a function of base/bytes.h.)
// The store: read whole when a daemon starts, written through afterwards. One daemon owns it.
#pragma once

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "store/records.h"

namespace segue::storage {

// Erasing what is not there is no error.
struct EraseDomain {
    Uuid uuid;
};
struct EraseMigration {
    Uuid id;
    std::string role;
};
struct EraseStatus {
    Uuid domain;
};
struct EraseProtection {
    Uuid domain;
};

// A record is written over the one with the same key.
using Change = std::variant<DomainRecord, MigrationRecord, StatusRecord, ProtectionRecord,
                            EraseDomain, EraseMigration, EraseStatus, EraseProtection>;
// Becomes durable as a whole or not at all, in order.
using Batch = std::vector<Change>;

class Store {
  public:
    virtual ~Store() = default;

    // Visible to readers at once; durable at the latest when a later sync() has returned. After an
    // error nothing of the batch is there. Errors: ErrorCode::operation_failed, with the remedy.
    virtual Result<> write(const Batch& batch) = 0;
    virtual Result<> sync() = 0;
    // As write(), for what only a restart of the daemon on a host that lives needs: it outlives the
    // daemon, and no disk is waited for.
    virtual Result<> note(const Batch& batch) = 0;
    Result<> commit(const Batch& batch) {
        if (auto written = write(batch); !written) return written;
        return sync();
    }

    // In the order of their keys.
    virtual Result<std::vector<DomainRecord>> domains() = 0;
    virtual Result<std::vector<MigrationRecord>> migrations() = 0;
    virtual Result<std::vector<StatusRecord>> statuses() = 0;
    virtual Result<std::vector<ProtectionRecord>> protections() = 0;
};

// In DIR/segue.db (made with mode 0600): WAL, every commit synced, STRICT tables, the schema's
// version in user_version. An older schema is brought forward; a newer one, or one that another
// daemon holds, is refused.
Result<std::unique_ptr<Store>> open_sqlite_store(const std::string& directory);

}  // namespace segue::storage
