// SPDX-License-Identifier: LGPL-2.1-or-later
// The store of simulations and tests: a disk that forgets, when its host crashes, what was written
// and not synced.
#pragma once

#include <map>
#include <tuple>

#include "store/store.h"

namespace segue::storage {

class MemoryStore final : public Store {
  public:
    Result<> write(const Batch& batch) override;
    Result<> sync() override;
    Result<> note(const Batch& batch) override { return write(batch); }
    Result<std::vector<DomainRecord>> domains() override;
    Result<std::vector<MigrationRecord>> migrations() override;
    Result<std::vector<StatusRecord>> statuses() override;
    Result<std::vector<ProtectionRecord>> protections() override;

    // The host crashes. Of the batches that were not synced, the first `surviving` are found again.
    void crash(std::size_t surviving = 0);
    std::size_t unsynced() const { return pending_.size(); }
    // Every write and sync fails while this is set: a full or broken disk.
    void set_broken(bool broken) { broken_ = broken; }

  private:
    struct Tables {
        std::map<Uuid, DomainRecord> domains;
        std::map<std::pair<Uuid, std::string>, MigrationRecord> migrations;
        std::map<Uuid, StatusRecord> statuses;
        std::map<Uuid, ProtectionRecord> protections;
        void apply(const Batch& batch);
    };
    Tables durable_;
    Tables visible_;
    std::vector<Batch> pending_;
    bool broken_ = false;
};

}  // namespace segue::storage
