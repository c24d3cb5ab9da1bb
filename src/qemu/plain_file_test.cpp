// SPDX-License-Identifier: LGPL-2.1-or-later
#include "qemu/plain_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "qemu/process.h"

namespace segue {
namespace {

class PlainFileTest : public testing::Test {
  protected:
    PlainFileTest() {
        char path[] = "/tmp/segue-plain-XXXXXX";
        scratch_ = ::mkdtemp(path);
        std::ofstream(scratch_ + "/secret") << "7 8\n";
    }
    ~PlainFileTest() override { std::filesystem::remove_all(scratch_); }

    // Whoever reads a log or a pid file gets nothing of this one, and gets it at once.
    void expect_refused(const std::string& path, ErrorCode code) {
        EXPECT_EQ(read_plain(path, 64).error().code, code) << path;
        EXPECT_EQ(log_tail(path), "") << path;
        EXPECT_FALSE(read_pid_file(path)) << path;
    }

    std::string scratch_;
};

TEST_F(PlainFileTest, IsReadWholeOrFromItsEnd) {
    const std::string path = scratch_ + "/secret";
    EXPECT_EQ(read_plain(path, 4).value(), "7 8\n");
    EXPECT_EQ(read_plain(path, 3).error().code, ErrorCode::limit_exceeded);
    EXPECT_EQ(read_plain_tail(path, 2), "8\n");
    EXPECT_EQ(read_plain_tail(path, 100), "7 8\n");
    EXPECT_EQ(read_pid_file(path).value(), (ProcessIdentity{7, 8}));
    std::ofstream(scratch_ + "/empty").close();
    EXPECT_EQ(read_plain(scratch_ + "/empty", 4).value(), "");
    EXPECT_EQ(read_plain_tail(scratch_ + "/empty", 4), "");
    EXPECT_EQ(read_plain(scratch_ + "/none", 4).error().code, ErrorCode::system);
}

TEST_F(PlainFileTest, ALogKeepsItsEnd) {
    const std::string log = scratch_ + "/log";
    std::ofstream writer(log, std::ios::app);
    writer << "first, second, third\n" << std::flush;
    bound_log(log, 21, 6);
    EXPECT_EQ(read_plain(log, 64).value(), "first, second, third\n") << "not too long yet";
    bound_log(log, 20, 6);
    EXPECT_EQ(read_plain(log, 64).value(), "third\n");
    writer << "fourth\n" << std::flush;
    EXPECT_EQ(read_plain(log, 64).value(), "third\nfourth\n") << "without a hole";
    ASSERT_EQ(::symlink("log", (scratch_ + "/link").c_str()), 0);
    bound_log(scratch_ + "/link", 2, 1);
    ASSERT_EQ(::link(log.c_str(), (scratch_ + "/name").c_str()), 0);
    bound_log(log, 2, 1);
    ASSERT_EQ(::unlink((scratch_ + "/name").c_str()), 0);
    EXPECT_EQ(read_plain(log, 64).value(), "third\nfourth\n") << "what is another's stays whole";
}

TEST_F(PlainFileTest, IsNoLinkToAnother) {
    ASSERT_EQ(::symlink("secret", (scratch_ + "/link").c_str()), 0);
    expect_refused(scratch_ + "/link", ErrorCode::system);
    ASSERT_EQ(::link((scratch_ + "/secret").c_str(), (scratch_ + "/name").c_str()), 0);
    expect_refused(scratch_ + "/name", ErrorCode::denied);
    EXPECT_FALSE(open_plain(scratch_ + "/link", O_WRONLY | O_CREAT | O_APPEND));
}

TEST_F(PlainFileTest, IsNoFifoThatNobodyWritesTo) {
    ASSERT_EQ(::mkfifo((scratch_ + "/fifo").c_str(), 0600), 0);
    expect_refused(scratch_ + "/fifo", ErrorCode::denied);
    EXPECT_EQ(open_plain(scratch_ + "/fifo", O_WRONLY | O_APPEND).error().code, ErrorCode::system);
}

TEST_F(PlainFileTest, IsNoDeviceAndNoDirectory) {
    for (const char* path : {"/dev/ptmx", "/dev/zero", "/tmp"})
        expect_refused(path, ErrorCode::denied);
}

}  // namespace
}  // namespace segue
