// SPDX-License-Identifier: LGPL-2.1-or-later
#include "standby/disk_port.h"

#include <gmock/gmock.h>

#include <fstream>

#include "net/test_loop.h"
#include "standby/test_peer.h"

namespace segue::standby {
namespace {

constexpr std::size_t kAnswer = std::size_t{nbd::kMaxTransfer} + 16;

// A client that asks for everything at once gets it, piece by piece, as it reads.
TEST(DiskPort, AnswersPipelinedReadsAsTheyAreRead) {
    net::TestLoop loop;
    TestFolder folder;
    std::ofstream(folder.file("image")).close();
    std::filesystem::resize_file(folder.file("image"), nbd::kMaxTransfer);
    std::filesystem::create_directory(folder.file("log"));
    Worker worker(*loop);
    auto disk =
        DiskEpochs::open(folder.file("image"), folder.file("log"), DiskEpochs::kAllSealed).value();
    const auto port = DiskPort::make(*loop, worker, std::move(disk),
                                     net::Address::of_unix(folder.file("nbd.sock")),
                                     folder.file("vm.sock"), nullptr)
                          .value();
    TestPeer client(*loop, folder.file("nbd.sock"));
    constexpr std::size_t kReads = 12;  // more than may wait for a client at any time
    BigWriter out;
    out.u32(3);
    out.u64(0x49484156454f5054);
    out.u32(1);  // EXPORT_NAME
    out.u32(0);
    for (std::size_t count = 0; count < kReads; ++count) {
        out.u32(0x25609513);
        out.u32(0);  // no flags, read
        out.u64(count);
        out.u64(0);
        out.u32(nbd::kMaxTransfer);
    }
    client.send(out.take());
    std::size_t received = 0;
    constexpr std::size_t kGreetings = 18 + 10;
    EXPECT_TRUE(loop.run_until(
        [&] {
            received += client.input.size();
            client.input.clear();
            return client.closed || received >= kGreetings + kReads * kAnswer;
        },
        60s));
    EXPECT_FALSE(client.closed);
    EXPECT_EQ(received, kGreetings + kReads * kAnswer);
}

}  // namespace
}  // namespace segue::standby
