// SPDX-License-Identifier: LGPL-2.1-or-later
#include "viewer/usb/disc_device.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace segue::viewer {
namespace {

constexpr std::size_t kBlocks = 20;

class DiscTest : public testing::Test {
  protected:
    DiscTest() : path_(testing::TempDir() + "disc-" + std::to_string(::getpid())) {
        std::ofstream file(path_, std::ios::binary);
        for (std::size_t block = 0; block < kBlocks; ++block)
            file << std::string(ScsiDisc::kBlock, static_cast<char>('a' + block));
    }
    ~DiscTest() override { std::filesystem::remove(path_); }
    ScsiDisc disc() { return ScsiDisc::open(path_).value(); }

    std::string path_;
};

// A drive whose first unit attention was taken.
class ScsiTest : public DiscTest {
  protected:
    ScsiTest() {
        EXPECT_FALSE(run({0x00}).good) << "a new disc is said first";
        EXPECT_EQ(sense(), 0x062800u);
        EXPECT_TRUE(run({0x00}).good);
    }
    ScsiDisc::Reply run(Bytes command) {
        command.resize(16);
        return drive_.execute(command);
    }
    // Key, code and qualifier of what failed last.
    std::uint32_t sense() {
        const Bytes data = run({0x03, 0, 0, 0, 18}).data;
        EXPECT_EQ(data.size(), 18u);
        return std::uint32_t{data[2]} << 16 | std::uint32_t{data[12]} << 8 | data[13];
    }
    ScsiDisc drive_ = disc();
};

TEST_F(ScsiTest, ReadsBlocksAndNothingBeyond) {
    EXPECT_EQ(run({0x25}).data, (Bytes{0, 0, 0, kBlocks - 1, 0, 0, 8, 0}));
    const Bytes two = run({0x28, 0, 0, 0, 0, 18, 0, 0, 2}).data;
    ASSERT_EQ(two.size(), 2 * ScsiDisc::kBlock);
    EXPECT_EQ(two.front(), 'a' + 18);
    EXPECT_EQ(two.back(), 'a' + 19);
    EXPECT_EQ(run({0xa8, 0, 0, 0, 0, 19, 0, 0, 0, 1}).data.size(), ScsiDisc::kBlock);
    for (const Bytes& beyond : {Bytes{0x28, 0, 0, 0, 0, 19, 0, 0, 2}, Bytes{0x28, 0, 0, 0, 0, 21},
                                Bytes{0x28, 0, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff}}) {
        EXPECT_FALSE(run(beyond).good);
        EXPECT_EQ(sense(), 0x052100u);
    }
    EXPECT_EQ(sense(), 0u) << "it is told once";
}

TEST_F(ScsiTest, SaysWhatItIs) {
    const Bytes inquiry = run({0x12, 0, 0, 0, 36}).data;
    ASSERT_EQ(inquiry.size(), 36u);
    EXPECT_EQ(inquiry[0], 5) << "a CD-ROM";
    EXPECT_EQ(as_text(ByteView(inquiry).subspan(8, 5)), "Segue");
    EXPECT_EQ(run({0x12, 0, 0, 0, 5}).data.size(), 5u);
    EXPECT_FALSE(run({0x12, 1, 0x80, 0, 255}).good) << "no vital product data";
    const Bytes toc = run({0x43, 0, 0, 0, 0, 0, 0, 0, 255}).data;
    EXPECT_EQ(toc,
              (Bytes{0, 18, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0, 0, 0x14, 0xaa, 0, 0, 0, 0, kBlocks}));
    EXPECT_EQ(run({0x46, 0, 0, 0, 0, 0, 0, 0, 8}).data, (Bytes{0, 0, 0, 12, 0, 0, 0, 8}));
    EXPECT_EQ(run({0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8}).data, (Bytes{0, 6, 4, 16, 0, 2, 0, 0}));
    EXPECT_EQ(run({0x5a, 0, 0x3f, 0, 0, 0, 0, 0, 8}).data.size(), 8u);
    EXPECT_EQ(run({0x1a, 0, 0x3f, 0, 4}).data, (Bytes{3, 0, 0x80, 0}));
    EXPECT_EQ(run({0x51, 0, 0, 0, 0, 0, 0, 0, 34}).data.size(), 34u);
    EXPECT_FALSE(run({0x2a, 0, 0, 0, 0, 0, 0, 0, 1}).good) << "nothing is written";
    EXPECT_EQ(sense(), 0x052000u);
}

TEST_F(ScsiTest, TheGuestEjectsIt) {
    EXPECT_TRUE(run({0x1b, 0, 0, 0, 2}).good);
    EXPECT_FALSE(run({0x28, 0, 0, 0, 0, 0, 0, 0, 1}).good);
    EXPECT_EQ(sense(), 0x023a00u);
    EXPECT_TRUE(run({0x1b, 0, 0, 0, 3}).good);
    EXPECT_TRUE(run({0x28, 0, 0, 0, 0, 0, 0, 0, 1}).good);
}

TEST_F(ScsiTest, ACutCommandIsRefused) {
    EXPECT_FALSE(drive_.execute({}).good);
    EXPECT_FALSE(drive_.execute(Bytes{0x28, 0, 0, 0}).good);
}

TEST_F(DiscTest, OnlyAFileWithBlocksIsADisc) {
    std::ofstream(path_, std::ios::trunc) << "short";
    EXPECT_EQ(ScsiDisc::open(path_).error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(ScsiDisc::open(testing::TempDir()).error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(ScsiDisc::open(path_ + "-none").error().code, ErrorCode::system);
}

class DiscDeviceTest : public DiscTest {
  protected:
    // A command that has the guest expect `length` bytes from the device.
    Bytes wrapper(Bytes command, std::uint32_t length, bool to_guest = true) {
        LittleWriter out;
        out.u32(0x43425355);
        out.u32(++tag_);
        out.u32(length);
        out.u8(to_guest ? 0x80 : 0);
        out.u8(0);
        out.u8(static_cast<std::uint8_t>(command.size()));
        command.resize(16);
        out.bytes(command);
        return out.take();
    }
    // The residue and the result of a status wrapper.
    std::pair<std::uint32_t, int> status() {
        const Bytes data = device_.bulk_in(13).value();
        LittleReader in(data);
        EXPECT_EQ(in.u32(), 0x53425355u);
        EXPECT_EQ(in.u32(), tag_);
        const std::uint32_t residue = in.u32();
        return {residue, in.u8()};
    }
    DiscDevice device_{disc()};
    std::uint32_t tag_ = 0;
};

TEST_F(DiscDeviceTest, DataComesInPiecesAndThenTheStatus) {
    EXPECT_FALSE(device_.bulk_in(512)) << "there is nothing before a command";
    ASSERT_TRUE(device_.bulk_out(wrapper({0x00}, 0)));
    EXPECT_EQ(status(), std::pair(0u, 1));
    ASSERT_TRUE(device_.bulk_out(wrapper({0x28, 0, 0, 0, 0, 3, 0, 0, 1}, 2048)));
    for (int part = 0; part < 4; ++part)
        EXPECT_EQ(device_.bulk_in(512).value(), Bytes(512, 'a' + 3));
    EXPECT_EQ(status(), std::pair(0u, 0));
}

TEST_F(DiscDeviceTest, LessThanExpectedEndsWithAShortPacketAndAResidue) {
    ASSERT_TRUE(device_.bulk_out(wrapper({0x12, 0, 0, 0, 36}, 64)));
    EXPECT_EQ(device_.bulk_in(64).value().size(), 36u);
    EXPECT_EQ(status(), std::pair(28u, 0));
    // What fails has no data at all.
    ASSERT_TRUE(device_.bulk_out(wrapper({0x28, 0, 0, 0, 0, 99, 0, 0, 1}, 2048)));
    EXPECT_EQ(device_.bulk_in(2048).value().size(), 0u);
    EXPECT_EQ(status(), std::pair(2048u, 1));
}

TEST_F(DiscDeviceTest, WhatIsWrittenPassesAndFails) {
    ASSERT_TRUE(device_.bulk_out(wrapper({0x2a, 0, 0, 0, 0, 0, 0, 0, 1}, 1024, false)));
    EXPECT_TRUE(device_.bulk_out(Bytes(512)));
    EXPECT_FALSE(device_.bulk_in(13)) << "the rest of the data is still to come";
    EXPECT_TRUE(device_.bulk_out(Bytes(512)));
    EXPECT_EQ(status(), std::pair(0u, 1));
}

TEST_F(DiscDeviceTest, ABrokenWrapperStallsUntilItIsReset) {
    EXPECT_FALSE(device_.bulk_out(Bytes(31)));
    EXPECT_FALSE(device_.bulk_out(Bytes(30)));
    ASSERT_TRUE(device_.bulk_out(wrapper({0x12, 0, 0, 0, 36}, 36)));
    EXPECT_FALSE(device_.bulk_out(wrapper({0x00}, 0))) << "data is due";
    EXPECT_TRUE(device_.control({0x21, 0xff, 0, 0, 0}));
    EXPECT_FALSE(device_.bulk_in(36));
    EXPECT_TRUE(device_.bulk_out(wrapper({0x12, 0, 0, 0, 36}, 36)));
}

TEST_F(DiscDeviceTest, Descriptors) {
    const Bytes device = device_.control({0x80, 6, 0x0100, 0, 64}).value();
    ASSERT_EQ(device.size(), 18u);
    EXPECT_EQ(device[0], 18);
    const Bytes all = device_.control({0x80, 6, 0x0200, 0, 255}).value();
    ASSERT_EQ(all.size(), 32u);
    EXPECT_EQ(all[2], 32);
    EXPECT_EQ(device_.control({0x80, 6, 0x0200, 0, 9}).value().size(), 9u);
    EXPECT_EQ(device_.control({0x80, 6, 0x0301, 0, 255}).value().size(), 12u);
    EXPECT_EQ(device_.control({0xa1, 0xfe, 0, 0, 1}), Bytes{0});
    EXPECT_FALSE(device_.control({0x80, 6, 0x0304, 0, 255})) << "no such string";
    EXPECT_FALSE(device_.control({0x80, 6, 0x0600, 0, 10})) << "no other speed";
    EXPECT_FALSE(device_.control({0x40, 1, 0, 0, 0}));
}

}  // namespace
}  // namespace segue::viewer
