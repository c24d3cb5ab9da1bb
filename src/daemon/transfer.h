// SPDX-License-Identifier: LGPL-2.1-or-later
// What QEMU says of a migration that runs or ran (query-migrate of QEMU 7.2, qapi/migration.json).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"

namespace segue {

enum class TransferState {
    none,       // never asked for
    setup,      // "setup"
    active,     // "active", "device", "postcopy-active", "wait-unplug"
    paused,     // "pre-switchover": the guest stands still, and QEMU waits for `migrate-continue`
    completed,  // "completed"
    failed,     // "failed"
    cancelled,  // "cancelling", "cancelled"
};

TransferState transfer_state_named(std::string_view status);

// Bytes where no unit stands; zero where QEMU did not say.
struct TransferStatistics {
    TransferState state = TransferState::none;
    std::string error;  // QEMU's words for `failed`
    std::uint64_t total_ms = 0;
    std::uint64_t downtime_ms = 0;  // the expected one until it is over
    std::uint64_t setup_ms = 0;
    std::uint64_t ram_total = 0;
    std::uint64_t ram_transferred = 0;
    std::uint64_t ram_remaining = 0;
    std::uint64_t ram_constant_pages = 0;
    std::uint64_t ram_normal_pages = 0;
    std::uint64_t ram_normal_bytes = 0;
    std::uint64_t ram_bytes_per_second = 0;
    std::uint64_t ram_dirty_pages_per_second = 0;
    std::uint64_t ram_page_size = 0;
    std::uint64_t ram_iteration = 0;
    std::uint64_t ram_postcopy_requests = 0;
    std::uint64_t compression_cache = 0;
    std::uint64_t compression_bytes = 0;
    std::uint64_t compression_pages = 0;
    std::uint64_t compression_cache_misses = 0;
    std::uint64_t compression_overflow = 0;
    std::uint64_t throttle_percent = 0;
    // How long control took from host to host, with what their clocks differ by: the destination's
    // clock at Finish less the source's when it wrote Perform's cookie. Known behind Finish.
    std::optional<std::int64_t> control_ms;
};

TransferStatistics read_transfer(const Json& query_migrate_reply);

// TransferStatistics::control_ms of what the two hosts' clocks said, in milliseconds since 1970.
// `sent` came in a peer's cookie: nothing where it is more than a day away from `received`.
std::optional<std::int64_t> control_time(std::uint64_t sent, std::int64_t received);

// The same of a difference that a peer has worked out.
std::optional<std::int64_t> control_time(std::optional<std::int64_t> delta);

}  // namespace segue
