// SPDX-License-Identifier: LGPL-2.1-or-later
#include "standby/vm_command.h"

#include <gmock/gmock.h>

#include "standby/option_list.h"
#include "standby/standby_options.h"

namespace segue::standby {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;
using ::testing::Not;

Places places() {
    Places places;
    places.operator_qmp = "/s/qmp.sock";
    places.own_qmp = "/s/own.sock";
    places.networks = {{"/s/vm.sock", "/s/gate.sock"}};
    places.disks = {"/s/disk.sock"};
    places.image_path = [](std::string_view block) { return "/m/" + std::string(block); };
    return places;
}

VmCommand rewrite(std::vector<std::string> words) {
    words.insert(words.begin(), "/usr/bin/qemu");
    return promoted_command(words, places()).value();
}

std::string joined(const VmCommand& command) {
    std::string text;
    for (const std::string& word : command.words)
        text += word + ' ';
    return text;
}

TEST(OptionList, KeepsDoubledCommasAndLoneKeys) {
    const OptionList list = OptionList::parse("file,path=/a,,b,append");
    EXPECT_EQ(list.first(), "file");
    EXPECT_EQ(list.get("path"), "/a,b");
    EXPECT_EQ(list.get("append"), "on");
    EXPECT_EQ(list.text(), "file,path=/a,,b,append=on");
    EXPECT_EQ(OptionList::parse("id=x,size=3").text(), "id=x,size=3");
}

TEST(MemorySize, ReadsWhatQemuReads) {
    EXPECT_EQ(memory_size("256"), 256ULL << 20);
    EXPECT_EQ(memory_size("size=2G,slots=4"), 2ULL << 30);
    EXPECT_EQ(memory_size("512K"), 512ULL << 10);
    EXPECT_EQ(memory_size("134217728", 'B'), 134217728ULL);
    EXPECT_EQ(memory_size("x"), std::nullopt);
    EXPECT_EQ(memory_size("12MB"), std::nullopt);
    EXPECT_EQ(memory_size("99999999999999999999G"), std::nullopt);
}

// Its memory is its own, and nobody feeds it.
TEST(VmCommand, OneThatStartsAnewKeepsItsMachineAndWaitsToBeLetRun) {
    Places cold = places();
    cold.is_cold = true;
    cold.networks.clear();
    cold.disks.clear();
    const VmCommand command =
        promoted_command(
            {"/usr/bin/qemu", "-machine", "pc-i440fx-7.2,memory-backend=pc.ram", "-object",
             "memory-backend-ram,id=pc.ram,size=64M", "-m", "64", "-qmp", "unix:/p.sock", "-S",
             "-blockdev", R"({"driver":"file","filename":"/shared/a","node-name":"a"})"},
            cold)
            .value();
    EXPECT_EQ(joined(command),
              "/usr/bin/qemu -machine pc-i440fx-7.2,memory-backend=pc.ram -object "
              "memory-backend-ram,id=pc.ram,size=64M -m 64 -blockdev "
              R"({"driver":"file","filename":"/shared/a","node-name":"a"} )"
              "-S -monitor none -qmp unix:/s/own.sock,server=on,wait=off "
              "-qmp unix:/s/qmp.sock,server=on,wait=off ");
    EXPECT_TRUE(command.is_cold);
    EXPECT_TRUE(command.shared.empty());
}

TEST(StandbyOptions, SharedDisksAreNeitherKeptNorStartedAhead) {
    const auto parsed = [](std::vector<const char*> words) {
        words.insert(words.begin(), {"segue-standby", "--listen", "unix:/l", "--state", "/s",
                                     "--shared-disk", "/a", "--shared-disk", "/b"});
        return parse_command_line(static_cast<int>(words.size()), words.data());
    };
    const auto good = parsed({"--", "qemu"});
    ASSERT_TRUE(good.options) << good.text;
    EXPECT_THAT(good.options->shared_disks, ElementsAre("/a", "/b"));
    EXPECT_THAT(parsed({"--prestart", "--", "qemu"}).text, HasSubstr("starts anew"));
    EXPECT_THAT(parsed({"--disk", "unix:/d=/i", "--", "qemu"}).text, HasSubstr("starts anew"));
    EXPECT_THAT(
        parsed({"--mode", "hybrid", "--net", "dgram:/n", "--net-out", "unix:/o", "--", "qemu"})
            .text,
        HasSubstr("two guests would write to one disk"));
}

TEST(VmCommand, DropsThePrimarysOwnLifeAndAddsTheStandbys) {
    const VmCommand command =
        rewrite({"-machine", "pc-i440fx-7.2", "-m", "128", "-qmp", "unix:/p.qmp,server=on", "-S",
                 "--daemonize", "-pidfile", "/p.pid", "-incoming", "tcp:0:1", "-mon",
                 "chardev=mon0,mode=control", "-chardev", "socket,id=mon0,path=/p.mon,server=on",
                 "-device", "VGA"});
    const std::string text = joined(command);
    for (const char* gone : {"/p.qmp", "-S ", "daemonize", "/p.pid", "tcp:0:1", "/p.mon"})
        EXPECT_THAT(text, Not(HasSubstr(gone)));
    EXPECT_THAT(text, HasSubstr("-machine pc-i440fx-7.2,memory-backend=pc.ram "));
    EXPECT_THAT(text, HasSubstr("-object memory-backend-file,id=pc.ram,"
                                "x-use-canonical-path-for-ramblock-id=off,mem-path=/m/pc.ram,"
                                "share=on,size=134217728 "));
    EXPECT_THAT(text, HasSubstr("-incoming defer "));
    EXPECT_THAT(text, HasSubstr("-qmp unix:/s/qmp.sock,server=on,wait=off"));
    EXPECT_THAT(text, HasSubstr("-device VGA "));
    EXPECT_THAT(command.shared, ElementsAre(SharedBlock{"pc.ram", 128ULL << 20}));
    EXPECT_EQ(command.notes.size(), 7U);
}

TEST(VmCommand, AShadowKeepsTheImageAsItIs) {
    Places own = places();
    own.keeps_image = true;
    for (const std::vector<std::string>& words :
         {std::vector<std::string>{"/q", "-m", "64"},
          {"/q", "-object", "memory-backend-ram,id=pc.ram,size=64M", "-machine",
           "pc,memory-backend=pc.ram"},
          {"/q", "-object", R"({"qom-type":"memory-backend-ram","id":"pc.ram","size":67108864})",
           "-machine", "pc,memory-backend=pc.ram"}}) {
        const auto command = promoted_command(words, own).value();
        ASSERT_EQ(command.shared.size(), 1U);
        std::string all;
        for (const std::string& word : command.words)
            all += word + ' ';
        const bool is_private = all.find("share=off") != std::string::npos ||
                                all.find("\"share\":false") != std::string::npos;
        EXPECT_TRUE(is_private) << all;
    }
}

TEST(VmCommand, TakesMemoryBackendsAsLibvirtWritesThem) {
    const VmCommand json =
        rewrite({"-machine", "pc-q35-7.2,memory-backend=pc.ram", "-object",
                 R"({"qom-type":"memory-backend-ram","id":"pc.ram","size":1048576})"});
    EXPECT_THAT(json.shared, ElementsAre(SharedBlock{"pc.ram", 1048576}));
    EXPECT_THAT(joined(json), HasSubstr(R"("mem-path":"/m/pc.ram","share":true)"));
    const VmCommand plain =
        rewrite({"-machine", "q35,memory-backend=m0", "-object",
                 "memory-backend-memfd,id=m0,size=2M,x-use-canonical-path-for-ramblock-id=off"});
    EXPECT_THAT(plain.shared, ElementsAre(SharedBlock{"m0", 2ULL << 20}));
    EXPECT_THAT(joined(plain), Not(HasSubstr("id=pc.ram")));
    EXPECT_THAT(rewrite({"-machine", "microvm"}).shared,
                ElementsAre(SharedBlock{"microvm.ram", 128ULL << 20}));
}

TEST(VmCommand, PointsNetworkAndDiskAtTheStandby) {
    const std::string text = joined(rewrite(
        {"-netdev", "stream,id=n0,server=off,addr.type=unix,addr.path=/net", "-device",
         "virtio-net-pci,netdev=n0", "-netdev", "user,id=n1", "-drive",
         "if=none,id=d0,driver=raw,file.driver=nbd,file.server.type=inet,file.server.host=a,"
         "file.server.port=1,file.export=e",
         "-drive", "file=nbd:unix:/p.sock:exportname=x,format=raw,if=virtio", "-blockdev",
         R"({"driver":"raw","node-name":"r",)"
         R"("file":{"driver":"nbd","server":{"type":"unix","path":"/p"}}})",
         "-drive", "file=/local.img,format=raw"}));
    EXPECT_THAT(text, HasSubstr("-netdev dgram,id=n0,local.type=unix,local.path=/s/vm.sock,"
                                "remote.type=unix,remote.path=/s/gate.sock "));
    EXPECT_THAT(text, HasSubstr("-netdev user,id=n1 "));
    EXPECT_THAT(text, HasSubstr("if=none,id=d0,driver=raw,file.driver=nbd,file.export=e,"
                                "file.server.type=unix,file.server.path=/s/disk.sock,"
                                "file.reconnect-delay=3600 "));
    EXPECT_THAT(text, HasSubstr("format=raw,if=virtio,file.driver=nbd,file.export=x,"
                                "file.server.type=unix,file.server.path=/s/disk.sock"));
    EXPECT_THAT(text, HasSubstr(R"("server":{"type":"unix","path":"/s/disk.sock"},)"
                                R"("reconnect-delay":3600)"));
    EXPECT_THAT(text, HasSubstr("-drive file=/local.img,format=raw "));
    const auto second =
        promoted_command({"/q", "-netdev", "stream,id=a", "-netdev", "dgram,id=b"}, places());
    EXPECT_THAT(second.error().message, HasSubstr("one more network cannot be promoted"));
}

TEST(VmCommand, GivesEachCardAndEachDiskItsOwnSocket) {
    Places several = places();
    several.networks.push_back({"/s/vm1.sock", "/s/gate1.sock"});
    several.disks.emplace_back("/s/disk1.sock");
    const auto disk = [](std::size_t number) {
        return R"({"driver":"nbd","node-name":"n","server":{"type":"unix","path":")" +
               disk_placeholder(number) + R"("}})";
    };
    const VmCommand command =
        promoted_command({"/q", "-netdev", "socket,id=a,udp=h:1", "-netdev", "socket,id=b,udp=h:2",
                          "-blockdev", disk(1), "-blockdev", disk(0)},
                         several)
            .value();
    const std::string text = joined(command);
    EXPECT_THAT(text, HasSubstr("-netdev dgram,id=a,local.type=unix,local.path=/s/vm.sock,"
                                "remote.type=unix,remote.path=/s/gate.sock "
                                "-netdev dgram,id=b,local.type=unix,local.path=/s/vm1.sock,"
                                "remote.type=unix,remote.path=/s/gate1.sock "));
    EXPECT_LT(text.find("/s/disk1.sock"), text.find("/s/disk.sock"));
}

TEST(VmCommand, ContinuesSerialFilesInsteadOfEmptyingThem) {
    const std::string text =
        joined(rewrite({"-serial", "file:/a,b", "-serial", "null", "-chardev",
                        "file,id=c,path=/log", "-device", "isa-serial,chardev=c"}));
    EXPECT_THAT(text, HasSubstr("-chardev file,id=segue-serial0,path=/a,,b,append=on "
                                "-serial chardev:segue-serial0 -serial null "
                                "-chardev file,id=c,path=/log,append=on "));
}

TEST(VmCommand, NeedsAnEmulator) {
    EXPECT_THAT(promoted_command({"-m", "64"}, places()).error().message,
                HasSubstr("must begin with the emulator's path"));
    EXPECT_THAT(promoted_command({"/q", "-m", "many"}, places()).error().message,
                HasSubstr("-m many"));
}

TEST(Options, AreReadAsTheManualSays) {
    const char* words[] = {"segue-standby",
                           "--listen",
                           "tcp:127.0.0.1:0",
                           "--state",
                           "s",
                           "--net",
                           "dgram:/n",
                           "--net-out",
                           "unix:/o",
                           "--disk",
                           "unix:/d=/img",
                           "--on-loss",
                           "promote",
                           "--",
                           "/q",
                           "-m",
                           "64"};
    const auto parsed = parse_command_line(std::size(words), words);
    ASSERT_TRUE(parsed.options.has_value()) << parsed.text;
    ASSERT_EQ(parsed.options->networks.size(), 1U);
    EXPECT_EQ(parsed.options->networks[0].datagram_path, "/n");
    EXPECT_EQ(parsed.options->networks[0].out, "/o");
    ASSERT_EQ(parsed.options->disks.size(), 1U);
    ASSERT_TRUE(parsed.options->disks[0].address.has_value());
    EXPECT_EQ(parsed.options->disks[0].address->path, "/d");
    EXPECT_EQ(parsed.options->disks[0].image, "/img");
    EXPECT_EQ(parsed.options->on_loss, Options::OnLoss::promote);
    EXPECT_THAT(parsed.options->vm, ElementsAre("/q", "-m", "64"));
    const char* open_disk[] = {"x", "--listen", "unix:/l",           "--state",
                               "s", "--disk",   "tcp:0.0.0.0:1=/img"};
    EXPECT_THAT(parse_command_line(std::size(open_disk), open_disk).text, HasSubstr("needs --tls"));
    const char* several[] = {"x",      "--listen",     "unix:/l", "--state",      "s",
                             "--disk", "unix:/d=/img", "--disk",  "unix:/e=/img2"};
    EXPECT_THAT(parse_command_line(std::size(several), several).text,
                HasSubstr("of a bare QEMU one each can be kept"));
    const char* nobody[] = {"x", "--state", "s"};
    EXPECT_THAT(parse_command_line(std::size(nobody), nobody).text,
                HasSubstr("give --listen (of a bare QEMU) or --agent"));
}

}  // namespace
}  // namespace segue::standby
