// SPDX-License-Identifier: LGPL-2.1-or-later
#include "base/large_memory.h"

#include <gtest/gtest.h>

#include <cstring>

namespace segue {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;

TEST(LargeMemory, AllOfItCanBeWritten) {
    for (const std::size_t size : {std::size_t{1}, kHugePage - 1, kHugePage, 2 * kHugePage + 5}) {
        const LargeMemory memory = allocate_large(size);
        ASSERT_TRUE(memory);
        std::memset(memory.get(), 0x5a, size);
        EXPECT_EQ(memory[size - 1], 0x5a);
        const bool starts_a_page = reinterpret_cast<std::uintptr_t>(memory.get()) % kHugePage == 0;
        EXPECT_TRUE(size < kHugePage || starts_a_page);
    }
}

}  // namespace
}  // namespace segue
