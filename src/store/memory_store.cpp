// SPDX-License-Identifier: LGPL-2.1-or-later
#include "store/memory_store.h"

namespace segue::storage {
namespace {

template <class Map>
auto values_of(const Map& map) {
    std::vector<typename Map::mapped_type> values;
    values.reserve(map.size());
    for (const auto& [key, value] : map)
        values.push_back(value);
    return values;
}

}  // namespace

void MemoryStore::Tables::apply(const Batch& batch) {
    for (const Change& change : batch) {
        if (const auto* domain = std::get_if<DomainRecord>(&change)) {
            domains[domain->uuid] = *domain;
        } else if (const auto* migration = std::get_if<MigrationRecord>(&change)) {
            migrations[{migration->id, migration->role}] = *migration;
        } else if (const auto* status = std::get_if<StatusRecord>(&change)) {
            statuses[status->domain] = *status;
        } else if (const auto* protection = std::get_if<ProtectionRecord>(&change)) {
            protections[protection->domain] = *protection;
        } else if (const auto* no_domain = std::get_if<EraseDomain>(&change)) {
            domains.erase(no_domain->uuid);
        } else if (const auto* no_migration = std::get_if<EraseMigration>(&change)) {
            migrations.erase({no_migration->id, no_migration->role});
        } else if (const auto* no_status = std::get_if<EraseStatus>(&change)) {
            statuses.erase(no_status->domain);
        } else if (const auto* no_protection = std::get_if<EraseProtection>(&change)) {
            protections.erase(no_protection->domain);
        }
    }
}

Result<> MemoryStore::write(const Batch& batch) {
    if (broken_) return fail(ErrorCode::operation_failed, "the store is full: free space");
    visible_.apply(batch);
    pending_.push_back(batch);
    return {};
}

Result<> MemoryStore::sync() {
    if (broken_) return fail(ErrorCode::operation_failed, "the store is full: free space");
    for (const Batch& batch : pending_)
        durable_.apply(batch);
    pending_.clear();
    return {};
}

void MemoryStore::crash(std::size_t surviving) {
    for (std::size_t at = 0; at < surviving && at < pending_.size(); ++at) {
        durable_.apply(pending_[at]);
    }
    pending_.clear();
    visible_ = durable_;
}

Result<std::vector<DomainRecord>> MemoryStore::domains() {
    return values_of(visible_.domains);
}
Result<std::vector<MigrationRecord>> MemoryStore::migrations() {
    return values_of(visible_.migrations);
}
Result<std::vector<StatusRecord>> MemoryStore::statuses() {
    return values_of(visible_.statuses);
}
Result<std::vector<ProtectionRecord>> MemoryStore::protections() {
    return values_of(visible_.protections);
}

}  // namespace segue::storage
