// SPDX-License-Identifier: LGPL-2.1-or-later
// Numbers of the protocol as the words that virsh uses for them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/json.h"
#include "rpc/remote_types.schema.h"

namespace segue::cli {

// Flags of domain_get_job_stats (virDomainGetJobStatsFlags).
inline constexpr std::uint32_t kJobCompleted = 1;      // VIR_DOMAIN_JOB_STATS_COMPLETED
inline constexpr std::uint32_t kJobKeepCompleted = 2;  // VIR_DOMAIN_JOB_STATS_KEEP_COMPLETED

// "running", "shut off": virDomainState.
std::string_view state_word(int state);
// "migrated", "user": the reason of that state (virDomain*Reason).
std::string_view reason_word(int state, int reason);
// "unbounded", "completed", …: virDomainJobType.
std::string_view job_word(int type);
// "Started Migrated": virDomainEventType and its detail.
std::string event_words(int event, int detail);

Json to_json(std::span<const rpc::remote::TypedParameter> parameters);

}  // namespace segue::cli
