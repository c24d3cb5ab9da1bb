// SPDX-License-Identifier: LGPL-2.1-or-later
#include "standby/state_directory.h"

#include <errno.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "standby/test_peer.h"

namespace {
int syncs = 0;
int failing_sync = 0;  // the one that fails, counted from 1; 0: none
}  // namespace

// The C library's, for this program: counted, and made to fail.
extern "C" int fsync(int descriptor) {
    syncs += 1;
    if (syncs == failing_sync) {
        errno = EIO;
        return -1;
    }
    return static_cast<int>(::syscall(SYS_fsync, descriptor));
}

namespace segue::standby {
namespace {

TEST(StateDirectory, WhatANextProcessIsToKnowIsNotWaitedFor) {
    TestFolder folder;
    const std::string path = folder.file("state");
    Facts facts;
    facts.promoted = facts.paused = true;
    facts.epoch = 7;
    {
        auto state = StateDirectory::open(path).value();
        syncs = 0;
        ASSERT_TRUE(state.save_for_next_process(facts));
        EXPECT_EQ(syncs, 0);
        EXPECT_TRUE(state.facts().promoted);
    }
    auto state = StateDirectory::open(path).value();
    EXPECT_TRUE(state.facts().promoted && state.facts().paused);
    EXPECT_EQ(state.facts().epoch, 7U);
    // Its own bytes, and its name.
    syncs = 0;
    ASSERT_TRUE(state.save(facts));
    EXPECT_EQ(syncs, 2);
}

// Whoever saves acts as if nothing was: the next process must find the same.
TEST(StateDirectory, WhatIsNotDurableIsReadByNoNextProcess) {
    TestFolder folder;
    const std::string path = folder.file("state");
    Facts before;
    before.epoch = 7;
    Facts facts = before;
    facts.given_up = true;
    for (const int failing : {1, 2}) {
        {
            auto state = StateDirectory::open(path).value();
            ASSERT_TRUE(state.save(before));
            syncs = 0;
            failing_sync = failing;
            EXPECT_FALSE(state.save(facts));
            failing_sync = 0;
            EXPECT_FALSE(state.facts().given_up);
        }
        const auto state = StateDirectory::open(path).value();
        EXPECT_FALSE(state.facts().given_up);
        EXPECT_EQ(state.facts().epoch, 7U);
    }
}

}  // namespace
}  // namespace segue::standby
