// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/storage_access.h"

#include <gtest/gtest.h>

namespace segue {
namespace {

TEST(StorageAccess, TheFirstMissingFileIsNamed) {
    Domain domain;
    domain.disks.resize(2);
    domain.disks[0].source = "/dev/null";
    EXPECT_TRUE(check_storage_access(domain));  // an empty drive is no error
    domain.disks[1].target = "vdb";
    domain.disks[1].source = "/nonexistent/disk.img";
    const auto missing = check_storage_access(domain);
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error(),
              (Error{ErrorCode::system,
                     "Cannot access storage file '/nonexistent/disk.img': No such file or "
                     "directory; restore it, or change the source of disk 'vdb'"}));
    domain.disks.clear();
    domain.os.kernel = "/nonexistent/vmlinuz";
    EXPECT_FALSE(check_storage_access(domain));
}

}  // namespace
}  // namespace segue
