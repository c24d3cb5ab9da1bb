// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/protection/emulator_trial.h"

#include <gmock/gmock.h>

namespace segue {
namespace {

using ::testing::HasSubstr;

// The machine's memory when it has written `number` to so many of its 64 pages.
Bytes memory_at(std::uint32_t number, std::size_t pages) {
    Bytes memory(self_test_memory());
    for (std::size_t page = 0; page < 64; ++page) {
        store<ByteOrder::little>(memory.data() + 0x20000 + page * 4096,
                                 page < pages ? number : number - 1);
    }
    return memory;
}

TEST(ColoSelfTest, AStateOfTheMachineIsRightWhereverItStood) {
    for (std::size_t pages = 1; pages <= 64; ++pages) {
        EXPECT_EQ(judge_self_test(memory_at(1000, pages)).value_or(0), 1000u) << pages;
    }
    // It has not begun; it has come round.
    EXPECT_TRUE(judge_self_test(memory_at(0, 64)));
    EXPECT_TRUE(judge_self_test(memory_at(0, 3)));
}

TEST(ColoSelfTest, APageThatWasLostIsFoundAndNamed) {
    for (std::size_t page = 0; page < 64; ++page) {
        Bytes memory = memory_at(1000, 64);
        store<ByteOrder::little>(memory.data() + 0x20000 + page * 4096, std::uint32_t{990});
        EXPECT_FALSE(judge_self_test(memory)) << page;
    }
    Bytes memory = memory_at(1000, 10);
    // The one behind the place where it stood is the newer one again.
    store<ByteOrder::little>(memory.data() + 0x20000 + 20 * 4096, std::uint32_t{1000});
    const auto judged = judge_self_test(memory);
    ASSERT_FALSE(judged);
    EXPECT_THAT(judged.error().message, HasSubstr("page 0x34000"));
    EXPECT_FALSE(judge_self_test(Bytes(100)));
}

TEST(ColoSelfTest, TheFirmwareIsWhatAProcessorBeginsWith) {
    const Bytes firmware = self_test_firmware();
    ASSERT_EQ(firmware.size(), 65536u);
    // A far jump, 16 bytes below the end.
    EXPECT_EQ(firmware[65520], 0xea);
    EXPECT_EQ(firmware[0], 0xfa);
}

}  // namespace
}  // namespace segue
