// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/promise_keeper.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace segue {

bool is_promise(const migrate::Record& record) {
    return record.role == migrate::Role::destination &&
           (record.right == migrate::Right::refused || record.settled);
}

PromiseKeeper::PromiseKeeper(Loop& loop, storage::Store& store, Forget forget, Limits limits)
    : loop_(loop), store_(store), forget_(std::move(forget)), limits_(limits) {
    timer_ = loop.make_timer([this] { look(); });
    timer_->start(limits_.every);
}

void PromiseKeeper::look() {
    timer_->start(limits_.every);
    auto rows = store_.migrations();
    if (!rows) return log_warning("daemon", "promises: {}", rows.error().message);
    std::vector<std::pair<std::int64_t, migrate::Record>> promises;
    for (const storage::MigrationRecord& row : *rows) {
        auto record = migrate::from_row(row);
        if (record && is_promise(*record)) promises.emplace_back(row.changed_ms, *record);
    }
    std::sort(promises.begin(), promises.end(),
              [](const auto& a, const auto& b) { return a.first > b.first; });
    const std::int64_t now = std::chrono::duration_cast<std::chrono::milliseconds>(
                                 loop_.clock().wall().time_since_epoch())
                                 .count();
    for (std::size_t at = 0; at < promises.size(); ++at) {
        const auto& [changed_ms, record] = promises[at];
        if (at < limits_.most && now - changed_ms <= to_ms(limits_.kept)) continue;
        if (!forget_(record)) continue;
        log_info("daemon", "migration {} of '{}': no source came back for its promise: forgotten",
                 record.id.text(), record.domain_name);
    }
}

}  // namespace segue
