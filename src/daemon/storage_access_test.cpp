// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/storage_access.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace segue {
namespace {

Result<> check(const Domain& domain) {
    FactsOfFiles facts;
    for (const std::string& file : files_of(domain))
        facts[file] = look_at_file(file);
    return check_storage_access(domain, facts);
}

TEST(StorageAccess, TheFirstMissingFileIsNamed) {
    Domain domain;
    domain.disks.resize(2);
    domain.disks[0].source = "/dev/null";
    EXPECT_TRUE(check(domain));  // an empty drive is no error
    domain.disks[1].target = "vdb";
    domain.disks[1].source = "/nonexistent/disk.img";
    const auto missing = check(domain);
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error(),
              (Error{ErrorCode::system,
                     "Cannot access storage file '/nonexistent/disk.img': No such file or "
                     "directory; restore it, or change the source of disk 'vdb'"}));
    domain.disks.clear();
    domain.os.kernel = "/nonexistent/vmlinuz";
    EXPECT_FALSE(check(domain));
}

// QEMU opens a FIFO when somebody does at its other end, and answers nothing until then.
TEST(StorageAccess, WhatIsNoStorageIsRefused) {
    Domain domain;
    domain.disks.resize(1);
    domain.disks[0].target = "vda";
    domain.disks[0].source = "/tmp";
    const auto directory = check(domain);
    ASSERT_FALSE(directory);
    EXPECT_EQ(directory.error(),
              (Error{ErrorCode::config_unsupported,
                     "'/tmp' is neither a file nor a block device; change the source of disk "
                     "'vda'"}));
    const std::string fifo = testing::TempDir() + "segue-fifo-" + std::to_string(::getpid());
    ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
    domain.disks[0].source = fifo;
    EXPECT_FALSE(check(domain));
    ::unlink(fifo.c_str());
}

TEST(StorageAccess, AServerThatDoesNotAnswerIsSaidToBeOne) {
    Domain domain;
    domain.disks.resize(1);
    domain.disks[0].target = "vda";
    domain.disks[0].source = "/nfs/disk.img";
    const auto hung = check_storage_access(domain, {{"/nfs/disk.img", {.error = ETIMEDOUT}}});
    ASSERT_FALSE(hung);
    EXPECT_EQ(hung.error().message,
              "Cannot access storage file '/nfs/disk.img': its storage does not answer; restore "
              "it, or change the source of disk 'vda'");
}

}  // namespace
}  // namespace segue
