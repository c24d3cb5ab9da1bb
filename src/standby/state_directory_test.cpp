// SPDX-License-Identifier: LGPL-2.1-or-later
#include "standby/state_directory.h"

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "standby/test_peer.h"

namespace {
int syncs = 0;
}  // namespace

// The C library's, for this program: counted.
extern "C" int fsync(int descriptor) {
    syncs += 1;
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

}  // namespace
}  // namespace segue::standby
