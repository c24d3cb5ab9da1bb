// SPDX-License-Identifier: LGPL-2.1-or-later
#include "protect/witness_message.h"

#include <gtest/gtest.h>

namespace segue {
namespace {

using Side = LeaseTable::Side;
using Verdict = LeaseTable::Verdict;
using Wish = LeaseTable::Wish;

constexpr LeaseId kId{1, 2, 3};

TEST(WitnessMessage, WhatIsWrittenIsRead) {
    for (const Side side : {Side::primary, Side::standby}) {
        for (const Wish wish : {Wish::renew, Wish::claim}) {
            const Bytes bytes = witness_question(kId, side, {wish, 77});
            ASSERT_EQ(bytes.size(), kWitnessQuestionSize);
            const auto read = read_witness_question(bytes);
            ASSERT_TRUE(read);
            EXPECT_EQ(read->id, kId);
            EXPECT_EQ(read->side, side);
            EXPECT_EQ(read->wish, wish);
            EXPECT_EQ(read->number, 77U);
        }
    }
    for (const Verdict verdict : {Verdict::granted, Verdict::later, Verdict::refused}) {
        const Bytes bytes = witness_answer(kId, verdict, 78);
        ASSERT_EQ(bytes.size(), kWitnessAnswerSize);
        const auto read = read_witness_answer(bytes);
        ASSERT_TRUE(read);
        EXPECT_EQ(read->verdict, verdict);
        EXPECT_EQ(read->number, 78U);
    }
}

TEST(WitnessMessage, EveryOtherLengthAndEveryUnknownWordIsRefused) {
    const Bytes question = witness_question(kId, Side::primary, {Wish::renew, 1});
    const Bytes answer = witness_answer(kId, Verdict::granted, 1);
    for (std::size_t size = 0; size < question.size(); ++size)
        EXPECT_FALSE(read_witness_question(ByteView(question).first(size)));
    for (std::size_t size = 0; size < answer.size(); ++size)
        EXPECT_FALSE(read_witness_answer(ByteView(answer).first(size)));
    Bytes longer = question;
    longer.push_back(0);
    EXPECT_FALSE(read_witness_question(longer));
    // Magic, version, side, wish: each of them counts.
    for (const std::size_t at : {0U, 7U, 27U, 31U}) {
        Bytes other = question;
        other[at] ^= 0x40;
        EXPECT_FALSE(read_witness_question(other)) << at;
    }
    // One is not taken for the other.
    EXPECT_FALSE(read_witness_answer(ByteView(question).first(kWitnessAnswerSize)));
}

}  // namespace
}  // namespace segue
