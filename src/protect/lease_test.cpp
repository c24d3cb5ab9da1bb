// SPDX-License-Identifier: LGPL-2.1-or-later
#include "protect/lease.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace segue {
namespace {

using Holder = LeaseTable::Holder;
using Side = LeaseTable::Side;
using Verdict = LeaseTable::Verdict;
using Wish = LeaseTable::Wish;
using Claim = LeaseClient::Claim;

constexpr LeaseId kId{7};

Instant at(Duration since) {
    return Instant{} + since;
}

LeaseTable table_with_lease() {
    LeaseTable table;
    EXPECT_TRUE(table.open(kId, Holder::shared, at(0s)));
    return table;
}

TEST(LeaseTable, EveryWishOfEitherSideUnderEveryHolder) {
    struct Row {
        Holder holder;
        bool runs;
        Side side;
        Wish wish;
        std::optional<Verdict> verdict;
        Holder after;
    };
    const Row rows[] = {
        {Holder::shared, true, Side::primary, Wish::renew, Verdict::granted, Holder::shared},
        {Holder::shared, false, Side::primary, Wish::renew, Verdict::granted, Holder::shared},
        {Holder::shared, true, Side::primary, Wish::claim, Verdict::granted, Holder::primary},
        {Holder::shared, false, Side::primary, Wish::claim, Verdict::granted, Holder::primary},
        {Holder::shared, true, Side::standby, Wish::claim, Verdict::later, Holder::shared},
        {Holder::shared, false, Side::standby, Wish::claim, Verdict::granted, Holder::standby},
        {Holder::shared, true, Side::standby, Wish::renew, std::nullopt, Holder::shared},
        {Holder::primary, false, Side::primary, Wish::renew, Verdict::granted, Holder::primary},
        {Holder::primary, false, Side::primary, Wish::claim, Verdict::granted, Holder::primary},
        {Holder::primary, false, Side::standby, Wish::claim, Verdict::refused, Holder::primary},
        {Holder::standby, true, Side::primary, Wish::renew, Verdict::refused, Holder::standby},
        {Holder::standby, true, Side::primary, Wish::claim, Verdict::refused, Holder::standby},
        {Holder::standby, true, Side::standby, Wish::claim, Verdict::granted, Holder::standby},
    };
    for (const Row& row : rows) {
        LeaseTable table;
        ASSERT_TRUE(table.open(kId, row.holder, at(0s)));
        const Instant now = at(row.runs ? 900ms : 1100ms);
        const auto ruling = table.ask(kId, row.side, row.wish, 1, now);
        const int number = static_cast<int>(&row - rows);
        ASSERT_EQ(ruling.has_value(), row.verdict.has_value()) << "row " << number;
        if (ruling) {
            EXPECT_EQ(ruling->verdict, *row.verdict) << "row " << number;
            EXPECT_EQ(ruling->is_new, row.after != row.holder) << "row " << number;
        }
        EXPECT_EQ(table.holder(kId), row.after) << "row " << number;
    }
}

TEST(LeaseTable, ARepeatedQuestionRenewsNothing) {
    LeaseTable table = table_with_lease();
    EXPECT_TRUE(table.ask(kId, Side::primary, Wish::renew, 5, at(500ms)));
    EXPECT_FALSE(table.ask(kId, Side::primary, Wish::renew, 5, at(1400ms)));
    EXPECT_FALSE(table.ask(kId, Side::primary, Wish::renew, 4, at(1400ms)));
    const auto ruling = table.ask(kId, Side::standby, Wish::claim, 1, at(1500ms));
    ASSERT_TRUE(ruling);
    EXPECT_EQ(ruling->verdict, Verdict::granted);
}

TEST(LeaseTable, UnknownAndTooMany) {
    LeaseTable table;
    EXPECT_FALSE(table.ask(kId, Side::primary, Wish::renew, 1, at(0s)));
    for (std::size_t count = 0; count < LeaseTable::kMaxLeases; ++count) {
        LeaseId id{};
        id[0] = static_cast<std::uint8_t>(count);
        id[1] = static_cast<std::uint8_t>(count >> 8);
        ASSERT_TRUE(table.open(id, Holder::shared, at(0s)));
    }
    LeaseId one_more{};
    one_more[15] = 1;
    const auto refused = table.open(one_more, Holder::shared, at(0s));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::limit_exceeded);
    table.close(LeaseId{});
    EXPECT_TRUE(table.open(one_more, Holder::shared, at(0s)));
    EXPECT_FALSE(table.open(one_more, Holder::shared, at(0s)));
}

TEST(LeaseClient, APrimaryBelievesItsLeaseFromWhenItAsked) {
    LeaseClient primary(Side::primary, 1);
    EXPECT_FALSE(primary.may_release(at(0s)));
    const auto question = primary.ask(at(0s));
    ASSERT_TRUE(question);
    EXPECT_EQ(question->wish, Wish::renew);
    // The answer was long on its way.
    EXPECT_FALSE(primary.answered(question->number, Verdict::granted));
    EXPECT_TRUE(primary.may_release(at(960ms)));
    EXPECT_FALSE(primary.may_release(at(970ms)));
    EXPECT_FALSE(primary.answered(question->number + 1, Verdict::granted));
    EXPECT_FALSE(primary.answered(question->number, Verdict::granted));
}

TEST(LeaseClient, WhoeverClaimsReleasesNothingUntilItIsGranted) {
    LeaseClient primary(Side::primary, 1);
    const auto renewal = primary.ask(at(0s));
    (void)primary.answered(renewal->number, Verdict::granted);
    primary.claim();
    EXPECT_FALSE(primary.may_release(at(1ms)));
    const auto claim = primary.ask(at(1ms));
    ASSERT_TRUE(claim);
    EXPECT_EQ(claim->wish, Wish::claim);
    EXPECT_TRUE(primary.answered(claim->number, Verdict::granted));
    EXPECT_EQ(primary.state(), Claim::granted);
    EXPECT_TRUE(primary.may_release(at(100s)));
    EXPECT_FALSE(primary.ask(at(100s)));
}

TEST(LeaseClient, AStandbyAsksOnlyForAClaim) {
    LeaseClient standby(Side::standby, 1);
    EXPECT_FALSE(standby.ask(at(0s)));
    standby.claim();
    const auto first = standby.ask(at(0s));
    EXPECT_FALSE(standby.answered(first->number, Verdict::later));
    EXPECT_EQ(standby.state(), Claim::asked);
    const auto second = standby.ask(at(100ms));
    EXPECT_TRUE(standby.answered(second->number, Verdict::refused));
    EXPECT_EQ(standby.state(), Claim::refused);
}

// Two clocks that are as wrong as they may be, any delay, any loss: there is no moment at which the
// primary may release and the standby has been granted.
TEST(Lease, ThePrimaryHasStoppedBeforeTheStandbyStarts) {
    int starts = 0;
    for (std::uint64_t seed = 1; seed <= 300; ++seed) {
        SeededRandom random(seed);
        LeaseTable table = table_with_lease();
        LeaseClient primary(Side::primary, 1);
        // Of true time: the primary's clock slow, the witness's fast, or any between.
        const auto error = [&] { return static_cast<std::int64_t>(random.below(63 * 2 + 1)) - 63; };
        const std::int64_t slow = error(), fast = error();
        const auto clock = [](Duration true_time, std::int64_t parts) {
            return at(true_time + true_time / (64 * 64) * parts);
        };
        struct Answer {
            std::uint64_t number;
            Verdict verdict;
            Duration due;
        };
        std::vector<Answer> answers;
        const Duration dies = 1ms * static_cast<std::int64_t>(random.below(3000));
        for (Duration now = 0ms; now < 6s; now += 10ms) {
            const bool asks = now.count() % (100'000'000) == 0 && now < dies;
            if (const auto question = asks ? primary.ask(clock(now, slow)) : std::nullopt) {
                const Duration there = 1ms * static_cast<std::int64_t>(random.below(300));
                const auto ruling = table.ask(kId, Side::primary, question->wish, question->number,
                                              clock(now + there, fast));
                const Duration back = 1ms * static_cast<std::int64_t>(random.below(300));
                if (ruling && random.below(100) < 80) {
                    answers.push_back({question->number, ruling->verdict, now + there + back});
                }
            }
            for (const Answer& answer : answers) {
                if (answer.due <= now) (void)primary.answered(answer.number, answer.verdict);
            }
            const auto ruling = table.claim(kId, Side::standby, clock(now, fast));
            ASSERT_TRUE(ruling);
            if (ruling->verdict != Verdict::granted) continue;
            ASSERT_FALSE(primary.may_release(clock(now, slow))) << "seed " << seed;
            starts += 1;
            break;
        }
    }
    EXPECT_GT(starts, 290);
}

}  // namespace
}  // namespace segue
