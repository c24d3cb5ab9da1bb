// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/host.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <filesystem>

namespace segue {
namespace {

using ::testing::HasSubstr;

TEST(HostIdentity, ItsNameLeadsToWhatListensEverywhere) {
    const HostIdentity here{"hosta", {}};
    for (const char* every : {"", "0.0.0.0", "::"})
        EXPECT_EQ(what_leads_to(every, here), "hosta") << every;
    EXPECT_EQ(what_leads_to("10.0.0.2", here), "10.0.0.2");
}

TEST(HostIdentity, LocalhostLeadsNobodyHere) {
    for (const char* other : {"hosta", "localhostess", "127.0.0.2"})
        EXPECT_TRUE(check_leads_here(other)) << other;
    EXPECT_FALSE(check_leads_here("localhost"));
    EXPECT_FALSE(check_leads_here("localhost.localdomain"));
}

TEST(HostIdentity, IsMadeOnceAndKept) {
    const std::string state =
        (std::filesystem::temp_directory_path() / ("segue-host-" + std::to_string(getpid())))
            .string();
    std::filesystem::create_directories(state);
    SystemRandom random;
    const auto first = read_host_identity("hosta", "", state, random);
    const auto second = read_host_identity("hosta", "", state, random);
    const auto given =
        read_host_identity("hosta", "8f5a1d0e-3333-4444-8555-123456789abc", state, random);
    std::filesystem::remove_all(state);
    ASSERT_TRUE(first && second && given);
    EXPECT_FALSE(first->uuid.is_nil());
    EXPECT_EQ(first->uuid, second->uuid);
    EXPECT_EQ(given->uuid.text(), "8f5a1d0e-3333-4444-8555-123456789abc");
    EXPECT_FALSE(read_host_identity("a", "", "/nonexistent", random));
}

TEST(NodeInfo, MultipliesOut) {
    const NodeInfo node = read_node_info();
    EXPECT_GT(node.memory_kib, 0U);
    EXPECT_EQ(node.nodes * node.sockets * node.cores * node.threads, node.cpus);
}

TEST(Capabilities, NameHostAndEmulators) {
    HostIdentity identity{"a", Uuid{}};
    EmulatorCapabilities emulator;
    emulator.machines.push_back({"pc-i440fx-7.2", "pc", 255});
    const std::string xml = capabilities_xml(identity, NodeInfo{}, "/usr/bin/q&a", emulator);
    EXPECT_THAT(xml, HasSubstr("<uuid>00000000-0000-0000-0000-000000000000</uuid>"));
    EXPECT_THAT(xml, HasSubstr("<emulator>/usr/bin/q&amp;a</emulator>"));
    EXPECT_THAT(xml, HasSubstr("<machine canonical='pc-i440fx-7.2' maxCpus='255'>pc</machine>"));
    EXPECT_THAT(xml, HasSubstr("<domain type='qemu'/>"));
}

}  // namespace
}  // namespace segue
