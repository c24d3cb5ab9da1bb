// SPDX-License-Identifier: LGPL-2.1-or-later
#include "viewer/uri.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>

#include "base/json.h"
#include "viewer/connection_file.h"
#include "viewer/events.h"
#include "viewer/options.h"

namespace segue::viewer {
namespace {

using spice::client::Settings;

Settings parsed(std::string_view uri) {
    Settings settings;
    const Result<> result = apply_uri(uri, settings);
    EXPECT_TRUE(result) << uri;
    return settings;
}

TEST(UriTest, FormsOfSpiceGtk) {
    EXPECT_EQ(parsed("spice://host:5900").endpoint.port, 5900);
    EXPECT_EQ(parsed("spice://me@host:5900/ignored").endpoint.host, "host");
    const Settings both = parsed("spice://host?port=1&tls-port=2;password=a%20b");
    EXPECT_EQ(both.endpoint.port, 1);
    EXPECT_EQ(both.endpoint.tls_port, 2);
    EXPECT_EQ(both.password, "a b");
    EXPECT_FALSE(both.all_secure);
    const Settings tls = parsed("spice+tls://[::1]:5901?port=7");
    EXPECT_EQ(tls.endpoint.host, "::1");
    EXPECT_EQ(tls.endpoint.tls_port, 5901);
    EXPECT_EQ(tls.endpoint.port, 0);
    EXPECT_TRUE(tls.all_secure);
    EXPECT_EQ(parsed("spice+unix:///run/a%41").endpoint.unix_path, "/run/aA");
}

TEST(UriTest, BrokenOnesAreErrors) {
    for (const char* uri :
         {"", "host:5900", "vnc://host:1", "spice://", "spice://host", "spice://host:0",
          "spice://host:65536", "spice://host:12x", "spice://host?port=1&port=2",
          "spice://host?colour=red", "spice://host?port", "spice://[::1", "spice://[::1]x",
          "spice+unix://", "spice://host:1?password=%2", "spice://host:1?password=%00"}) {
        Settings settings;
        EXPECT_FALSE(apply_uri(uri, settings)) << uri;
    }
}

TEST(ConnectionFileTest, KeysOfVirtViewer) {
    Settings settings;
    const std::string text =
        "# made by Proxmox\n[virt-viewer]\ntype=spice\nhost=pve\ntls-port=61000\nport = -1\n"
        "password=s3cret\nca=-----BEGIN\\nxyz\\n\nhost-subject=OU=PVE,CN=pve\ntitle=VM 100\n"
        "delete-this-file=1\nsecure-channels=main;inputs\nunknown=whatever\n[ovirt]\nhost=other\n";
    const auto file = apply_connection_file(text, settings);
    ASSERT_TRUE(file);
    EXPECT_EQ(settings.endpoint.host, "pve");
    EXPECT_EQ(settings.endpoint.port, 0);
    EXPECT_EQ(settings.endpoint.tls_port, 61000);
    EXPECT_EQ(settings.password, "s3cret");
    EXPECT_EQ(settings.trust.authority_pem, "-----BEGIN\nxyz\n");
    EXPECT_EQ(settings.trust.subject, "OU=PVE,CN=pve");
    EXPECT_TRUE(settings.must_be_secure(spice::wire::ChannelType::inputs));
    EXPECT_FALSE(settings.must_be_secure(spice::wire::ChannelType::display));
    EXPECT_EQ(file->title, "VM 100");
    EXPECT_TRUE(wants_to_be_deleted(text));
}

TEST(ConnectionFileTest, BrokenOnesAreErrors) {
    for (const char* text :
         {"", "[virt-viewer]\nhost=a\nport=1\n", "[virt-viewer]\ntype=vnc\n",
          "[virt-viewer]\ntype=spice\nhost=a\n", "[virt-viewer]\ntype=spice\nhost=a\nport=99999\n",
          "[virt-viewer]\ntype=spice\nhost=a\nport=1\nsecure-channels=x\n"}) {
        Settings settings;
        EXPECT_FALSE(apply_connection_file(text, settings)) << text;
    }
}

// Every key of remote-viewer's manual that says something to a SPICE session, and what comes of it.
TEST(ConnectionFileTest, EveryKeyHasItsEffect) {
    using spice::wire::ChannelType;
    using File = ConnectionFile;
    struct Case {
        const char* line;
        std::function<bool(const Settings&, const File&)> holds;
    };
    const Case cases[] = {
        {"version=10.0-1", [](const auto&, const auto&) { return true; }},
        {"port=5", [](const auto& s, const auto&) { return s.endpoint.port == 5; }},
        {"tls-port=6", [](const auto& s, const auto&) { return s.endpoint.tls_port == 6; }},
        {"unix-path=/a", [](const auto& s, const auto&) { return s.endpoint.unix_path == "/a"; }},
        {"username=u", [](const auto& s, const auto&) { return s.user == "u"; }},
        {"password=p", [](const auto& s, const auto&) { return s.password == "p"; }},
        {"disable-channels=playback;usbredir",
         [](const auto& s, const auto&) { return s.disabled_channels.size() == 2; }},
        {"tls-ciphers=HIGH", [](const auto& s, const auto&) { return s.trust.ciphers == "HIGH"; }},
        {"ca=pem", [](const auto& s, const auto&) { return s.trust.authority_pem == "pem"; }},
        {"host-subject=CN=a", [](const auto& s, const auto&) { return s.trust.subject == "CN=a"; }},
        {"secure-channels=main",
         [](const auto& s, const auto&) { return s.must_be_secure(ChannelType::main); }},
        {"proxy=http://p:1", [](const auto& s, const auto&) { return s.proxy.has_value(); }},
        {"title=t", [](const auto&, const auto& f) { return f.title == "t"; }},
        {"fullscreen=1", [](const auto&, const auto& f) { return f.fullscreen; }},
        {"color-depth=16", [](const auto&, const auto& f) { return f.color_depth == "16"; }},
        {"disable-effects=all",
         [](const auto&, const auto& f) { return !f.disabled_effects.empty(); }},
        {"enable-smartcard=1", [](const auto&, const auto& f) { return f.enables_smartcard; }},
        {"enable-usbredir=0", [](const auto&, const auto& f) { return !f.enables_usb; }},
        {"enable-usb-autoshare=1", [](const auto&, const auto& f) { return f.shares_plugged_usb; }},
        {"usb-filter=x", [](const auto&, const auto& f) { return f.usb_filter == "x"; }},
        {"toggle-fullscreen=f1", [](const auto&, const auto& f) { return f.hotkeys.size() == 1; }},
        {"release-cursor=f1", [](const auto&, const auto& f) { return f.hotkeys.size() == 1; }},
        {"zoom-in=f1", [](const auto&, const auto& f) { return f.hotkeys.size() == 1; }},
        {"zoom-out=f1", [](const auto&, const auto& f) { return f.hotkeys.size() == 1; }},
        {"zoom-reset=f1", [](const auto&, const auto& f) { return f.hotkeys.size() == 1; }},
        {"secure-attention=f1", [](const auto&, const auto& f) { return f.hotkeys.size() == 1; }},
    };
    for (const Case& one : cases) {
        Settings settings;
        const auto file = apply_connection_file(
            std::string("[virt-viewer]\ntype=spice\nhost=h\nport=1\n") + one.line + "\n", settings);
        ASSERT_TRUE(file) << one.line;
        EXPECT_TRUE(one.holds(settings, *file)) << one.line;
    }
    Settings settings;
    for (const char* line : {"version=12.0", "disable-channels=main", "disable-channels=fly"}) {
        EXPECT_FALSE(apply_connection_file(
            std::string("[virt-viewer]\ntype=spice\nhost=h\nport=1\n") + line + "\n", settings))
            << line;
    }
}

TEST(OptionsTest, HeadlessLineOfTheContract) {
    const char* arguments[] = {
        "segue-view", "--headless",  "spice://h:1",          "--events", "e",
        "--frames",   "d",           "--screenshot",         "s.png",    "--seconds",
        "2.5",        "--read-only", "--spice-disable-audio"};
    const CommandLine line = parse_command_line(std::size(arguments), arguments);
    ASSERT_TRUE(line.options) << line.message;
    EXPECT_TRUE(line.options->headless);
    EXPECT_EQ(line.options->events_file, "e");
    EXPECT_EQ(line.options->seconds, 2.5);
    EXPECT_TRUE(line.options->settings.read_only);
}

Options parsed_line(std::vector<const char*> arguments) {
    arguments.insert(arguments.begin(), {"segue-view", "spice://h:1"});
    CommandLine line = parse_command_line(static_cast<int>(arguments.size()), arguments.data());
    EXPECT_TRUE(line.options) << line.message;
    return line.options.value_or(Options());
}

TEST(OptionsTest, NothingIsSharedUnasked) {
    const Options options = parsed_line({});
    EXPECT_FALSE(options.settings.usb_redirection);
    EXPECT_FALSE(options.settings.folder_sharing);
    EXPECT_FALSE(options.settings.smartcard);
}

TEST(OptionsTest, WhatIsSharedOpensItsChannel) {
    const Options folder = parsed_line({"--spice-shared-dir=/tmp"});
    EXPECT_TRUE(folder.settings.folder_sharing);
    EXPECT_FALSE(parsed_line({"--spice-shared-dir=/tmp", "--read-only"}).settings.folder_sharing);
    const Options disc = parsed_line({"--spice-share-cd=a.iso", "--spice-share-cd=*b.iso"});
    EXPECT_TRUE(disc.settings.usb_redirection);
    EXPECT_EQ(disc.devices.discs, (std::vector<std::string>{"a.iso", "b.iso"}));
    EXPECT_FALSE(parsed_line({"--spice-share-cd=a.iso", "--spice-disable-usbredir"})
                     .settings.usb_redirection);
    const Options card = parsed_line({"--spice-smartcard-certificates=a,b,c"});
    EXPECT_TRUE(card.settings.smartcard);
    EXPECT_EQ(card.devices.card_certificates.size(), 3u);
    const char* two[] = {"segue-view", "spice://h:1", "--spice-smartcard-certificates=a,b"};
    EXPECT_EQ(parse_command_line(3, two).exit_code, 2);
}

TEST(OptionsTest, MistakesAreExplained) {
    const char* none[] = {"segue-view"};
    EXPECT_EQ(parse_command_line(1, none).exit_code, 2);
    const char* bad[] = {"segue-view", "spice://h:1", "--spice-preferred-compression=zip"};
    const CommandLine line = parse_command_line(3, bad);
    EXPECT_EQ(line.exit_code, 2);
    EXPECT_EQ(line.message, "segue-view: unknown compression 'zip'\n");
}

CommandLine line_of(std::vector<const char*> arguments) {
    arguments.insert(arguments.begin(), "segue-view");
    return parse_command_line(static_cast<int>(arguments.size()), arguments.data());
}

TEST(OptionsTest, WhatServersAreKnownByIsReadOnce) {
    for (const char* option :
         {"--spice-ca-file=/nowhere/ca.pem", "--spice-host-subject=no subject"}) {
        const CommandLine line = line_of({"spice+tls://h:1", option});
        EXPECT_EQ(line.exit_code, 2) << option;
        EXPECT_EQ(std::count(line.message.begin(), line.message.end(), '\n'), 1) << line.message;
        const std::string named = std::string(option).substr(std::string(option).find('=') + 1);
        EXPECT_NE(line.message.find(named), std::string::npos) << line.message;
    }
    EXPECT_TRUE(line_of({"spice+tls://h:1", "--spice-host-subject=O=a,CN=b"}).options);
}

TEST(OptionsTest, CachesAreCountedInBytesAsRemoteViewerDoes) {
    const Settings usual;
    const Settings settings =
        parsed_line({"--spice-cache-size=83886080", "--spice-glz-window-size=1048576"}).settings;
    EXPECT_EQ(settings.image_cache_pixels, 20 << 20);
    EXPECT_EQ(settings.glz_window_pixels, 1 << 18);
    EXPECT_EQ(parsed_line({"--spice-cache-size=0"}).settings.image_cache_pixels,
              usual.image_cache_pixels);
    EXPECT_EQ(line_of({"spice://h:1", "--spice-cache-size=4294967297"}).exit_code, 2);
    // What counted MiB once.
    EXPECT_EQ(line_of({"spice://h:1", "--spice-cache-size=80"}).exit_code, 2);
    EXPECT_EQ(line_of({"spice://h:1", "--spice-glz-window-size=3"}).exit_code, 2);
}

// One that is good for one login holds a password, whatever else is wrong with it.
TEST(OptionsTest, AFileThatIsToBeDeletedGoesBeforeItIsJudged) {
    const auto path = std::filesystem::path(testing::TempDir()) / "segue-once.vv";
    for (const char* rest : {"", "secure-channels=main;tunnel\n", "version=99.0\n", "port=x\n"}) {
        std::ofstream(path) << "[virt-viewer]\ntype=spice\nhost=h\nport=1\npassword=secret\n"
                            << "delete-this-file=1\n"
                            << rest;
        const CommandLine line = line_of({path.c_str()});
        EXPECT_EQ(line.exit_code, *rest == 0 ? 0 : 2) << rest;
        EXPECT_FALSE(std::filesystem::exists(path)) << rest;
    }
}

TEST(EventsTest, StringsAreEscaped) {
    EXPECT_EQ(json_string("a\"b\\c\n"), "\"a\\\"b\\\\c\\u000a\"");
}

TEST(EventsTest, TextBeyondAsciiIsItself) {
    const std::string text = "caf\xc3\xa9 \xe6\xbc\xa2 \xf0\x9f\x90\xa7";
    EXPECT_EQ(json_string(text), '"' + text + '"');
    const auto read = Json::parse("{\"is\":" + json_string(text) + "}");
    ASSERT_TRUE(read);
    EXPECT_EQ(read->text("is"), text);
}

// A file's name, or what a guest says, may be any bytes: the line stays JSON.
TEST(EventsTest, WhatIsNoTextIsReplaced) {
    for (const char* bytes : {"\xff", "\xc3", "\xc3(", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80",
                              "\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xe6\xbc", "\x80"}) {
        const std::string line = json_string(bytes);
        EXPECT_TRUE(Json::parse(line)) << line;
        EXPECT_NE(line.find("\xef\xbf\xbd"), std::string::npos) << line;
    }
    EXPECT_EQ(json_string("\xc3(b"), "\"\xef\xbf\xbd(b\"");
}

}  // namespace
}  // namespace segue::viewer
