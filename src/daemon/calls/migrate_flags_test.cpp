// SPDX-License-Identifier: LGPL-2.1-or-later
#include <gtest/gtest.h>

#include "migrate/options.h"
#include "rpc/known_flags.h"

namespace segue {
namespace {

TEST(KnownFlags, OfMigrationsAreThoseThatTheEngineKnows) {
    std::uint64_t all = 0;
    for (const migrate::FlagInfo& info : migrate::migrate_flags())
        all |= info.flag;
    EXPECT_EQ(all, rpc::kMigrateFlags);
}

}  // namespace
}  // namespace segue
