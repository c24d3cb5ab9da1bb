// SPDX-License-Identifier: LGPL-2.1-or-later
#include "protect/memory_directory.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace segue {
namespace {

namespace fs = std::filesystem;

// A place for state directories, and one for memory.
struct Places {
    Places() {
        char states[] = "/dev/shm/segue-states-XXXXXX", memory[] = "/dev/shm/segue-memory-XXXXXX";
        disk = ::mkdtemp(states);
        root = ::mkdtemp(memory);
    }
    ~Places() {
        fs::remove_all(disk);
        fs::remove_all(root);
    }
    Places(const Places&) = delete;
    Places& operator=(const Places&) = delete;
    std::string state(const std::string& name) const {
        fs::create_directories(disk + "/" + name);
        return disk + "/" + name;
    }
    MemoryDirectory open(const std::string& name) const {
        const std::string path = fmt::format("{}/segue-standby-{}-{}", root, ::geteuid(), name);
        auto opened = MemoryDirectory::open_at(path, state(name)).value();
        std::ofstream(opened.path() + "/ram-pc.ram") << "guest";
        return opened;
    }
    int sweep() const { return sweep_memory(::geteuid(), root); }
    std::string disk, root;
};

TEST(MemoryDirectory, WhatAKilledStandbyLeftGoesWithItsStateDirectory) {
    const Places places;
    std::string path;
    {
        const auto killed = places.open("a");
        path = killed.path();
    }
    // Its next process may hold what it finds.
    EXPECT_EQ(places.sweep(), 0);
    EXPECT_TRUE(fs::exists(path + "/ram-pc.ram"));
    fs::remove_all(places.state("a"));
    EXPECT_EQ(places.sweep(), 1);
    EXPECT_FALSE(fs::exists(path));
    EXPECT_EQ(places.sweep(), 0);
}

TEST(MemoryDirectory, ALivingOnesIsNeverTouched) {
    const Places places;
    const auto living = places.open("a");
    fs::remove_all(places.state("a"));
    EXPECT_EQ(places.sweep(), 0);
    EXPECT_TRUE(fs::exists(living.path() + "/ram-pc.ram"));
}

TEST(MemoryDirectory, OnlyWhatSaysWhoseItIsIsSwept) {
    const Places places;
    std::string path;
    {
        const auto killed = places.open("a");
        path = killed.path();
    }
    fs::remove_all(places.state("a"));
    fs::create_directory(places.root + "/something-else");
    // Of an older release, or of one that is only starting.
    fs::remove(path + "/.owner");
    EXPECT_EQ(places.sweep(), 0);
    std::ofstream(path + "/.owner") << "not a path";
    EXPECT_EQ(places.sweep(), 0);
    std::ofstream(path + "/.owner") << places.disk + "/gone";
    fs::remove(path + "/.lock");
    EXPECT_EQ(places.sweep(), 0);
    EXPECT_TRUE(fs::exists(path + "/ram-pc.ram"));
    // Nor what another user's name stands for.
    EXPECT_EQ(sweep_memory(::geteuid() + 1, places.root), 0);
}

TEST(MemoryDirectory, ALinkLeadsNowhere) {
    const Places places;
    std::string path;
    {
        const auto killed = places.open("a");
        path = killed.path();
    }
    fs::remove_all(places.state("a"));
    const std::string target = places.disk + "/precious";
    fs::rename(path, places.root + "/aside");
    fs::create_directory(target);
    std::ofstream(target + "/file") << "kept";
    fs::create_directory_symlink(target, path);
    EXPECT_EQ(places.sweep(), 0);
    EXPECT_TRUE(fs::exists(target + "/file"));
}

TEST(MemoryDirectory, TheNextProcessFindsWhatItsLastOneLeft) {
    const Places places;
    std::string path;
    {
        const auto killed = places.open("a");
        path = killed.path();
    }
    EXPECT_TRUE(fs::exists(path + "/ram-pc.ram"));
    auto again = places.open("a");
    EXPECT_EQ(again.path(), path);
    again.remove();
    EXPECT_FALSE(fs::exists(path));
}

}  // namespace
}  // namespace segue
