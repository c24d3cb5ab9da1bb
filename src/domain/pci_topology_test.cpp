// SPDX-License-Identifier: LGPL-2.1-or-later
// Places and bridges beside those of the golden definitions: what is full, what does not fit.
#include "domain/pci_topology.h"

#include <gtest/gtest.h>

namespace segue {
namespace {

constexpr PciPlug kPci = PciPlug::conventional, kExpress = PciPlug::express;

TEST(PciTopology, AFullConventionalBusGetsABridge) {
    PciTopology fixed("pci-root", false);
    for (int slot = 1; slot < 32; ++slot)
        EXPECT_EQ(fixed.take(kPci, "a card")->slot, slot);
    EXPECT_FALSE(fixed.has_room());
    EXPECT_EQ(fixed.take(kPci, "a card").error().message,
              "No more available PCI slots (for a card)");
    PciTopology growing("pci-root", true);
    for (int slot = 1; slot < 32; ++slot)
        ASSERT_TRUE(growing.take(kPci, "a card"));
    EXPECT_EQ(*growing.take(kPci, "a card"), (PciAddress{.bus = 1, .slot = 1}));
    EXPECT_EQ(growing.models(), (std::vector<std::string_view>{"pci-root", "pci-bridge"}));
}

TEST(PciTopology, ExpressDevicesGetPortsAndConventionalOnesABridgeBehindOne) {
    PciTopology buses("pcie-root", true);
    EXPECT_EQ(buses.take(kExpress, "a card")->bus, 1);
    EXPECT_EQ(*buses.take(kPci, "a card"), (PciAddress{.bus = 3, .slot = 1}));
    EXPECT_EQ(*buses.take(kPci, "a card"), (PciAddress{.bus = 3, .slot = 2}));
    // The port of the bridge stays the bridge's.
    EXPECT_EQ(buses.take(kExpress, "a card")->bus, 4);
    EXPECT_EQ(buses.models(),
              (std::vector<std::string_view>{"pcie-root", "pcie-root-port", "pcie-root-port",
                                             "pcie-to-pci-bridge", "pcie-root-port"}));
}

TEST(PciTopology, RootPortsShareSlotsAndOthersDoNot) {
    PciTopology buses("pcie-root", false);
    PciAddress alone{.slot = 1};
    ASSERT_TRUE(buses.reserve(alone, kExpress, "a card"));
    for (int port = 0; port < 9; ++port) {
        const PciAddress place = *buses.take(PciPlug::root_port, "a port");
        EXPECT_EQ(place.slot, 2 + port / 8);
        EXPECT_EQ(place.function, port % 8);
    }
}

TEST(PciTopology, WhatDoesNotFitIsNamed) {
    PciTopology buses("pcie-root", false);
    ASSERT_TRUE(buses.set_bus(1, "pcie-root-port"));
    struct Case {
        PciAddress address;
        PciPlug plug;
        std::string message;
    };
    const Case cases[] = {
        {{.domain = 1, .slot = 1}, kPci, "Invalid PCI address 0001:00:01.0 of it. Only PCI domain"},
        {{.bus = 9}, kPci, "Invalid PCI address 0000:09:00.0 of it. Only PCI domain"},
        {{.bus = 1, .slot = 1}, kExpress, "Invalid PCI address 0000:01:01.0 of it. slot must be"},
        {{.slot = 0}, kExpress, "Invalid PCI address 0000:00:00.0 of it. slot must be from 1"},
        {{.bus = 1}, PciPlug::root_port, "The device at PCI address 0000:01:00.0 (it) cannot be"},
    };
    for (const Case& one : cases) {
        PciAddress address = one.address;
        const auto refused = buses.reserve(address, one.plug, "it");
        ASSERT_FALSE(refused) << one.message;
        EXPECT_TRUE(refused.error().message.starts_with(one.message)) << refused.error().message;
    }
    EXPECT_FALSE(buses.set_bus(2, "pcie-switch-upstream-port"));
    EXPECT_FALSE(buses.set_bus(256, "pcie-root-port"));
}

TEST(PciTopology, AFarAddressBringsTheBusesBeforeItAndNoMoreThanThereAre) {
    PciTopology buses("pcie-root", true);
    PciAddress far{.bus = 0xff};
    ASSERT_TRUE(buses.reserve(far, kExpress, "it"));
    EXPECT_EQ(buses.models().size(), 256U);
    for (int bus = 1; bus < 0xff; ++bus)
        ASSERT_TRUE(buses.take(kExpress, "it"));
    EXPECT_EQ(buses.take(kExpress, "it").error().code, ErrorCode::config_unsupported);
    PciTopology bridged("pcie-root", true);
    PciAddress last{.bus = 0xff, .slot = 1};
    EXPECT_TRUE(bridged.reserve(last, kPci, "it"));
}

}  // namespace
}  // namespace segue
