// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/descriptor_limit.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

namespace segue {
namespace {

TEST(DescriptorLimit, ClientsLeaveRoomForTheDaemon) {
    EXPECT_EQ(connections_within(1024), 768u);
    EXPECT_EQ(connections_within(128), 64u);
    EXPECT_EQ(connections_within(10), 1u);
    EXPECT_EQ(connections_within(1u << 20), 10'000u);
}

TEST(DescriptorLimit, TooFewAreAnErrorWithARemedy) {
    EXPECT_TRUE(check_descriptor_limit(1024));
    const auto few = check_descriptor_limit(256);
    ASSERT_FALSE(few);
    EXPECT_NE(few.error().message.find("may open 256 files: at least 1024"), std::string::npos);
}

TEST(DescriptorLimit, IsRaisedAsFarAsItMay) {
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
    rlimit low = before;
    low.rlim_cur = std::min<rlim_t>(256, before.rlim_max);
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
    EXPECT_EQ(raise_descriptor_limit(), std::min<rlim_t>(before.rlim_max, 1u << 20));
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
}

}  // namespace
}  // namespace segue
