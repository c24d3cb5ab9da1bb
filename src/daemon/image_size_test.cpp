// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/image_size.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace segue {
namespace {

class ImageSizeTest : public ::testing::Test {
  protected:
    ~ImageSizeTest() override { std::filesystem::remove(path_); }

    Disk disk(const std::string& bytes, const std::string& format) {
        std::ofstream(path_, std::ios::binary) << bytes;
        Disk made;
        made.source = path_;
        made.format = format;
        return made;
    }

    static Result<ImageSize> size_of(const Disk& disk) {
        return image_size(disk, look_at_file(disk.source));
    }

    std::string path_ = "/tmp/segue-image-" + std::to_string(::getpid());
};

// As qemu-img 7.2 wrote it for 1 GiB: the first 32 bytes.
const std::string kHeader("QFI\xfb\0\0\0\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x10\0\0\0\0\x40\0\0\0",
                          32);

TEST_F(ImageSizeTest, AQcow2ImageHasTheSizeOfItsHeader) {
    const auto size = size_of(disk(kHeader, "qcow2"));
    ASSERT_TRUE(size) << size.error().message;
    EXPECT_EQ(size->capacity, 1u << 30);
    EXPECT_EQ(size->physical, 32u);
}

TEST_F(ImageSizeTest, ARawImageHasTheSizeOfItsFile) {
    const auto size = size_of(disk(kHeader, "raw"));
    ASSERT_TRUE(size) << size.error().message;
    EXPECT_EQ(size->capacity, 32u);
}

TEST_F(ImageSizeTest, WhatIsCutOrIsNoImageIsNamed) {
    for (std::size_t length = 0; length < kHeader.size(); ++length) {
        const auto size = size_of(disk(kHeader.substr(0, length), "qcow2"));
        ASSERT_FALSE(size) << length;
        EXPECT_EQ(size.error().message, "'" + path_ + "' is not a qcow2 image");
    }
}

TEST_F(ImageSizeTest, AFifoIsNotWaitedFor) {
    Disk fifo;
    fifo.source = path_;
    ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
    const auto size = size_of(fifo);
    ASSERT_FALSE(size);
    EXPECT_EQ(size.error().message, "'" + path_ + "' is neither a file nor a block device");
}

}  // namespace
}  // namespace segue
