// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/promise_keeper.h"

#include <gtest/gtest.h>

#include <set>

#include "store/memory_store.h"

namespace segue {
namespace {

using migrate::Record;
using migrate::Right;
using migrate::Role;

class PromiseKeeperTest : public testing::Test {
  protected:
    // Changed so long ago.
    Uuid keep(Role role, Right right, bool settled, Duration ago) {
        Record record;
        record.id = Uuid::random(random_);
        record.role = role;
        record.right = right;
        record.settled = settled;
        auto row = migrate::to_row<storage::MigrationRecord>(record);
        row.changed_ms = std::chrono::duration_cast<std::chrono::milliseconds>(
                             loop_->clock().wall().time_since_epoch() - ago)
                             .count();
        EXPECT_TRUE(store_.commit({row}));
        return record.id;
    }
    // What the keeper has let go after some looks.
    std::set<Uuid> forgotten(PromiseKeeper::Limits limits, const std::set<Uuid>& in_use = {}) {
        std::set<Uuid> gone;
        limits.every = 1ms;
        int looks = 0;
        PromiseKeeper keeper(
            *loop_, store_,
            [&](const Record& record) {
                if (in_use.contains(record.id)) return false;
                gone.insert(record.id);
                return true;
            },
            limits);
        std::unique_ptr<Timer> some;
        some = loop_->make_timer([&] {
            if (++looks == 5) return loop_->stop();
            some->start(2ms);
        });
        some->start(2ms);
        loop_->run();
        return gone;
    }

    SystemRandom random_;
    storage::MemoryStore store_;
    std::unique_ptr<RunLoop> loop_ = make_asio_loop();
};

constexpr Duration kDay = std::chrono::hours(24);

TEST_F(PromiseKeeperTest, OldPromisesGoWhileTheDaemonRuns) {
    const Uuid refused = keep(Role::destination, Right::refused, false, 31 * kDay);
    const Uuid settled = keep(Role::destination, Right::taken, true, 31 * kDay);
    keep(Role::destination, Right::refused, false, 29 * kDay);
    keep(Role::destination, Right::taken, true, 1s);
    EXPECT_EQ(forgotten({}), (std::set<Uuid>{refused, settled}));
    EXPECT_EQ(forgotten({}, {refused}), (std::set<Uuid>{settled}));
}

TEST_F(PromiseKeeperTest, WhatIsNoPromiseIsNobodysToForget) {
    keep(Role::destination, Right::taken, false, 99 * kDay);
    keep(Role::destination, Right::none, false, 99 * kDay);
    keep(Role::source, Right::given, false, 99 * kDay);
    keep(Role::source, Right::refused, false, 99 * kDay);
    EXPECT_TRUE(forgotten({.most = 0}).empty());
}

TEST_F(PromiseKeeperTest, OfTooManyTheOldestGo) {
    std::set<Uuid> oldest;
    for (int number = 0; number < 10; ++number) {
        const Uuid one = keep(Role::destination, Right::refused, false, std::chrono::hours(number));
        if (number >= 4) oldest.insert(one);
    }
    EXPECT_EQ(forgotten({.most = 4}), oldest);
}

}  // namespace
}  // namespace segue
