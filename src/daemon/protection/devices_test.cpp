// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/protection/devices.h"

#include <gmock/gmock.h>

#include "protect/agent_link.schema.h"

namespace segue {
namespace {

TEST(ProtectedDevices, AHostOfAnotherReleaseIsNamedWithBothVersions) {
    const std::string ours = std::to_string(std::uint64_t{protect::agent::kVersion});
    EXPECT_THAT(other_version("qemu+tcp://b/system", 3).message,
                ::testing::AllOf(::testing::HasSubstr("'qemu+tcp://b/system' speaks version 3 of"),
                                 ::testing::HasSubstr("this host " + ours + ": install")));
    // From before it was said.
    EXPECT_THAT(other_version("b", 0).message, ::testing::HasSubstr("speaks an older version of"));
}

// Its shadow would listen where it listens, or speak where it speaks.
TEST(ProtectedDevices, WhatTwoGuestsWouldShareHasNoHybridMode) {
    Domain model;
    model.name = "g";
    EXPECT_FALSE(check_hybrid_devices(model, false).has_value());
    model.interfaces.emplace_back().type = InterfaceType::udp;
    EXPECT_TRUE(check_hybrid_devices(model, false).has_value());
    EXPECT_FALSE(check_hybrid_devices(model, true).has_value());
    model.serials.emplace_back().chardev.type = ChardevType::file;
    EXPECT_TRUE(check_hybrid_devices(model, false).has_value());
    Domain other = model;
    other.channels.emplace_back().chardev.type = ChardevType::unix_socket;
    EXPECT_THAT(check_hybrid_devices(other, false).error().message,
                ::testing::HasSubstr("on a socket"));
    other = model;
    other.serials.emplace_back().chardev.type = ChardevType::tcp;
    EXPECT_FALSE(check_hybrid_devices(other, false).has_value());
    other = model;
    other.graphics.emplace_back();
    EXPECT_THAT(check_hybrid_devices(other, false).error().message,
                ::testing::HasSubstr("has a screen"));
}

}  // namespace
}  // namespace segue
