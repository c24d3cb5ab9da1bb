// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/settings_check.h"

#include <gmock/gmock.h>

namespace segue {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> complaints(const std::string& text) {
    const auto settings = parse_settings(text, "x.toml");
    EXPECT_TRUE(settings) << settings.error().message;
    return check_settings(settings.value_or(Settings{}));
}

TEST(SettingsCheck, TheDefaultsAreGood) {
    EXPECT_TRUE(check_settings(Settings{}).empty());
}

TEST(SettingsCheck, EachContradictionIsOneLine) {
    EXPECT_THAT(complaints("[migration]\nports = \"6000-6200\"\n"),
                ElementsAre("migration.ports 6000-6200 and spice.ports 5950-6149 overlap: separate "
                            "them"));
    EXPECT_THAT(complaints("[spice]\nlisten = \"localhost\"\n"),
                ElementsAre("spice.listen 'localhost' is not a numeric IPv4 or IPv6 address"));
    EXPECT_THAT(complaints("[migration]\noffer = []\n"), ElementsAre(HasSubstr("offer is empty")));
    EXPECT_THAT(complaints("[daemon]\nlisten = [\"tcp:0.0.0.0:16509\"]\n"),
                ElementsAre("daemon.listen 'tcp:0.0.0.0:16509': TCP without authentication is for "
                            "loopback only; use tls:0.0.0.0:16509"));
    EXPECT_THAT(complaints("[daemon]\nlisten = [\"unix:/" + std::string(120, 'x') + "\"]\n"),
                ElementsAre(HasSubstr("1 to 107 are possible")));
    EXPECT_THAT(complaints("[metrics]\nsocket = \"here\"\n"),
                ElementsAre("metrics.socket 'here' is not an absolute path"));
    EXPECT_THAT(
        complaints("[daemon]\nsocket_group = \"no-such-group\"\n"),
        ElementsAre("daemon.socket_group 'no-such-group' does not exist: create the group"));
    EXPECT_THAT(
        complaints("[security]\nqemu_user = \"no-such-user\"\n"),
        ElementsAre("security.qemu_user: user 'no-such-user' for QEMU does not exist: create "
                    "it, or name UID:GID"));
}

TEST(SettingsCheck, TlsWantsItsFiles) {
    const auto lines = complaints(
        "[daemon]\nlisten = [\"tls:0.0.0.0:16514\"]\n[tls]\ndirectory = \"/nonexistent\"\n");
    ASSERT_EQ(lines.size(), 3U);
    EXPECT_THAT(lines[0], HasSubstr("/nonexistent/ca-cert.pem"));
}

}  // namespace
}  // namespace segue
