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

}  // namespace
}  // namespace segue
