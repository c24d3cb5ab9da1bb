// SPDX-License-Identifier: LGPL-2.1-or-later
// What is refused, what is kept, and what a migration may change.
#include "domain/domain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "domain/abi.h"
#include "domain/alias.h"
#include "domain/complete.h"

namespace segue {
namespace {

std::string with(const std::string& devices, const std::string& more = "") {
    return "<domain type='qemu'><name>vm</name><uuid>00000000-0000-4000-8000-000000000009</uuid>"
           "<memory unit='MiB'>64</memory><os><type>hvm</type></os>" +
           more + "<devices>" + devices + "</devices></domain>";
}

Result<Domain> define(const std::string& text) {
    Domain domain = TRY(parse_domain(text));
    SeededRandom random(1);
    TRY(complete_domain(domain, {.machine = qemu_7_2_machine, .random = random}));
    return domain;
}

Error refused(const std::string& text) {
    const auto domain = define(text);
    return domain ? Error{ErrorCode::internal, "was accepted"} : domain.error();
}

TEST(Domain, WhatCannotBeIsRefusedWithLibvirtsCode) {
    struct Case {
        std::string text, message;
        ErrorCode code;
    };
    const Case cases[] = {
        {"<domain", "domain definition is not well-formed XML", ErrorCode::xml_invalid},
        {"<network/>", "unexpected root element <network>, expecting <domain>",
         ErrorCode::xml_invalid},
        {"<domain type='xen'/>", "Invalid value for attribute 'type' in element 'domain': 'xen'",
         ErrorCode::config_unsupported},
        {"<domain type='qemu'/>", "missing name information", ErrorCode::no_name},
        {"<domain type='qemu'><name>a/b</name></domain>", "domain name 'a/b' cannot be used",
         ErrorCode::xml_invalid},
        {with("<tpm model='tpm-tis'/>"), "device <tpm> is not supported",
         ErrorCode::config_unsupported},
        {with("<hostdev mode='subsystem' type='pci'/>"), "device <hostdev> is not supported",
         ErrorCode::config_unsupported},
        {with("<interface type='network'><source network='default'/></interface>"),
         "interface type 'network' is not supported: use bridge, ethernet, user",
         ErrorCode::config_unsupported},
        {with("<disk type='network'/>"), "disk type 'network' is not supported",
         ErrorCode::config_unsupported},
        {with("<disk><source file='a.img'/><target dev='vda'/></disk>"),
         "disk source 'a.img' is not an absolute path", ErrorCode::config_unsupported},
        {with("<disk><target dev='vda'/></disk>"), "missing source for disk 'vda'",
         ErrorCode::xml_invalid},
        {with("<disk><source file='/a'/><target dev='vda'/></disk>"
              "<disk><source file='/b'/><target dev='vda'/></disk>"),
         "target 'vda' duplicated for disk sources '/b'", ErrorCode::xml_invalid},
        {with("<memballoon model='virtio'><address type='pci' slot='0x03'/></memballoon>"
              "<rng model='virtio'><backend model='random'/><address type='pci' slot='0x03'/>"
              "</rng>"),
         "Attempted double use of PCI Address 0000:00:03.0", ErrorCode::xml_invalid},
        {with("<rng model='virtio'><backend model='random'>/etc/shadow</backend></rng>"),
         "file '/etc/shadow' is not a supported random source", ErrorCode::config_unsupported},
        {with("<graphics type='spice' port='70000'/>"), "Invalid value for attribute 'port'",
         ErrorCode::xml_invalid},
        {with("<graphics type='vnc'/><graphics type='vnc'/>"),
         "only 1 vnc graphics device is supported", ErrorCode::config_unsupported},
        {with("", "<cpu mode='host-passthrough'/>"), "CPU mode 'host-passthrough' for x86_64 qemu",
         ErrorCode::config_unsupported},
        {with("", "<features><hyperv mode='custom'/></features>"),
         "feature 'hyperv' is not supported", ErrorCode::config_unsupported},
        {with("", "<features><smm state='on'><tseg unit='MiB'>48</tseg></smm></features>"),
         "<tseg> of feature 'smm' is not supported", ErrorCode::config_unsupported},
        {with("", "<features><vmport state='maybe'/></features>"),
         "Invalid value for attribute 'state' in element 'vmport'", ErrorCode::xml_invalid},
        {with("<controller type='scsi' index='1'/><controller type='scsi' index='1'/>"),
         "Multiple 'scsi' controllers with index '1'", ErrorCode::config_unsupported},
        {with("<controller type='usb' model='none'/><input type='tablet' bus='usb'/>"),
         "USB is disabled for this domain", ErrorCode::config_unsupported},
    };
    for (const Case& one : cases) {
        const Error error = refused(one.text);
        EXPECT_EQ(error.code, one.code) << error.message;
        EXPECT_TRUE(error.message.starts_with(one.message)) << error.message;
    }
}

TEST(Domain, AMachineThatTheEmulatorDoesNotHave) {
    std::string text = with("");
    text.replace(text.find("<type>"), 6, "<type machine='toaster'>");
    EXPECT_EQ(refused(text).message,
              "Emulator '/usr/bin/qemu-system-x86_64' does not support machine type 'toaster'");
    text.replace(text.find("toaster"), 7, "pc-i440fx-2.11");
    EXPECT_EQ(define(text)->os.machine, "pc-i440fx-2.11");
}

TEST(Domain, ControllersWithoutAnIndexGetTheLowestThatIsFree) {
    const auto domain =
        define(with("<controller type='scsi'/><controller type='scsi' index='0'/>"
                    "<controller type='scsi'/><controller type='scsi' index='5'/>"));
    ASSERT_TRUE(domain) << domain.error().message;
    std::vector<std::uint32_t> indexes;
    for (const Controller& controller : domain->controllers)
        if (controller.type == ControllerType::scsi) indexes.push_back(controller.index);
    std::sort(indexes.begin(), indexes.end());
    EXPECT_EQ(indexes, (std::vector<std::uint32_t>{0, 1, 2, 5}));
}

TEST(Domain, WhatIsNotKnownIsKeptAndReported) {
    const auto domain = define(
        with("<disk type='file'><driver name='qemu' type='raw' queues='4'/><source file='/a'/>"
             "<target dev='vda'/><iotune><total_iops_sec>9</total_iops_sec></iotune></disk>",
             "<cputune><shares>10</shares></cputune>"));
    ASSERT_TRUE(domain) << domain.error().message;
    EXPECT_EQ(domain->unused,
              (std::vector<std::string>{"domain/cputune/shares",
                                        "disk/driver@queues, disk/iotune/total_iops_sec"}));
    const std::string stored = print_domain(*domain, {});
    for (const char* kept : {"queues='4'", "<total_iops_sec>9</total_iops_sec>", "<shares>10<"})
        EXPECT_NE(stored.find(kept), std::string::npos) << stored;
    EXPECT_EQ(print_domain(*define(stored), {}), stored);
}

TEST(Domain, WhatItsOwnerReliesOnIsNotLeftOut) {
    const auto complaint = [](const std::string& text) {
        const auto domain = parse_domain(text);
        EXPECT_TRUE(domain);
        const auto checked = check_relied_upon(*domain);
        EXPECT_TRUE(checked || checked.error().code == ErrorCode::config_unsupported);
        return checked ? std::string() : checked.error().message;
    };
    const auto disk = [](const std::string& inside, const std::string& source = "") {
        return with("<disk type='file'><source file='/a.img'>" + source +
                    "</source><target dev='vda'/>" + inside + "</disk>");
    };
    EXPECT_EQ(complaint(disk("<iotune><total_iops_sec>9</total_iops_sec></iotune>")), "");
    EXPECT_EQ(
        complaint(disk("<transient/>")),
        "<transient> of disk 'vda' is not supported, and its owner relies on it: take it out");
    EXPECT_THAT(complaint(disk("<encryption format='luks'/>")),
                testing::StartsWith("<encryption> of disk 'vda'"));
    EXPECT_THAT(complaint(disk("", "<encryption format='luks'/>")),
                testing::StartsWith("<encryption> of disk 'vda'"));
    EXPECT_THAT(complaint(with("", "<launchSecurity type='sev'/>")),
                testing::StartsWith("<launchSecurity>"));
}

// Found by the fuzzer: what the second one says was merged into the first, and used when the
// definition was read again.
TEST(Domain, ASecondElementOfItsKindStaysUnused) {
    const auto domain = parse_domain(
        with("<graphics type='spice' port='5901'><listen type='address'/><image strange='1'/>"
             "<image compression='off'/></graphics>"));
    ASSERT_TRUE(domain);
    EXPECT_FALSE(domain->graphics[0].image);
    const std::string stored = print_domain(*domain, {});
    const auto again = parse_domain(stored);
    ASSERT_TRUE(again);
    EXPECT_FALSE(again->graphics[0].image);
    EXPECT_EQ(print_domain(*again, {}), stored);
    EXPECT_NE(stored.find("<image strange='1'/>\n      <image compression='off'/>"),
              std::string::npos)
        << stored;
}

// Found by the fuzzer: it was kept as a variable of its own, without a name.
TEST(Domain, NothingUnknownStandsInALineForQemu) {
    const Error error =
        refused(with("",
                     "<qemu:commandline xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>"
                     "<qemu:env name='FOO' namee='bar'/></qemu:commandline>"));
    EXPECT_EQ(error.code, ErrorCode::xml_invalid);
    EXPECT_EQ(error.message, "qemu:env@namee is not known");
}

// Found by the fuzzer: the second list was kept as an unknown element and lost when read again.
TEST(Domain, SeveralListsForTheCommandLineAreOne) {
    const std::string lists =
        "<qemu:commandline xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>"
        "<qemu:argument value='-kept'/></qemu:commandline>"
        "<qemu:commandline xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>"
        "<qemu:arg value='-no-hpet'/></qemu:commandline>";
    const auto domain = define(with("", lists));
    ASSERT_TRUE(domain) << domain.error().message;
    EXPECT_EQ(domain->passthrough.arguments, std::vector<std::string>{"-no-hpet"});
    const std::string stored = print_domain(*domain, {});
    EXPECT_NE(stored.find("-kept"), std::string::npos);
    EXPECT_EQ(print_domain(*define(stored), {}), stored);
}

TEST(Domain, PasswordsAreShownOnlyWhereAskedFor) {
    const auto domain = define(with("<graphics type='spice' autoport='yes' passwd='geheim'/>"));
    for (const bool migratable : {false, true}) {
        EXPECT_EQ(print_domain(*domain, {.migratable = migratable}).find("geheim"),
                  std::string::npos);
    }
    EXPECT_NE(print_domain(*domain, {.secure = true}).find("passwd='geheim'"), std::string::npos);
}

TEST(Domain, DisksCountLikeLibvirts) {
    Disk disk;
    for (const auto& [target, index] :
         {std::pair("vda", 0U), std::pair("vdz", 25U), std::pair("vdaa", 26U),
          std::pair("vdba", 52U), std::pair("vdaaa", 702U)}) {
        disk.target = target;
        EXPECT_EQ(disk.target_index(), index) << target;
    }
}

const std::string kGuest =
    "<disk><source file='/a'/><target dev='vda'/></disk><graphics type='spice' autoport='yes'/>"
    "<interface type='user'><mac address='52:54:00:00:00:01'/><model type='virtio'/></interface>"
    "<video><model type='qxl'/></video><sound model='ac97'/>"
    "<channel type='spicevmc'><target type='virtio' name='com.redhat.spice.0'/></channel>";

TEST(DomainAbi, TheGuestSeesNoFilesPortsOrPasswords) {
    const Domain source = define(with(kGuest)).value();
    Domain target = source;
    EXPECT_TRUE(check_abi(source, target));
    target.name = "other";
    target.disks[0].source = "/b";
    target.disks[0].cache = "none";
    target.graphics[0].port = 5999;
    target.graphics[0].password = "x";
    target.emulator = "/opt/qemu";
    EXPECT_TRUE(check_abi(source, target));
    EXPECT_TRUE(check_abi(source, define(print_domain(source, {.migratable = true})).value()));
}

TEST(DomainAbi, EveryDifferenceTheGuestSeesIsNamed) {
    struct Case {
        std::function<void(Domain&)> change;
        std::string message;
    };
    const Case cases[] = {
        {[](Domain& d) { d.memory_kib = 262144; },
         "Target domain max memory 262144 does not match source 65536"},
        {[](Domain& d) { d.vcpus = d.current_vcpus = 2; },
         "Target domain vCPU max 2 does not match source 1"},
        {[](Domain& d) { d.uuid.bytes[15] = 8; },
         "Target domain uuid 00000000-0000-4000-8000-000000000008 does not match source "
         "00000000-0000-4000-8000-000000000009"},
        {[](Domain& d) { d.os.machine = "pc-i440fx-6.2"; },
         "Target domain machine type pc-i440fx-6.2 does not match source pc-i440fx-7.2"},
        {[](Domain& d) { d.disks.clear(); }, "Target domain disk count 0 does not match source 1"},
        {[](Domain& d) { d.disks[0].serial = "s"; },
         "Target disk serial s does not match source <null>"},
        {[](Domain& d) { std::get<PciAddress>(d.disks[0].address).slot = 9; },
         "Target device PCI address 0000:00:09.0 does not match source PCI address "
         "0000:00:06.0"},
        {[](Domain& d) { d.interfaces[0].model = "e1000"; },
         "Target network card model e1000 does not match source virtio"},
        {[](Domain& d) { d.videos[0].vgamem = 1; },
         "Target video card vgamem 1 does not match source 16384"},
        {[](Domain& d) { d.channels[0].name = "x"; },
         "Target channel name x does not match source com.redhat.spice.0"},
        {[](Domain& d) { d.features.emplace_back("acpi"); },
         "State of feature 'acpi' differs: source: 'default', destination: 'on'"},
        {[](Domain& d) { d.switches.emplace_back("vmport", false); },
         "State of feature 'vmport' differs: source: 'default', destination: 'off'"},
        {[](Domain& d) { d.cpu->model = "Nehalem"; },
         "Target CPU model Nehalem does not match source qemu64"},
        {[](Domain& d) { d.balloon->present = false; },
         "Target balloon model none does not match source virtio"},
    };
    const Domain source = define(with(kGuest)).value();
    for (const Case& one : cases) {
        Domain target = source;
        one.change(target);
        const auto result = check_abi(source, target);
        ASSERT_FALSE(result) << one.message;
        EXPECT_EQ(result.error(), (Error{ErrorCode::config_unsupported, one.message}));
    }
}

TEST(Domain, PlacementThatSomebodyChoseIsKeptAndReported) {
    const auto read = [](const std::string& more) {
        return parse_domain(
            "<domain type='qemu'><name>g</name><memory>65536</memory>"
            "<os><type>hvm</type></os>" +
            more + "</domain>");
    };
    const auto usual = read(
        "<resource><partition>/machine</partition></resource>"
        "<seclabel type='dynamic' model='dac' relabel='yes'/>");
    ASSERT_TRUE(usual) << usual.error().message;
    EXPECT_TRUE(usual->unused.empty());
    const auto chosen = read(
        "<resource><partition>/slow</partition></resource>"
        "<seclabel type='static' model='dac'><label>1:1</label></seclabel>");
    ASSERT_TRUE(chosen) << chosen.error().message;
    ASSERT_EQ(chosen->unused.size(), 1u);
    EXPECT_NE(chosen->unused[0].find("resource/partition"), std::string::npos);
    EXPECT_NE(chosen->unused[0].find("seclabel"), std::string::npos);
    const std::string printed = print_domain(*chosen, {});
    EXPECT_NE(printed.find("<partition>/slow</partition>"), std::string::npos);
    EXPECT_NE(printed.find("<label>1:1</label>"), std::string::npos);
}

}  // namespace
}  // namespace segue
