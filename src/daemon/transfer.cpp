// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/transfer.h"

namespace segue {

TransferState transfer_state_named(std::string_view status) {
    if (status.empty() || status == "none") return TransferState::none;
    if (status == "setup") return TransferState::setup;
    if (status == "pre-switchover") return TransferState::paused;
    if (status == "completed") return TransferState::completed;
    if (status == "failed") return TransferState::failed;
    if (status == "cancelling" || status == "cancelled") return TransferState::cancelled;
    return TransferState::active;
}

TransferStatistics read_transfer(const Json& reply) {
    TransferStatistics out;
    out.state = transfer_state_named(reply.text("status"));
    out.error = reply.text("error-desc");
    out.total_ms = reply.u64("total-time");
    out.downtime_ms =
        reply.find("downtime") != nullptr ? reply.u64("downtime") : reply.u64("expected-downtime");
    out.setup_ms = reply.u64("setup-time");
    const Json& ram = reply["ram"];
    out.ram_total = ram.u64("total");
    out.ram_transferred = ram.u64("transferred");
    out.ram_remaining = ram.u64("remaining");
    out.ram_constant_pages = ram.u64("duplicate");
    out.ram_normal_pages = ram.u64("normal");
    out.ram_normal_bytes = ram.u64("normal-bytes");
    // QEMU says megabits (10^6) a second, as a fraction.
    if (const Json* rate = ram.find("mbps")) {
        const double megabits = rate->as_double().value_or(0);
        if (megabits > 0 && megabits < 1e9) {
            out.ram_bytes_per_second = static_cast<std::uint64_t>(megabits * 1e6 / 8);
        }
    }
    out.ram_dirty_pages_per_second = ram.u64("dirty-pages-rate");
    out.ram_page_size = ram.u64("page-size");
    out.ram_iteration = ram.u64("dirty-sync-count");
    out.ram_postcopy_requests = ram.u64("postcopy-requests");
    const Json& xbzrle = reply["xbzrle-cache"];
    out.compression_cache = xbzrle.u64("cache-size");
    out.compression_bytes = xbzrle.u64("bytes");
    out.compression_pages = xbzrle.u64("pages");
    out.compression_cache_misses = xbzrle.u64("cache-miss");
    out.compression_overflow = xbzrle.u64("overflow");
    out.throttle_percent = reply.u64("cpu-throttle-percentage");
    return out;
}

std::optional<std::int64_t> control_time(std::optional<std::int64_t> delta) {
    constexpr std::int64_t kDay = 24ll * 60 * 60 * 1000;
    return delta && *delta >= -kDay && *delta <= kDay ? delta : std::nullopt;
}

std::optional<std::int64_t> control_time(std::uint64_t sent, std::int64_t received) {
    // Of a number beyond the clock's own the difference would overflow.
    if (received < 0 || sent > std::uint64_t{INT64_MAX}) return std::nullopt;
    return control_time(std::optional(received - static_cast<std::int64_t>(sent)));
}

}  // namespace segue
