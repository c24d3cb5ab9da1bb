// SPDX-License-Identifier: LGPL-2.1-or-later
#include "protect/image_lock.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace segue {
namespace {

using ::testing::HasSubstr;

struct ImageLock : ::testing::Test {
    std::string folder = ::testing::TempDir() + "segue-image-lock-XXXXXX";
    std::string path;
    void SetUp() override {
        ASSERT_NE(::mkdtemp(folder.data()), nullptr);
        path = in_folder("image");
        std::ofstream(path) << "image";
    }
    void TearDown() override { std::filesystem::remove_all(folder); }
    std::string in_folder(const std::string& name) const { return folder + "/" + name; }
    // As QEMU holds the bytes of what it does: shared, of an open file.
    int hold(off_t byte) const {
        const int file = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
        struct flock lock {};
        lock.l_type = F_RDLCK;
        lock.l_whence = SEEK_SET;
        lock.l_start = byte;
        lock.l_len = 1;
        EXPECT_EQ(::fcntl(file, F_OFD_SETLK, &lock), 0);
        return file;
    }
};

TEST_F(ImageLock, WhoeverWritesIsSeenUntilHeIsGone) {
    EXPECT_FALSE(look_at_image(path)->is_written);
    const int writer = hold(101);
    EXPECT_TRUE(look_at_image(path)->is_written);
    ::close(writer);
    EXPECT_FALSE(look_at_image(path)->is_written);
}

TEST_F(ImageLock, AReaderIsNoWriter) {
    const int reader = hold(100);
    EXPECT_FALSE(look_at_image(path)->is_written);
    ::close(reader);
}

TEST_F(ImageLock, OneFileIsToldFromAnother) {
    std::ofstream(in_folder("other")) << "image";
    std::filesystem::create_symlink(path, in_folder("same"));
    EXPECT_EQ(look_at_image(path)->inode, look_at_image(in_folder("same"))->inode);
    EXPECT_NE(look_at_image(path)->inode, look_at_image(in_folder("other"))->inode);
}

TEST_F(ImageLock, WhatIsNoFileIsRefused) {
    EXPECT_THAT(look_at_image("/dev/null").error().message, HasSubstr("is no file"));
    EXPECT_THAT(look_at_image(in_folder("none")).error().message, HasSubstr("none"));
}

}  // namespace
}  // namespace segue
