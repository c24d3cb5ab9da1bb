// SPDX-License-Identifier: LGPL-2.1-or-later
#include "domain/device/graphics.h"

#include <gtest/gtest.h>

namespace segue {
namespace {

Graphics screen(const std::string& xml) {
    const auto element = parse_xml(xml, "test");
    EXPECT_TRUE(element) << element.error().message;
    XmlCursor from(*element);
    auto parsed = parse_graphics(from);
    EXPECT_TRUE(parsed) << parsed.error().message;
    return std::move(*parsed);
}

constexpr const char* kRunning =
    "<graphics type='spice' autoport='yes' keymap='de' passwd='old'>"
    "<listen type='address' address='127.0.0.1'/><channel name='main' mode='secure'/>"
    "<image compression='lz'/><clipboard copypaste='no'/></graphics>";

TEST(GraphicsUpdate, TheTicketMayChange) {
    Graphics running = screen(kRunning);
    running.port = 5901;
    for (const char* wanted :
         {"<graphics type='spice' autoport='yes' keymap='de' passwd='new'/>",
          "<graphics type='spice' port='5905' autoport='yes' listen='127.0.0.1' keymap='de' "
          "passwd='new' passwdValidTo='2030-01-01T00:00:00' connected='keep'/>",
          "<graphics type='spice' autoport='yes' keymap='de'/>", kRunning}) {
        const auto allowed = check_update(running, screen(wanted));
        EXPECT_TRUE(allowed) << wanted << ": " << allowed.error().message;
    }
}

TEST(GraphicsUpdate, EverythingElseIsNamedAndRefused) {
    const struct {
        const char* wanted;
        const char* named;
    } cases[] = {
        {"<graphics type='spice' port='5900' autoport='no' keymap='de'/>", "port"},
        {"<graphics type='spice' autoport='yes' keymap='us'/>", "keymap"},
        {"<graphics type='spice' autoport='yes'/>", "keymap"},
        {"<graphics type='spice' autoport='yes' keymap='de' listen='0.0.0.0'/>", "listen address"},
        {"<graphics type='spice' keymap='de'><listen type='none'/></graphics>",
         "type of listen address"},
        {"<graphics type='spice' autoport='yes' keymap='de' defaultMode='secure'/>", "defaultMode"},
        {"<graphics type='spice' autoport='yes' keymap='de'><channel name='main' mode='insecure'/>"
         "</graphics>",
         "channel mode"},
        {"<graphics type='spice' autoport='yes' keymap='de'><image compression='off'/></graphics>",
         "image compression"},
        {"<graphics type='spice' autoport='yes' keymap='de'><clipboard copypaste='yes'/>"
         "</graphics>",
         "clipboard"},
    };
    for (const auto& [wanted, named] : cases) {
        const auto refused = check_update(screen(kRunning), screen(wanted));
        ASSERT_FALSE(refused) << wanted;
        EXPECT_EQ(refused.error().code, ErrorCode::operation_unsupported);
        EXPECT_EQ(refused.error().message,
                  fmt::format("cannot change {} settings on spice graphics", named));
    }
}

TEST(GraphicsUpdate, PortsOfTheDefinitionStay) {
    const Graphics running = screen("<graphics type='vnc' port='5910' autoport='no'/>");
    EXPECT_TRUE(check_update(running, screen("<graphics type='vnc' port='5910' passwd='x'/>")));
    EXPECT_FALSE(check_update(running, screen("<graphics type='vnc' port='5911' passwd='x'/>")));
}

}  // namespace
}  // namespace segue
