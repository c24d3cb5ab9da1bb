// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rpc/known_flags.h"

#include <gtest/gtest.h>

#include <set>

#include "rpc/migration.schema.h"
#include "rpc/neighbours.schema.h"
#include "rpc/qemu.schema.h"
#include "rpc/remote.schema.h"

namespace segue::rpc {
namespace {

TEST(KnownFlags, EachNameIsAProcedureAndStandsOnce) {
    std::set<std::string_view> procedures;
    for (const auto table : {remote::procedures(), migration::procedures(), qemu::procedures(),
                             neighbours::procedures()}) {
        for (const ProcedureInfo& info : table)
            procedures.insert(info.name);
    }
    std::set<std::string_view> named;
    for (const KnownFlags& known : kKnownFlags) {
        EXPECT_TRUE(procedures.contains(known.procedure)) << known.procedure;
        EXPECT_TRUE(named.insert(known.procedure).second) << known.procedure;
    }
}

TEST(KnownFlags, AProcedureWithoutFlagsHasNone) {
    EXPECT_EQ(known_flags("domain_get_info"), nullptr);
    ASSERT_NE(known_flags("domain_reset"), nullptr);
    EXPECT_EQ(known_flags("domain_reset")->flags, 0U);
    EXPECT_EQ(known_flags("domain_migrate_perform3_params")->flags, kMigrateFlags);
}

}  // namespace
}  // namespace segue::rpc
