// SPDX-License-Identifier: LGPL-2.1-or-later
#include "base/random.h"

#include <gtest/gtest.h>

#include <set>

namespace segue {
namespace {

TEST(Random, OneSeedGivesOneSequence) {
    SeededRandom first(42), second(42), other(43);
    for (int round = 0; round < 100; ++round) {
        const std::uint64_t value = first.next();
        EXPECT_EQ(value, second.next());
        EXPECT_NE(value, other.next());
    }
}

TEST(Random, BelowStaysBelowAndReachesAll) {
    SeededRandom random(1);
    std::set<std::uint64_t> seen;
    for (int round = 0; round < 1000; ++round)
        seen.insert(random.below(7));
    EXPECT_EQ(seen.size(), 7u);
    EXPECT_EQ(*seen.rbegin(), 6u);
}

TEST(Random, TheSystemsDoesNotRepeat) {
    SystemRandom random;
    EXPECT_NE(random.next(), random.next());
}

}  // namespace
}  // namespace segue
