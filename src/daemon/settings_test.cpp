// SPDX-License-Identifier: LGPL-2.1-or-later
#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "daemon/options.h"
#include "daemon/service_manager.h"
#include "daemon/settings.h"

namespace segue {
namespace {

using ::testing::HasSubstr;

std::string error_of(std::string_view text) {
    const auto settings = parse_settings(text, "x.toml");
    return settings ? "no error" : settings.error().message;
}

TEST(Settings, EmptyTextIsTheDefaults) {
    const auto settings = parse_settings("", "x.toml");
    ASSERT_TRUE(settings);
    EXPECT_EQ(settings->state, "/var/lib/segue");
    EXPECT_EQ(settings->screen_wait, Duration(5s));
}

TEST(Settings, ReadsEveryKind) {
    const auto settings = parse_settings(R"(
[daemon]
listen = ["unix:/run/x.sock", "tcp:127.0.0.1:16509", "tls:[::1]:16514"]
[migration]
ports = "50000-50010"
screen_wait_ms = 250
offer = ["v2"]
[spice]
library = "stock"
[security]
allow_passthrough = true
[log]
level = "debug"
)",
                                         "x.toml");
    ASSERT_TRUE(settings) << settings.error().message;
    ASSERT_EQ(settings->listen.size(), 3U);
    EXPECT_EQ(settings->listen[2].text(), "tls:[::1]:16514");
    EXPECT_EQ(settings->migrate_ports, (PortRange{50000, 50010}));
    EXPECT_EQ(settings->screen_wait, Duration(250ms));
    EXPECT_EQ(settings->spice_library, SpiceLibrary::stock);
    EXPECT_TRUE(settings->allow_passthrough);
    EXPECT_EQ(settings->log_level, "debug");
    EXPECT_THAT(settings->offer, ::testing::ElementsAre("v2"));
}

TEST(Settings, ErrorsNameFileAndLine) {
    EXPECT_THAT(error_of("[daemon]\nstat = \"/x\"\n"),
                HasSubstr("x.toml:2: unknown key 'daemon.stat' (known: listen, state,"));
    EXPECT_THAT(error_of("\n[demon]\n"), HasSubstr("x.toml:2: unknown section 'demon'"));
    EXPECT_THAT(error_of("[log]\nlevel = \"loud\"\n"),
                HasSubstr("x.toml:2: log.level must be one of debug, info, warning, error"));
    EXPECT_THAT(error_of("[security]\nsandbox = 1\n"),
                HasSubstr("x.toml:2: security.sandbox must be true or false"));
    EXPECT_THAT(error_of("[migration]\nscreen_wait_ms = -1\n"), HasSubstr("from 0 to 3600000"));
    EXPECT_THAT(error_of("[migration]\nports = \"9-1\"\n"), HasSubstr("x.toml:2: migration.ports"));
    EXPECT_THAT(error_of("[migration]\noffer = [\"v9\"]\n"), HasSubstr("'v9' is no migration"));
    EXPECT_THAT(error_of("[daemon\n"), HasSubstr("x.toml:1: "));
    EXPECT_THAT(error_of("daemon = 3\n"), HasSubstr("must be a section"));
    // All of them at once.
    EXPECT_THAT(error_of("[log]\na = 1\nb = 2\n"), HasSubstr("x.toml:3: unknown key 'log.b'"));
}

TEST(Settings, ThePackagedFileShowsTheDefaults) {
    const std::string path = std::string(SEGUE_SOURCE_DIR) + "/packaging/segue.toml";
    const auto packaged = read_settings(path, true);
    ASSERT_TRUE(packaged) << packaged.error().message;
    const Settings defaults;
    EXPECT_EQ(packaged->listen, defaults.listen);
    EXPECT_EQ(packaged->state, defaults.state);
    EXPECT_EQ(packaged->migrate_ports, defaults.migrate_ports);
    EXPECT_EQ(packaged->spice_ports, defaults.spice_ports);
    EXPECT_EQ(packaged->spice_listen, defaults.spice_listen);
    EXPECT_EQ(packaged->screen_wait, defaults.screen_wait);
    EXPECT_EQ(packaged->source_keep, defaults.source_keep);
    EXPECT_EQ(packaged->offer, defaults.offer);
    EXPECT_EQ(packaged->socket_group, defaults.socket_group);
    EXPECT_EQ(packaged->read_only_sockets, defaults.read_only_sockets);
    EXPECT_EQ(packaged->tls_directory, defaults.tls_directory);
    EXPECT_EQ(packaged->qemu_user, defaults.qemu_user);
    EXPECT_EQ(packaged->sandbox, defaults.sandbox);
    EXPECT_EQ(packaged->allow_passthrough, defaults.allow_passthrough);
    EXPECT_EQ(packaged->log_level, defaults.log_level);
}

TEST(Settings, ConfDIsReadInOrderAfterTheFile) {
    const std::filesystem::path folder =
        std::filesystem::temp_directory_path() / ("segue-settings-" + std::to_string(getpid()));
    std::filesystem::create_directories(folder / "conf.d");
    std::ofstream(folder / "segue.toml") << "[log]\nlevel = \"error\"\n";
    std::ofstream(folder / "conf.d/20.toml") << "[log]\nlevel = \"warning\"\n";
    std::ofstream(folder / "conf.d/10.toml") << "[log]\nlevel = \"debug\"\n";
    std::ofstream(folder / "conf.d/ignored.txt") << "nonsense";
    const auto settings = read_settings((folder / "segue.toml").string(), true);
    std::filesystem::remove_all(folder);
    ASSERT_TRUE(settings) << settings.error().message;
    EXPECT_EQ(settings->log_level, "warning");
}

TEST(Settings, AMissingFileIsAnErrorOnlyWhereItWasNamed) {
    EXPECT_TRUE(read_settings("/nonexistent/segue.toml", false));
    const auto named = read_settings("/nonexistent/segue.toml", true);
    ASSERT_FALSE(named);
    EXPECT_THAT(named.error().message, HasSubstr("/nonexistent/segue.toml"));
}

TEST(Options, CommandLineWinsOverTheConfiguration) {
    const char* const line[] = {"segued",          "--listen",        "unix:/tmp/a", "--listen",
                                "tcp:127.0.0.1:1", "--state",         "/tmp/s",      "--spice-lib",
                                "stock",           "--migrate-ports", "50000-50001"};
    const ParsedOptions parsed = parse_options(std::size(line), line);
    ASSERT_TRUE(parsed.options);
    EXPECT_EQ(parsed.options->settings.listen.size(), 2U);
    EXPECT_EQ(parsed.options->settings.state, "/tmp/s");
    EXPECT_EQ(parsed.options->settings.spice_library, SpiceLibrary::stock);
}

TEST(Options, UsageErrorsExitWithTwo) {
    const char* const unknown[] = {"segued", "--nonsense"};
    EXPECT_EQ(parse_options(2, unknown).exit_code, 2);
    const char* const bad[] = {"segued", "--listen", "ftp:x"};
    EXPECT_EQ(parse_options(3, bad).exit_code, 2);
    const char* const uuid[] = {"segued", "--host-uuid", "x"};
    EXPECT_EQ(parse_options(3, uuid).exit_code, 2);
}

TEST(Settings, AReloadChangesWhatMayChangeAndNamesTheRest) {
    Settings running;
    running.state = "/tmp/one";
    Settings wanted;
    wanted.state = "/tmp/two";
    wanted.allow_passthrough = true;
    wanted.migrate_ports = {50000, 50010};
    EXPECT_EQ(take_reloaded(running, wanted), std::vector<std::string>{"daemon.state"});
    EXPECT_EQ(running.state, "/tmp/one");
    EXPECT_TRUE(running.allow_passthrough);
    EXPECT_EQ(running.migrate_ports, (PortRange{50000, 50010}));
    EXPECT_TRUE(take_reloaded(running, running).empty());
}

TEST(ServiceManager, NotifiesTheSocketItWasGiven) {
    const std::string path = "/tmp/segue-notify-" + std::to_string(getpid());
    const int socket = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    ASSERT_EQ(::bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
    EXPECT_TRUE(notify_service_manager("READY=1"));
    ::unsetenv("NOTIFY_SOCKET");
    char received[16] = {};
    EXPECT_EQ(::recv(socket, received, sizeof received, MSG_DONTWAIT), 7);
    EXPECT_STREQ(received, "READY=1");
    ::close(socket);
    ::unlink(path.c_str());
    EXPECT_TRUE(notify_service_manager("READY=1"));  // without the variable: nothing to do
}

TEST(ServiceManager, SocketsOfAnotherProcessAreNotOurs) {
    ::setenv("LISTEN_PID", "1", 1);
    ::setenv("LISTEN_FDS", "2", 1);
    EXPECT_TRUE(take_activated_sockets().empty());
    EXPECT_EQ(::getenv("LISTEN_FDS"), nullptr);
}

}  // namespace
}  // namespace segue
