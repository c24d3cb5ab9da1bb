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

// A client in NBD's transmission phase, one question at a time.
struct DiskClient {
    DiskClient(net::TestLoop& loop, const std::string& path) : loop(loop), peer(*loop, path) {
        BigWriter out;
        out.u32(3);
        out.u64(0x49484156454f5054);
        out.u32(1);  // EXPORT_NAME
        out.u32(0);
        peer.send(out.take());
        EXPECT_TRUE(loop.run_until([&] { return peer.input.size() == 18 + 10; }));
        peer.input.clear();
    }
    // The error of the answer.
    std::uint32_t write(std::uint64_t offset, const std::string& text) {
        ask(1, offset, text.size(), text);
        EXPECT_TRUE(loop.run_until([&] { return peer.input.size() == 16; }));
        return load<ByteOrder::big, std::uint32_t>(&peer.input[4]);
    }
    std::string read(std::uint64_t offset, std::size_t size) {
        ask(0, offset, size, "");
        EXPECT_TRUE(loop.run_until([&] { return peer.input.size() == 16 + size; }));
        return {peer.input.begin() + 16, peer.input.end()};
    }
    void ask(std::uint16_t kind, std::uint64_t offset, std::size_t size, const std::string& text) {
        peer.input.clear();
        BigWriter out;
        out.u32(0x25609513);
        out.u16(0);
        out.u16(kind);
        out.u64(7);
        out.u64(offset);
        out.u32(static_cast<std::uint32_t>(size));
        out.bytes(as_bytes(text));
        peer.send(out.take());
    }
    net::TestLoop& loop;
    TestPeer peer;
};

struct ShadowedDisk {
    ShadowedDisk() {
        std::ofstream(folder.file("image")) << std::string(8192, 'i');
        for (const char* name : {"log", "shadow"})
            std::filesystem::create_directory(folder.file(name));
        port = DiskPort::make(*loop, worker,
                              DiskEpochs::open(folder.file("image"), folder.file("log"),
                                               DiskEpochs::kAllSealed)
                                  .value(),
                              std::nullopt, folder.file("vm"), nullptr)
                   .value();
        EXPECT_TRUE(port->open_seats({folder.file("s0"), folder.file("s1")}, folder.file("image"),
                                     folder.file("shadow")));
        EXPECT_TRUE(port->disk().begin_epochs());
    }
    std::string image() const {
        std::ifstream file(folder.file("image"));
        return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    }
    net::TestLoop loop;
    TestFolder folder;
    Worker worker{*loop};
    std::unique_ptr<DiskPort> port;
};

// It sees what is committed, and nobody sees what it writes.
TEST(DiskPort, AShadowWritesForItselfUntilItsEpochIsOver) {
    ShadowedDisk disk;
    DiskClient first(disk.loop, disk.folder.file("s0"));
    EXPECT_NE(first.write(0, "early"), 0U);
    ASSERT_TRUE(disk.port->disk().write(0, as_bytes("open")));
    ASSERT_TRUE(disk.port->begin_shadow(0));
    EXPECT_EQ(first.read(0, 4), "iiii");
    EXPECT_EQ(first.write(0, "mine"), 0U);
    EXPECT_EQ(first.read(0, 6), "mineii");
    Bytes seen(4);
    ASSERT_TRUE(disk.port->disk().read(0, seen));
    EXPECT_EQ(as_text(seen), "open");
    EXPECT_EQ(disk.image().substr(0, 4), "iiii");
    disk.port->end_shadow();
    EXPECT_TRUE(disk.loop.run_until([&] { return first.peer.closed; }));
    ASSERT_TRUE(disk.port->begin_shadow(1));
    DiskClient second(disk.loop, disk.folder.file("s1"));
    EXPECT_EQ(second.read(0, 4), "iiii");
}

TEST(DiskPort, WhatAShadowHasWrittenIsTheGuestsWhenItTakesOver) {
    ShadowedDisk disk;
    ASSERT_TRUE(disk.port->begin_shadow(1));
    DiskClient shadow(disk.loop, disk.folder.file("s1"));
    EXPECT_EQ(shadow.write(1, "mine"), 0U);
    ASSERT_TRUE(disk.port->disk().write(0, as_bytes("the primary's")));
    ASSERT_TRUE(disk.port->disk().discard(1));
    ASSERT_TRUE(disk.port->serve_shadow());
    EXPECT_EQ(disk.image().substr(0, 6), "iminei");
    EXPECT_EQ(shadow.write(2, "!"), 0U);
    EXPECT_EQ(shadow.read(0, 6), "im!nei");
    EXPECT_TRUE(std::filesystem::is_empty(disk.folder.file("shadow")));
}

// Killed behind the mark that it runs, before its writes were in the image.
TEST(DiskPort, ANextProcessKeepsWhatTheShadowHadWritten) {
    ShadowedDisk disk;
    {
        ASSERT_TRUE(disk.port->begin_shadow(0));
        DiskClient shadow(disk.loop, disk.folder.file("s0"));
        EXPECT_EQ(shadow.write(0, "mine"), 0U);
        disk.port.reset();
    }
    ASSERT_TRUE(DiskPort::keep_shadow(disk.folder.file("image"), disk.folder.file("shadow")));
    EXPECT_EQ(disk.image().substr(0, 5), "minei");
}

}  // namespace
}  // namespace segue::standby
