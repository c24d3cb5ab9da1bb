// SPDX-License-Identifier: LGPL-2.1-or-later
// What the user asked for, as a value: one verb, and what stands behind it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace segue::cli {

struct ListDomains {
    bool all = false;
};
struct DefineDomain {
    std::string file;    // "-": standard input
    bool start = false;  // `create`: start it without keeping its definition
};
struct ChangeLife {
    enum class Act { start, shutdown, reboot, suspend, resume, destroy, undefine };
    Act act = Act::start;
    std::string domain;
    bool paused = false;  // start
};
struct DumpXml {
    std::string domain;
    bool inactive = false;
    bool secure = false;
    bool migratable = false;
};
struct ShowInfo {
    std::string domain;
};
struct ShowDisplay {
    std::string domain;
};
struct OpenConsole {
    std::string domain;
    std::string device;
};
struct Migrate {
    std::string domain;
    std::string destination;  // URI of the other daemon
    std::uint64_t flags = 0;  // VIR_MIGRATE_*
    std::string new_name, new_xml_file, persistent_xml_file;
    std::string migrate_uri, graphics_uri, listen_address;
    std::uint64_t bandwidth_mib_s = 0;
    std::uint64_t max_downtime_ms = 0;
    std::uint32_t parallel_connections = 0;
    std::uint32_t timeout_s = 0;  // then the guest is suspended, and the migration ends
    std::optional<std::uint32_t> screen_wait_ms;
    // Parameters of libvirt that only go on to the daemons, by the name of the wire.
    std::vector<std::pair<std::string, std::variant<std::uint64_t, std::string>>> more;
    bool check_only = false;
};
struct ShowJob {
    std::string domain;
    bool completed = false;
};
struct AbortJob {
    std::string domain;
};
struct Resolve {
    std::string domain;
    bool runs_here = false;  // else: there
};
struct Doctor {};
struct Protect {
    std::string domain;
    std::string standby, witness;
    std::uint32_t interval_ms = 0;  // 0: the daemon's default
    std::string on_loss = "hold";
    std::string gate = "standby";
    std::string screen = "early";
    bool shared_storage = false;
    std::string mode = "periodic";
    bool allow_tcg = false;
};
struct Unprotect {
    std::string domain;
};
struct Failover {
    std::string domain;
    bool planned = false;
    bool force = false;
};
struct ShowStatus {
    std::string domain;  // empty: the host
};
struct FollowEvents {
    std::string domain;       // empty: all
    std::uint32_t count = 0;  // 0: until interrupted
};
struct Report {};

using Verb = std::variant<ListDomains, DefineDomain, ChangeLife, DumpXml, ShowInfo, ShowDisplay,
                          OpenConsole, Migrate, ShowJob, AbortJob, Resolve, Doctor, Protect,
                          Unprotect, Failover, ShowStatus, FollowEvents, Report>;

enum class Output { table, json };

struct Invocation {
    std::string uri;
    Output output = Output::table;
    bool quiet = false;
    Verb verb;
};

struct Parsed {
    std::optional<Invocation> invocation;  // nothing: help was asked for, or a usage error was told
    int exit_code = 0;
};

// -c, else SEGUE_URI, else LIBVIRT_DEFAULT_URI, else the socket of the packaged daemon.
Parsed parse_arguments(int argc, const char* const* argv);

// "list define create …", for the shell completion.
std::vector<std::string> verb_names();

}  // namespace segue::cli
