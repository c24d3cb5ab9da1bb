// SPDX-License-Identifier: LGPL-2.1-or-later
// A migration's statistics as libvirt's clients read them (VIR_DOMAIN_JOB_* of libvirt-domain.h).
#pragma once

#include "daemon/domain_object.h"
#include "rpc/migration.schema.h"

namespace segue {

// virDomainJobType.
namespace job_type {
inline constexpr std::int32_t kNone = 0;
inline constexpr std::int32_t kUnbounded = 2;
inline constexpr std::int32_t kCompleted = 3;
inline constexpr std::int32_t kFailed = 4;
inline constexpr std::int32_t kCancelled = 5;
}  // namespace job_type

// virDomainJobOperation.
namespace job_operation {
inline constexpr std::int32_t kMigrationIn = 4;
inline constexpr std::int32_t kMigrationOut = 5;
}  // namespace job_operation

using JobParameters = std::vector<rpc::remote::TypedParameter>;

struct JobView {
    std::int32_t type = job_type::kNone;
    std::int32_t operation = 0;
    std::uint64_t elapsed_ms = 0;
    TransferStatistics transfer;
    std::optional<bool> success;  // of a job that is over
    std::string error;
};

// What runs now; type kNone when nothing does.
JobView current_job(const DomainObject& domain);
// What was over last.
JobView finished_job(const DomainObject& domain);
JobView view_of(const FinishedJob& job);
// How a job ended: "completed", "failed" or "cancelled".
std::string_view outcome_of(std::int32_t operation, const std::optional<Error>& error);

JobParameters job_parameters(const JobView& job);
rpc::migration::JobInfoReply job_info(const JobView& job);

}  // namespace segue
