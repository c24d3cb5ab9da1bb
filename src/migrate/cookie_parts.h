// SPDX-License-Identifier: LGPL-2.1-or-later
// What both directions of a cookie share: names of parts, in libvirt's order.
#pragma once

#include <array>
#include <span>
#include <string_view>

#include "migrate/cookie.h"

namespace segue::migrate {

// Elements of <statistics> after <started>, <stopped>, <sent>, <delta>
// (VIR_DOMAIN_JOB_* of libvirt-domain.h).
inline constexpr std::array<std::string_view, 3> kStatisticTimes = {"started", "stopped", "sent"};
inline constexpr std::array<std::string_view, 24> kStatisticNames = {
    "time_elapsed",
    "downtime",
    "setup_time",
    "memory_total",
    "memory_processed",
    "memory_remaining",
    "memory_bps",
    "memory_constant",
    "memory_normal",
    "memory_normal_bytes",
    "memory_dirty_rate",
    "memory_iteration",
    "memory_postcopy_requests",
    "memory_page_size",
    "disk_total",
    "disk_processed",
    "disk_remaining",
    "disk_bps",
    "compression_cache",
    "compression_bytes",
    "compression_pages",
    "compression_cache_misses",
    "compression_overflow",
    "auto_converge_throttle",
};

// Mandatory features that libvirt knows, and the steps in which ours accepts them.
struct FeatureInfo {
    std::string_view name;
    std::array<bool, 4> accepted;  // indexed by CookieStep
};
std::span<const FeatureInfo> cookie_features();

}  // namespace segue::migrate
