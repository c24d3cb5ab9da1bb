// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/options.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>

#include "base/id.h"
#include "base/log.h"
#include "daemon/settings_check.h"

namespace segue {
namespace {

constexpr const char* kDefaultConfig = "/etc/segue/segue.toml";
constexpr int kUsageError = 2;

// What stood on the command line; empty means "not given".
struct Given {
    std::vector<std::string> listen;
    std::string state, hostname, host_uuid, migrate_address, migrate_ports, spice_lib;
    std::string config = kDefaultConfig;
    int screen_wait_ms = -1;
    bool check_config = false;
};

void declare(CLI::App& app, Given& given) {
    app.add_option("--listen", given.listen, "Where to serve libvirt's protocol; repeatable")
        ->type_name("unix:PATH|tcp:ADDR:PORT|tls:ADDR:PORT")
        ->allow_extra_args(false);
    app.add_option("--state", given.state, "What must survive: definitions, records, domains")
        ->type_name("DIR");
    app.add_option("--hostname", given.hostname, "How this host calls itself toward peers")
        ->type_name("NAME");
    app.add_option("--host-uuid", given.host_uuid, "Must differ on every host")->type_name("UUID");
    app.add_option("--migrate-address", given.migrate_address,
                   "The address that incoming migrations use")
        ->type_name("ADDR");
    app.add_option("--migrate-ports", given.migrate_ports, "The ports that they use")
        ->type_name("LO-HI");
    app.add_option("--screen-wait", given.screen_wait_ms,
                   "How long a migration waits until viewers are linked to the target")
        ->type_name("MS")
        ->check(CLI::Range(0, 3'600'000));
    app.add_option("--spice-lib", given.spice_lib, "The SPICE server library that QEMU loads")
        ->check(CLI::IsMember({"stock", "segue"}));
    app.add_option("--config", given.config, "The configuration")->type_name("FILE");
    app.add_flag("--check-config", given.check_config, "Read the configuration and exit");
    app.set_version_flag("--version", "segued " SEGUE_VERSION);
}

Result<> lay_over(const Given& given, Settings& settings) {
    if (!given.listen.empty()) settings.listen.clear();
    for (const std::string& one : given.listen)
        settings.listen.push_back(TRY(net::Address::parse(one)));
    if (!given.state.empty()) settings.state = given.state;
    if (!given.hostname.empty()) settings.hostname = given.hostname;
    if (!given.host_uuid.empty()) settings.host_uuid = given.host_uuid;
    if (!given.migrate_address.empty()) settings.migrate_address = given.migrate_address;
    if (!given.migrate_ports.empty()) {
        settings.migrate_ports = TRY(PortRange::parse(given.migrate_ports));
    }
    if (given.screen_wait_ms >= 0) {
        settings.screen_wait = std::chrono::milliseconds(given.screen_wait_ms);
    }
    if (!given.spice_lib.empty()) {
        settings.spice_library =
            given.spice_lib == "stock" ? SpiceLibrary::stock : SpiceLibrary::segue;
    }
    if (!settings.host_uuid.empty()) TRY(Uuid::parse(settings.host_uuid));
    // QEMU works in another directory than the daemon.
    std::error_code code;
    settings.state = std::filesystem::absolute(settings.state, code).string();
    if (code) return fail(ErrorCode::invalid_argument, "--state: {}", code.message());
    return {};
}

// What stands in the configuration and has no effect is a surprise otherwise.
void tell_replaced(const Given& given, const Settings& file) {
    const Settings defaults;
    const auto tell = [&](const char* option, const char* key, bool replaced) {
        if (replaced)
            log_warning("daemon", "{} of the command line replaces {} of '{}'", option, key,
                        given.config);
    };
    tell("--listen", "daemon.listen", !given.listen.empty() && file.listen != defaults.listen);
    tell("--state", "daemon.state",
         !given.state.empty() && file.state != defaults.state && file.state != given.state);
}

ParsedOptions stop(int code) {
    return {std::nullopt, code};
}

}  // namespace

ParsedOptions parse_options(int argc, const char* const* argv) {
    CLI::App app("segued: moves running virtual machines between hosts, and protects them");
    Given given;
    declare(app, given);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        const int code = app.exit(error);
        return stop(code == 0 ? 0 : kUsageError);
    }
    DaemonOptions options;
    options.config_file = given.config;
    options.check_config = given.check_config;
    auto settings = read_settings(given.config, app.count("--config") > 0);
    if (!settings) {
        std::fprintf(stderr, "segued: %s\n", settings.error().message.c_str());
        return stop(1);
    }
    options.settings = std::move(*settings);
    tell_replaced(given, options.settings);
    if (const auto laid = lay_over(given, options.settings); !laid) {
        std::fprintf(stderr, "segued: %s\n", laid.error().message.c_str());
        return stop(kUsageError);
    }
    const auto complaints = check_settings(options.settings);
    for (const std::string& line : complaints)
        std::fprintf(stderr, "segued: %s\n", line.c_str());
    if (!complaints.empty()) return stop(1);
    return {std::move(options), 0};
}

}  // namespace segue
