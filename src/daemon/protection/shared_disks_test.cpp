// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/protection/shared_disks.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "daemon/protection/wish.h"

namespace segue {
namespace {

using ::testing::HasSubstr;

struct SharedDisks : ::testing::Test {
    std::string folder = ::testing::TempDir() + "segue-shared-disks-XXXXXX";
    std::string path;
    int writer = -1;
    void SetUp() override {
        ASSERT_NE(::mkdtemp(folder.data()), nullptr);
        path = folder + "/image";
        std::ofstream(path) << "image";
    }
    void TearDown() override {
        if (writer >= 0) ::close(writer);
        std::filesystem::remove_all(folder);
    }
    // As a QEMU that writes to it.
    void write() {
        writer = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
        struct flock lock {};
        lock.l_type = F_RDLCK;
        lock.l_start = 101;
        lock.l_len = 1;
        ASSERT_EQ(::fcntl(writer, F_OFD_SETLK, &lock), 0);
    }
};

TEST_F(SharedDisks, OneThatIsWrittenAndTheSameIsShared) {
    write();
    const auto described = describe_images({path});
    ASSERT_TRUE(described) << described.error().message;
    EXPECT_TRUE(check_same_images(*described));
}

TEST_F(SharedDisks, WhereTheLockIsNotSeenNothingIsShared) {
    EXPECT_THAT(describe_images({path}).error().message, HasSubstr("shows no lock"));
    write();
    const auto described = describe_images({path});
    ASSERT_TRUE(described);
    ::close(std::exchange(writer, -1));
    EXPECT_THAT(check_same_images(*described).error().message, HasSubstr("shows no lock"));
}

TEST_F(SharedDisks, AFileOfTheSameNameIsNotTheSameFile) {
    write();
    const auto described = describe_images({path});
    ASSERT_TRUE(described);
    std::filesystem::rename(path, path + ".old");
    std::ofstream(path) << "image";
    EXPECT_THAT(check_same_images(*described).error().message, HasSubstr("another file"));
    std::filesystem::remove(path);
    EXPECT_FALSE(check_same_images(*described));
}

TEST(SharedStorageWish, TheWeakerPromiseIsSaidAndNothingIsHeld) {
    Json asked = Json::object({{"standby", "qemu+tcp://b/system"}, {"shared_storage", true}});
    const auto wish = ProtectionWish::parse(asked);
    ASSERT_TRUE(wish);
    EXPECT_THAT(std::string(wish->promise()), HasSubstr("starts anew"));
    EXPECT_FALSE(wish->adapts);
    EXPECT_EQ(wish->interval_ms, ProtectionWish::kMaxIntervalMs);
    // As it travels with a migration.
    const auto again = ProtectionWish::parse(wish->json());
    ASSERT_TRUE(again);
    EXPECT_TRUE(again->shared_storage);
    EXPECT_FALSE(again->adapts);
    asked.set("screen", "held");
    EXPECT_FALSE(ProtectionWish::parse(asked));
    const auto copied = ProtectionWish::parse(Json::object({{"standby", "qemu+tcp://b/system"}}));
    ASSERT_TRUE(copied);
    EXPECT_FALSE(copied->shared_storage);
    EXPECT_TRUE(copied->adapts);
}

}  // namespace
}  // namespace segue
