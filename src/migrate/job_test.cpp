// SPDX-License-Identifier: LGPL-2.1-or-later
#include "migrate/job.h"

#include <gtest/gtest.h>

#include "migrate/driver.h"

namespace segue::migrate {
namespace {

DomainJobs migrating(AsyncKind kind) {
    DomainJobs jobs("gf");
    EXPECT_TRUE(jobs.start(kind, "Begin", Instant{}));
    return jobs;
}

// libvirt.md 3.3: what stock allows beside a migration, measured.
TEST(Jobs, AllowsBesideAMigrationWhatLibvirtAllows) {
    const std::pair<CallKind, std::pair<bool, bool>> rules[] = {
        {CallKind::none, {true, true}},          {CallKind::query, {true, false}},
        {CallKind::destroy, {true, true}},       {CallKind::suspend, {true, false}},
        {CallKind::modify, {false, false}},      {CallKind::abort, {true, false}},
        {CallKind::migration_op, {true, false}}, {CallKind::modify_migration_safe, {true, true}},
    };
    for (const auto& [kind, allowed] : rules) {
        EXPECT_EQ(migrating(AsyncKind::migration_out).begin_call(kind, "x").has_value(),
                  allowed.first)
            << name_of(kind);
        EXPECT_EQ(migrating(AsyncKind::migration_in).begin_call(kind, "x").has_value(),
                  allowed.second)
            << name_of(kind);
        EXPECT_TRUE(DomainJobs("idle").begin_call(kind, "x"));
    }
}

TEST(Jobs, RefusesAtOnceWithTheReason) {
    DomainJobs jobs = migrating(AsyncKind::migration_out);
    ASSERT_TRUE(jobs.set_phase(Phase::perform3));
    const auto refused = jobs.begin_call(CallKind::modify, "DomainSetMemory");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::timeout);
    EXPECT_EQ(
        refused.error().message,
        "cannot acquire state change lock (held by Begin): a 'modify' call may not run beside "
        "job 'migration out' of domain 'gf' (phase perform3); wait for its end, or cancel it "
        "with domjobabort on the source");
    EXPECT_EQ(jobs.start(AsyncKind::migration_out, "Begin", Instant{}).error().code,
              ErrorCode::operation_invalid);
}

TEST(Jobs, ChangesExcludeEachOther) {
    DomainJobs jobs("gf");
    ASSERT_TRUE(jobs.begin_call(CallKind::modify, "DomainCreate"));
    EXPECT_TRUE(jobs.begin_call(CallKind::query, "DomainMemoryStats"));
    EXPECT_FALSE(jobs.begin_call(CallKind::suspend, "DomainSuspend"));
    EXPECT_FALSE(jobs.start(AsyncKind::migration_out, "Begin", Instant{}));
    jobs.end_call(CallKind::modify);
    EXPECT_TRUE(jobs.begin_call(CallKind::suspend, "DomainSuspend"));
    jobs.end_call(CallKind::suspend);
    EXPECT_FALSE(jobs.idle());
    jobs.end_call(CallKind::query);
    EXPECT_TRUE(jobs.idle());
    jobs.end_call(CallKind::query);  // one too many does no harm
    EXPECT_TRUE(jobs.idle());
}

TEST(Jobs, PhaseHelpersMeanWhatTheirOriginalsMean) {
    DomainJobs jobs("gf");
    EXPECT_EQ(jobs.is_active(AsyncKind::migration_out).error(),
              (Error{ErrorCode::operation_invalid, "domain 'gf' is not being migrated"}));
    EXPECT_EQ(
        jobs.is_active(AsyncKind::migration_in).error(),
        (Error{ErrorCode::operation_invalid, "domain 'gf' is not processing incoming migration"}));

    ASSERT_TRUE(jobs.start(AsyncKind::migration_out, "Begin", Instant{}));
    ASSERT_TRUE(jobs.start_phase(Phase::begin3, "Begin"));
    EXPECT_TRUE(jobs.is_active(AsyncKind::migration_out));
    EXPECT_FALSE(jobs.is_active(AsyncKind::migration_in));
    // Owned: another call may not drive it.
    EXPECT_EQ(jobs.start_phase(Phase::perform3, "Perform").error().code,
              ErrorCode::operation_invalid);
    jobs.continue_job();
    EXPECT_TRUE(jobs.is_active(AsyncKind::migration_out));
    EXPECT_TRUE(jobs.async().owner.empty());
    ASSERT_TRUE(jobs.start_phase(Phase::perform3, "Perform"));
    EXPECT_EQ(jobs.async().owner, "Perform");
    ASSERT_TRUE(jobs.set_phase(Phase::perform3_done));
    EXPECT_EQ(jobs.async().owner, "Perform");
    EXPECT_EQ(jobs.set_phase(Phase::perform3).error(),
              (Error{ErrorCode::internal,
                     "migration protocol going backwards perform3_done => perform3"}));
    jobs.finish();
    EXPECT_TRUE(jobs.idle());
}

using E = DriverEvent;
using V = DriverVerb;

std::vector<V> driven(DriverOptions options, std::initializer_list<E> events) {
    Driver driver(options);
    std::vector<V> verbs;
    for (E event : events)
        verbs.push_back(driver.handle(event));
    return verbs;
}

TEST(Driver, FollowsLibvirtsClient) {
    const DriverOptions version3{Protocol::version3, false, true};
    EXPECT_EQ(driven(version3, {E::start, E::begin_ok, E::prepare_ok, E::perform_ok, E::finish_ok,
                                E::confirm_ok}),
              (std::vector{V::call_begin, V::call_prepare, V::call_perform, V::call_finish,
                           V::call_confirm, V::close}));
    // The source has cleaned up after a failed Perform: no Confirm.
    EXPECT_EQ(driven(version3,
                     {E::start, E::begin_ok, E::prepare_ok, E::perform_failed, E::finish_failed}),
              (std::vector{V::call_begin, V::call_prepare, V::call_perform,
                           V::call_finish_cancelled, V::close}));
    EXPECT_EQ(driven(version3, {E::start, E::begin_ok, E::prepare_ok, E::perform_ok,
                                E::finish_failed, E::confirm_ok})
                  .at(4),
              V::call_confirm_cancelled);
    EXPECT_EQ(driven(version3, {E::start, E::begin_ok, E::prepare_failed}).at(2),
              V::call_confirm_cancelled);
    EXPECT_EQ(driven({Protocol::version3, false, false}, {E::start, E::begin_ok, E::prepare_failed})
                  .at(2),
              V::close);
    EXPECT_EQ(
        driven({Protocol::version3, true, true}, {E::start, E::begin_ok, E::prepare_ok}).at(2),
        V::call_finish);
    EXPECT_EQ(driven({Protocol::version2, false, false},
                     {E::start, E::begin_ok, E::prepare_ok, E::perform_failed, E::finish_failed}),
              (std::vector{V::call_begin, V::call_prepare, V::call_perform,
                           V::call_finish_cancelled, V::close}));
    // A reply that nobody waits for.
    EXPECT_EQ(driven(version3, {E::finish_ok}), std::vector{V::none});
}

TEST(Driver, TellsTheErrorThatSaysMost) {
    const Error failed{ErrorCode::operation_failed, "job failed"};
    const Error reason{ErrorCode::internal, "the disk is missing"};
    const Error marker{ErrorCode::migrate_finish_ok, "aborted"};
    const Error cancelled{ErrorCode::cancelled, "canceled"};
    const auto outcome = [](const Error& perform, const Error& finish) {
        Driver driver({});
        driver.handle(E::start);
        driver.handle(E::begin_ok);
        driver.handle(E::prepare_ok);
        driver.handle(E::perform_failed, perform);
        driver.handle(E::finish_failed, finish);
        return driver.outcome();
    };
    EXPECT_EQ(outcome(failed, reason), reason);
    EXPECT_EQ(outcome(failed, marker), failed);
    EXPECT_EQ(outcome(cancelled, reason), cancelled);
}

}  // namespace
}  // namespace segue::migrate
