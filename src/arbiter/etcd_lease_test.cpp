// SPDX-License-Identifier: LGPL-2.1-or-later
#include "arbiter/etcd_lease.h"

#include <gtest/gtest.h>

#include "arbiter/fake_etcd.h"
#include "base/random.h"

namespace segue::arbiter {
namespace {

using Claim = LeaseClient::Claim;
using Side = LeaseTable::Side;
using Verdict = LeaseTable::Verdict;
using Wish = LeaseTable::Wish;

constexpr LeaseId kId{7};

Instant at(Duration since) {
    return Instant{} + since;
}

struct EtcdLeases : ::testing::Test {
    FakeEtcd etcd;
    EtcdLease primary{kId, EtcdLease::terms()}, standby{kId, EtcdLease::terms()};
    const Duration term = EtcdLease::terms().term;

    void SetUp() override { ASSERT_TRUE(primary.opened(etcd.transact(primary.open()))); }
    Result<Verdict> ask(Side side, Wish wish, Duration now) {
        EtcdLease& lease = side == Side::primary ? primary : standby;
        return lease.answered(etcd.transact(lease.ask(side, wish, at(now))), at(now));
    }
    Verdict renew(Duration now) { return ask(Side::primary, Wish::renew, now).value(); }
    Verdict claim(Side side, Duration now) { return ask(side, Wish::claim, now).value(); }
};

TEST_F(EtcdLeases, APrimaryRenewsAndIsLetGoOnAtOnce) {
    EXPECT_EQ(renew(0s), Verdict::granted);
    EXPECT_EQ(claim(Side::primary, 1s), Verdict::granted);
    // Asked again, where the answer was lost.
    EXPECT_EQ(claim(Side::primary, 2s), Verdict::granted);
    for (const Duration now : {2s, 100s})
        EXPECT_EQ(claim(Side::standby, now), Verdict::refused);
}

TEST_F(EtcdLeases, AStandbyWaitsForATermWithoutARenewal) {
    EXPECT_EQ(claim(Side::standby, 0s), Verdict::later);
    EXPECT_EQ(renew(1s), Verdict::granted);
    EXPECT_EQ(claim(Side::standby, 2s), Verdict::later);
    EXPECT_EQ(claim(Side::standby, 2s + term - 1ms), Verdict::later);
    EXPECT_EQ(claim(Side::standby, 2s + term), Verdict::granted);
    EXPECT_EQ(claim(Side::standby, 2s + term), Verdict::granted);
    EXPECT_EQ(renew(2s + term), Verdict::refused);
    EXPECT_EQ(claim(Side::primary, 100s), Verdict::refused);
}

TEST_F(EtcdLeases, ARenewalAfterTheLastLookIsNotOverlooked) {
    EXPECT_EQ(claim(Side::standby, 0s), Verdict::later);
    EXPECT_EQ(renew(term), Verdict::granted);
    EXPECT_EQ(claim(Side::standby, term), Verdict::later);
    EXPECT_EQ(claim(Side::standby, 2 * term - 1ms), Verdict::later);
    EXPECT_EQ(claim(Side::standby, 2 * term), Verdict::granted);
}

TEST_F(EtcdLeases, ALeaseIsOpenedOnceAndEndsForBoth) {
    // The answer was lost: the same lease.
    EXPECT_TRUE(primary.opened(etcd.transact(primary.open())));
    EXPECT_EQ(etcd.keys(), 2U);
    EXPECT_EQ(claim(Side::primary, 0s), Verdict::granted);
    const auto again = primary.opened(etcd.transact(primary.open()));
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().code, ErrorCode::exists);
    (void)etcd.transact(primary.end());
    EXPECT_EQ(etcd.keys(), 0U);
    for (const Side side : {Side::primary, Side::standby}) {
        const auto said = ask(side, Wish::claim, 100s);
        ASSERT_FALSE(said);
        EXPECT_EQ(said.error().code, ErrorCode::no_domain);
    }
}

TEST_F(EtcdLeases, AnAnswerOfSomethingElseIsAnError) {
    for (const char* text :
         {"null", "[]", "{}", R"({"error":"etcdserver: no leader"})",
          R"({"header":{},"succeeded":true})",
          R"({"header":{},"succeeded":true,"responses":[1,{"response_range":2}]})"}) {
        const Json said = Json::parse(text).value();
        for (const Side side : {Side::primary, Side::standby}) {
            EtcdLease lease(kId, EtcdLease::terms());
            (void)lease.ask(side, Wish::claim, at(0s));
            EXPECT_FALSE(lease.answered(said, at(0s))) << text;
        }
    }
    EXPECT_FALSE(primary.opened(Json::object()));
}

// Two clocks that are as wrong as they may be, any delay, any loss, in each direction: there is no
// moment at which the primary may release and the standby has been granted.
TEST(EtcdLease, ThePrimaryHasStoppedBeforeTheStandbyStarts) {
    int starts = 0;
    for (std::uint64_t seed = 1; seed <= 300; ++seed) {
        SeededRandom random(seed);
        const LeaseTerms terms = EtcdLease::terms();
        FakeEtcd etcd;
        EtcdLease ours(kId, terms), theirs(kId, terms);
        ASSERT_TRUE(ours.opened(etcd.transact(ours.open())));
        LeaseClient primary(Side::primary, 1, terms);
        const auto error = [&] { return static_cast<std::int64_t>(random.below(63 * 2 + 1)) - 63; };
        const std::int64_t slow = error(), fast = error();
        const auto clock = [](Duration true_time, std::int64_t parts) {
            return at(true_time + true_time / (64 * 64) * parts);
        };
        // One question at a time on its way: it reaches etcd, and its answer comes back, or is
        // lost.
        struct Asked {
            Json request;
            std::uint64_t number = 0;
            Duration there{}, back{};
            std::optional<Json> answer;
        };
        std::optional<Asked> by_primary, by_standby;
        const auto some = [&] { return 1ms * static_cast<std::int64_t>(random.below(500)); };
        const auto pass = [&](std::optional<Asked>& asked, Duration now, auto heard) {
            if (!asked) return;
            if (!asked->answer && asked->there <= now)
                asked->answer = etcd.transact(asked->request);
            if (asked->back > now) return;
            const Asked done = *std::exchange(asked, std::nullopt);
            if (done.answer && random.below(100) < 80) heard(done);
        };
        const Duration dies = 1ms * static_cast<std::int64_t>(random.below(6000));
        bool granted = false;
        for (Duration now = 0ms; now < 20s && !granted; now += 10ms) {
            if (!by_primary && now < dies) {
                const auto question = primary.ask(clock(now, slow));
                if (question) {
                    const Duration there = now + some();
                    by_primary = Asked{ours.ask(Side::primary, question->wish, clock(now, slow)),
                                       question->number,
                                       there,
                                       there + some(),
                                       {}};
                }
            }
            if (!by_standby) {
                const Duration there = now + some();
                by_standby = Asked{theirs.ask(Side::standby, Wish::claim, clock(now, fast)),
                                   0,
                                   there,
                                   there + some(),
                                   {}};
            }
            pass(by_primary, now, [&](const Asked& done) {
                const auto verdict = ours.answered(*done.answer, clock(now, slow));
                ASSERT_TRUE(verdict);
                (void)primary.answered(done.number, *verdict);
            });
            pass(by_standby, now, [&](const Asked& done) {
                const auto verdict = theirs.answered(*done.answer, clock(now, fast));
                ASSERT_TRUE(verdict);
                granted = *verdict == Verdict::granted;
            });
            if (!granted) continue;
            ASSERT_FALSE(primary.may_release(clock(now, slow))) << "seed " << seed;
            starts += 1;
        }
    }
    EXPECT_GT(starts, 290);
}

}  // namespace
}  // namespace segue::arbiter
