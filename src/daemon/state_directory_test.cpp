// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/state_directory.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

namespace segue {
namespace {

using ::testing::HasSubstr;

struct StateDirectory : ::testing::Test {
    std::filesystem::path folder =
        std::filesystem::temp_directory_path() / ("sg-" + std::to_string(getpid()));
    std::string state = (folder / "a" / "state").string();

    void SetUp() override { std::filesystem::create_directories(folder); }
    void TearDown() override { std::filesystem::remove_all(folder); }
    static unsigned mode_of(const std::string& path) {
        struct stat found {};
        return ::lstat(path.c_str(), &found) == 0 ? found.st_mode & 07777 : 0;
    }
};

TEST_F(StateDirectory, IsMadeForPassingThrough) {
    ASSERT_TRUE(make_state_directory(state));
    EXPECT_EQ(mode_of(state), 0711u);
    EXPECT_EQ(mode_of(state + "/domains"), 0711u);
    EXPECT_TRUE(make_state_directory(state));
}

TEST_F(StateDirectory, NothingIsTakenFromOneThatIsThere) {
    std::filesystem::create_directories(state);
    ::chmod(state.c_str(), 0755);
    ASSERT_TRUE(make_state_directory(state));
    EXPECT_EQ(mode_of(state), 0755u);
}

TEST_F(StateDirectory, OneThatOthersMayWriteToIsRefused) {
    std::filesystem::create_directories(state);
    ::chmod(state.c_str(), 01777);
    const auto made = make_state_directory(state);
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().code, ErrorCode::denied);
    EXPECT_THAT(made.error().message, HasSubstr("mode 1777): chmod go-w"));
    EXPECT_EQ(mode_of(state), 01777u);
    EXPECT_FALSE(std::filesystem::exists(state + "/domains"));
}

TEST_F(StateDirectory, ALongPathIsRefusedBeforeAVmFindsOut) {
    const auto made = make_state_directory("/tmp/" + std::string(60, 'x'));
    ASSERT_FALSE(made);
    EXPECT_THAT(made.error().message, HasSubstr("has 65 characters: at most 49"));
}

TEST_F(StateDirectory, ALinkInPlaceOfTheDomainsIsRefused) {
    std::filesystem::create_directories(state);
    std::filesystem::create_directory_symlink("/tmp", state + "/domains");
    const auto made = make_state_directory(state);
    ASSERT_FALSE(made);
    EXPECT_THAT(made.error().message, HasSubstr("is not a directory"));
}

}  // namespace
}  // namespace segue
