// SPDX-License-Identifier: LGPL-2.1-or-later
#include "protect/memory_room.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <filesystem>
#include <limits>

#include "protect/memory_file.h"

namespace segue {
namespace {

using ::testing::HasSubstr;

constexpr std::uint64_t kMiB = 1U << 20;

TEST(MemoryRoom, WhatFitsExactlyIsTaken) {
    const MemoryRoom room{.file_system = 100 * kMiB, .host = 200 * kMiB, .held = 10 * kMiB};
    EXPECT_TRUE(check_room(room, 110 * kMiB, "/x"));
    EXPECT_FALSE(check_room(room, 110 * kMiB + 1, "/x"));
    EXPECT_TRUE(check_room(room, 0, "/x"));
}

TEST(MemoryRoom, AnErrorNamesSizeLimitAndRemedy) {
    const MemoryRoom small{.file_system = 100 * kMiB, .host = 200 * kMiB, .held = 10 * kMiB};
    const std::string text = check_room(small, 4096 * kMiB, "/x").error().message;
    EXPECT_THAT(text, HasSubstr("4096 MiB"));
    EXPECT_THAT(text, HasSubstr("110 MiB"));
    EXPECT_THAT(text, HasSubstr("tmpfs"));
    EXPECT_THAT(text, HasSubstr("remount"));
    const MemoryRoom busy{.file_system = 300 * kMiB, .host = 200 * kMiB, .held = 0};
    const std::string other = check_room(busy, 4096 * kMiB, "/x").error().message;
    EXPECT_THAT(other, HasSubstr("200 MiB"));
    EXPECT_THAT(other, HasSubstr("this host's free memory"));
}

TEST(MemoryRoom, NoClaimOverflows) {
    const MemoryRoom room{.file_system = 100 * kMiB, .host = 200 * kMiB, .held = 10 * kMiB};
    EXPECT_FALSE(check_room(room, std::numeric_limits<std::uint64_t>::max(), "/x"));
    const MemoryRoom endless{.file_system = std::numeric_limits<std::uint64_t>::max(),
                             .host = std::numeric_limits<std::uint64_t>::max(),
                             .held = 0};
    EXPECT_TRUE(check_room(endless, std::numeric_limits<std::uint64_t>::max(), "/x"));
}

TEST(MemoryRoom, WhatTheDirectoryHoldsIsMeasured) {
    char name[] = "/dev/shm/segue-room-XXXXXX";
    const std::string directory = ::mkdtemp(name);
    const auto before = measure_room(directory).value();
    EXPECT_EQ(before.held, 0U);
    EXPECT_GT(before.file_system, 0U);
    EXPECT_GT(before.host, 0U);
    const auto file = MemoryFile::make(directory + "/ram-a", 3 * kMiB, true);
    ASSERT_TRUE(file);
    EXPECT_EQ(measure_room(directory).value().held, 3 * kMiB);
    std::filesystem::remove_all(directory);
    EXPECT_FALSE(measure_room(directory));
}

}  // namespace
}  // namespace segue
