// SPDX-License-Identifier: LGPL-2.1-or-later
// Against stock libvirt 9.0.0 of Debian 12: golden/NAME.in.xml was given to `virsh define`, and the
// other files are what `virsh dumpxml` said of it: --inactive, running (paused), --migratable; all
// with --security-info.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "domain/alias.h"
#include "domain/complete.h"

namespace segue {
namespace {

std::string file(const std::string& name) {
    std::ifstream in(std::string(SEGUE_GOLDEN) + "/" + name);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
}

Domain completed(const std::string& text) {
    auto domain = parse_domain(text);
    EXPECT_TRUE(domain) << domain.error().message;
    if (!domain) return {};
    SeededRandom random(1);
    const auto done = complete_domain(*domain, {.machine = qemu_7_2_machine, .random = random});
    EXPECT_TRUE(done) << done.error().message;
    return *domain;
}

// What only the stock daemon's run had: its security labels, and the CPU as its QEMU expanded it.
void drop_runtime(XmlElement& root) {
    std::erase_if(root.children, [](const XmlElement& child) { return child.name == "seclabel"; });
    for (XmlElement& devices : root.children) {
        for (XmlElement& disk : devices.children) {
            // We do not claim that a qcow2 image has no backing file.
            const XmlElement* driver = disk.name == "disk" ? disk.child("driver") : nullptr;
            if (!driver || !driver->attribute("type")) continue;
            if (*driver->attribute("type") != "qcow2") continue;
            std::erase_if(disk.children,
                          [](const XmlElement& child) { return child.name == "backingStore"; });
        }
    }
    for (XmlElement& child : root.children) {
        if (child.name != "cpu") continue;
        child.set("check", "none");
        std::erase_if(child.children, [](const XmlElement& feature) {
            const std::string* name = feature.attribute("name");
            return name && (*name == "hypervisor" || *name == "lahf_lm");
        });
        for (XmlElement& model : child.children) {
            if (model.name == "model") model.set("fallback", "forbid");
        }
    }
}

std::string without_runtime(const std::string& text) {
    XmlElement root = parse_xml(text, "golden").value();
    drop_runtime(root);
    return print_xml(root);
}

class Golden : public testing::TestWithParam<const char*> {};

TEST_P(Golden, TheStoredDefinition) {
    const std::string name = GetParam();
    const Domain domain = completed(file(name + ".in.xml"));
    EXPECT_EQ(print_domain(domain, {.secure = true}),
              print_xml(parse_xml(file(name + ".inactive.xml"), "golden").value()));
    EXPECT_TRUE(domain.unused.empty());
}

TEST_P(Golden, CompletionLeavesACompleteDefinitionAsItIs) {
    const std::string stored = file(std::string(GetParam()) + ".inactive.xml");
    EXPECT_EQ(print_domain(completed(stored), {.secure = true}),
              print_xml(parse_xml(stored, "golden").value()));
}

TEST_P(Golden, TheMigratableDefinition) {
    const std::string name = GetParam();
    Domain domain = completed(file(name + ".in.xml"));
    prepare_to_run(domain, 1);
    domain.current_memory_kib = domain.memory_kib;  // the balloon of a paused guest is empty
    XmlElement ours =
        format_domain(domain, {.secure = true, .inactive = false, .migratable = true});
    drop_runtime(ours);
    EXPECT_EQ(print_xml(ours), without_runtime(file(name + ".migratable.xml")));
}

TEST_P(Golden, AMigratableDefinitionMakesTheSameMachine) {
    const std::string name = GetParam();
    Domain target = completed(file(name + ".migratable.xml"));
    Domain expected = completed(file(name + ".in.xml"));
    prepare_to_run(expected, 1);
    expected.current_memory_kib = target.current_memory_kib;
    expected.cpu = target.cpu;
    // Implicit controllers come last where the definition does not list them.
    const auto by_type = [](const Controller& a, const Controller& b) {
        return std::pair(a.type, a.index) < std::pair(b.type, b.index);
    };
    std::stable_sort(target.controllers.begin(), target.controllers.end(), by_type);
    std::stable_sort(expected.controllers.begin(), expected.controllers.end(), by_type);
    EXPECT_EQ(print_domain(target, {.secure = true}), print_domain(expected, {.secure = true}));
}

INSTANTIATE_TEST_SUITE_P(Libvirt, Golden,
                         testing::Values("minimal", "direct", "full", "vnc", "bochs", "hub",
                                         "cirrus", "q35", "q35bare", "q35ports", "scsi", "block",
                                         "bridge", "cpu", "virtinst", "console", "consoles"),
                         [](const auto& value) { return std::string(value.param); });

// The running domain: aliases, ports, paths and states that the daemon fills in.
class GoldenLive : public testing::TestWithParam<const char*> {};

TEST_P(GoldenLive, TheRunningDefinition) {
    const std::string name = GetParam();
    const XmlElement live = parse_xml(file(name + ".live.xml"), "golden").value();
    Domain domain = completed(file(name + ".in.xml"));
    prepare_to_run(domain, std::stoi(*live.attribute("id")));
    domain.current_memory_kib = domain.memory_kib;
    for (Channel& channel : domain.channels)
        channel.state = "disconnected";
    const Domain theirs = parse_domain(live).value();
    for (std::size_t index = 0; index < domain.channels.size(); ++index)
        domain.channels[index].chardev.path = theirs.channels[index].chardev.path;
    for (std::size_t index = 0; index < domain.interfaces.size(); ++index)
        domain.interfaces[index].device = theirs.interfaces[index].device;
    const XmlElement& devices = *live.child("devices");
    for (Graphics& graphics : domain.graphics) {
        const XmlElement& shown = *devices.child("graphics");
        if (const auto* port = shown.attribute("port")) graphics.port = std::stoi(*port);
        if (const auto* port = shown.attribute("tlsPort")) graphics.tls_port = std::stoi(*port);
        if (const auto* address = shown.attribute("listen")) graphics.host_address = *address;
    }
    for (Serial& serial : domain.serials) {
        if (serial.chardev.type == ChardevType::pty) serial.chardev.path = "/dev/pts/0";
    }
    std::size_t terminals = 0;
    for (Console& console : domain.consoles) {
        if (console.chardev.type == ChardevType::pty)
            console.chardev.path = fmt::format("/dev/pts/{}", terminals++);
    }
    XmlElement ours = format_domain(domain, {.secure = true, .inactive = false});
    drop_runtime(ours);
    EXPECT_EQ(print_xml(ours), without_runtime(file(name + ".live.xml")));
}

INSTANTIATE_TEST_SUITE_P(Libvirt, GoldenLive,
                         testing::Values("minimal", "direct", "full", "vnc", "bochs", "hub",
                                         "cirrus", "q35", "q35bare", "q35ports", "scsi", "block",
                                         "bridge", "cpu", "virtinst", "console", "consoles"),
                         [](const auto& value) { return std::string(value.param); });

}  // namespace
}  // namespace segue
