// SPDX-License-Identifier: LGPL-2.1-or-later
#include "standby/shadow.h"

#include <gmock/gmock.h>

#include "net/test_loop.h"
#include "standby/test_peer.h"

namespace segue::standby {
namespace {

struct Watched {
    std::vector<std::string> lost, next_lost;
    bool ready = false;
};

std::unique_ptr<Shadow> make(Loop& loop, const TestFolder& folder, Watched& watched,
                             const std::string& emulator, std::vector<std::string> guest) {
    Shadow::Handlers handlers;
    handlers.command = [guest](std::size_t) {
        VmCommand command;
        command.words = guest;
        return command;
    };
    handlers.files = [&folder](std::size_t seat) {
        const std::string name = std::to_string(seat);
        return StandbyVm::Files{folder.file("own" + name), folder.file("in" + name),
                                folder.file("log"), folder.file("pid" + name)};
    };
    handlers.passed = [](std::size_t, ByteView) {};
    handlers.differs = [](std::size_t) {};
    handlers.lost = [&](const std::string& how) { watched.lost.push_back(how); };
    handlers.next_lost = [&](const std::string& how) { watched.next_lost.push_back(how); };
    handlers.guest_ended = [](const std::string&) {};
    handlers.ready = [&] { watched.ready = true; };
    return std::make_unique<Shadow>(loop, emulator, 1, std::move(handlers));
}

// Nobody waits for one that never comes.
TEST(Shadow, ANextOneThatEndsIsToldAndAnotherOneMayBeStarted) {
    net::TestLoop loop;
    const TestFolder folder;
    Watched watched;
    const auto shadow = make(*loop, folder, watched, "qemu-system-x86_64", {"false"});
    ASSERT_TRUE(shadow->prepare().has_value());
    ASSERT_TRUE(loop.run_until([&] { return watched.next_lost.size() == 1; }));
    EXPECT_THAT(watched.next_lost[0], ::testing::HasSubstr("exit status 1"));
    EXPECT_FALSE(shadow->is_ready());
    ASSERT_TRUE(shadow->prepare().has_value());
    ASSERT_TRUE(loop.run_until([&] { return watched.next_lost.size() == 2; }));
    EXPECT_TRUE(watched.lost.empty());
    EXPECT_FALSE(watched.ready);
}

TEST(Shadow, ANextOneWithoutItsComparerIsNone) {
    net::TestLoop loop;
    const TestFolder folder;
    Watched watched;
    const auto shadow = make(*loop, folder, watched, "false", {"sleep", "600"});
    ASSERT_TRUE(shadow->prepare().has_value());
    ASSERT_TRUE(loop.run_until([&] { return !watched.next_lost.empty(); }));
    EXPECT_THAT(watched.next_lost[0], ::testing::HasSubstr("colo-compare ended"));
}

}  // namespace
}  // namespace segue::standby
