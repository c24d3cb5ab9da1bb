// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/disk_statistics.h"

#include <gtest/gtest.h>

namespace segue {
namespace {

TEST(DiskStatistics, FindsADiskByAWholeNameOfItsPath) {
    // As QEMU 7.2 says it, cut to what is read.
    const auto reply = Json::parse(R"([
        {"qdev": "/machine/peripheral/virtio-disk10/virtio-backend", "stats": {"rd_bytes": 10}},
        {"qdev": "/machine/peripheral/virtio-disk1/virtio-backend", "stats": {"rd_bytes": 1}},
        {"qdev": "/machine/peripheral/ide0-0-0", "stats": {"rd_bytes": 2}}])");
    ASSERT_TRUE(reply);
    ASSERT_NE(disk_statistics(*reply, "virtio-disk1"), nullptr);
    EXPECT_EQ(disk_statistics(*reply, "virtio-disk1")->i64("rd_bytes"), 1);
    EXPECT_EQ(disk_statistics(*reply, "ide0-0-0")->i64("rd_bytes"), 2);
    EXPECT_EQ(disk_statistics(*reply, "virtio-disk2"), nullptr);
    EXPECT_EQ(disk_statistics(*reply, ""), nullptr);
    EXPECT_EQ(disk_statistics(Json(), "ide0-0-0"), nullptr);
}

}  // namespace
}  // namespace segue
