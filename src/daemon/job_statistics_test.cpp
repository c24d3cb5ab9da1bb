// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/job_statistics.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace segue {
namespace {

std::optional<std::uint64_t> value_of(const JobParameters& parameters, std::string_view name) {
    const auto found = std::find_if(parameters.begin(), parameters.end(),
                                    [&](const auto& one) { return one.name == name; });
    if (found == parameters.end()) return std::nullopt;
    return std::get<std::uint64_t>(found->value);
}

JobView completed(std::optional<std::int64_t> control_ms) {
    JobView job;
    job.type = job_type::kCompleted;
    job.elapsed_ms = 900;
    job.transfer.downtime_ms = 40;
    job.transfer.control_ms = control_ms;
    return job;
}

TEST(JobStatistics, NetTimesLeaveOutTheWayFromHostToHost) {
    const JobParameters said = job_parameters(completed(15));
    EXPECT_EQ(value_of(said, "time_elapsed"), 900);
    EXPECT_EQ(value_of(said, "time_elapsed_net"), 885);
    EXPECT_EQ(value_of(said, "downtime"), 40);
    EXPECT_EQ(value_of(said, "downtime_net"), 25);
}

TEST(JobStatistics, NetTimesAreOnlySaidWhereTheyMeanSomething) {
    EXPECT_FALSE(value_of(job_parameters(completed({})), "time_elapsed_net"));
    // Clocks that differ by more than all of it.
    const JobParameters skewed = job_parameters(completed(60'000));
    EXPECT_FALSE(value_of(skewed, "time_elapsed_net"));
    EXPECT_FALSE(value_of(skewed, "downtime_net"));
    const JobParameters between = job_parameters(completed(100));
    EXPECT_EQ(value_of(between, "time_elapsed_net"), 800);
    EXPECT_FALSE(value_of(between, "downtime_net"));
}

// libvirt's clients tell a job that was cancelled from one that failed.
TEST(JobStatistics, ACancelIsNoFailure) {
    FinishedJob job;
    job.operation = job_operation::kMigrationOut;
    const auto ended = [&job](std::optional<Error> error) {
        job.error = std::move(error);
        return view_of(job);
    };
    EXPECT_EQ(ended({}).type, job_type::kCompleted);
    EXPECT_EQ(outcome_of(job.operation, job.error), "completed");
    EXPECT_EQ(ended(Error{ErrorCode::operation_failed, "no way"}).type, job_type::kFailed);
    EXPECT_EQ(outcome_of(job.operation, job.error), "failed");
    const JobView cancelled = ended(Error{ErrorCode::cancelled, "canceled by client"});
    EXPECT_EQ(cancelled.type, 5);  // VIR_DOMAIN_JOB_CANCELLED
    EXPECT_EQ(cancelled.success, false);
    EXPECT_EQ(cancelled.error, "canceled by client");
    EXPECT_EQ(outcome_of(job.operation, job.error), "cancelled");
}

TEST(JobStatistics, ADestinationIsCancelledByFinish) {
    const auto outcome = [](ErrorCode code) {
        return outcome_of(job_operation::kMigrationIn, Error{code, "words"});
    };
    EXPECT_EQ(outcome(ErrorCode::migrate_finish_ok), "cancelled");
    EXPECT_EQ(outcome(ErrorCode::cancelled), "failed");  // its client is gone
    EXPECT_EQ(outcome(ErrorCode::operation_failed), "failed");
}

// virsh domjobinfo --completed drops the figures, and no more: segue status still tells the end.
TEST(JobStatistics, TakenStatisticsAreToldOnce) {
    DomainObject domain(Uuid(), "demo");
    EXPECT_EQ(finished_job(domain).type, job_type::kNone);
    domain.last_job.emplace();
    EXPECT_EQ(finished_job(domain).type, job_type::kCompleted);
    domain.last_job->statistics_taken = true;
    EXPECT_EQ(finished_job(domain).type, job_type::kNone);
}

TEST(JobStatistics, APeersClockIsBelievedWithinADay) {
    constexpr std::int64_t kNow = 1'790'000'000'000;
    constexpr std::int64_t kDay = 86'400'000;
    EXPECT_EQ(control_time(kNow - 12, kNow), 12);
    EXPECT_EQ(control_time(kNow + 30, kNow), -30);
    EXPECT_EQ(control_time(kNow - kDay, kNow), kDay);
    EXPECT_FALSE(control_time(kNow - kDay - 1, kNow));
    EXPECT_FALSE(control_time(0, kNow));
    EXPECT_FALSE(control_time(UINT64_MAX, kNow));
    EXPECT_FALSE(control_time(std::uint64_t{INT64_MAX} + 1, kNow));
    EXPECT_FALSE(control_time(std::optional(INT64_MIN)));
    EXPECT_FALSE(control_time(std::optional(INT64_MAX)));
    EXPECT_FALSE(control_time(std::nullopt));
    EXPECT_EQ(control_time(std::optional(-kDay)), -kDay);
}

}  // namespace
}  // namespace segue
