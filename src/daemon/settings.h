// SPDX-License-Identifier: LGPL-2.1-or-later
// What an administrator may set: /etc/segue/segue.toml and conf.d, then the command line over it.
// packaging/segue.toml shows every key with its default; a test holds the two together.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "net/address.h"

namespace segue {

// "LO-HI", both ends included.
struct PortRange {
    std::uint16_t low = 0;
    std::uint16_t high = 0;

    static Result<PortRange> parse(std::string_view text);
    std::string text() const;
    friend bool operator==(const PortRange&, const PortRange&) = default;
};

enum class SpiceLibrary { segue, stock };

struct Settings {
    // [daemon]
    std::vector<net::Address> listen = {net::Address::of_unix("/run/segue/segue.sock")};
    std::string state = "/var/lib/segue";
    std::string hostname;                // empty: the kernel's name of this host
    std::string host_uuid;               // empty: one that is made once and kept in the state
    std::string socket_group = "segue";  // owner group of local sockets, if the group exists
    // Beside each local socket one with "-ro" behind its name, where every user may look.
    bool read_only_sockets = true;
    // [migration]
    std::string migrate_address;  // empty: the host's name, and every address of it
    PortRange migrate_ports{49300, 49399};
    std::vector<std::string> offer{"v3-params", "v3", "v2"};
    Duration screen_wait = 5s;  // how long a migration waits for viewers to be linked; 0: never
    // How long the source QEMU stays for viewers that still switch: our library says when it gives
    // up one that stands still, after 180 s and what others took before.
    Duration source_keep = 200s;
    // [spice]
    SpiceLibrary spice_library = SpiceLibrary::segue;
    PortRange spice_ports{5950, 6149};
    std::string spice_listen = "127.0.0.1";  // for graphics that name no address themselves
    // [tls]
    std::string tls_directory = "/etc/pki/segue";
    // [security]
    bool allow_passthrough = false;
    bool sandbox = true;
    std::string qemu_user = "segue-qemu";  // used when the daemon is root and the user exists
    // [metrics]
    std::string metrics_socket;  // empty: none
    // [log]
    std::string log_level = "info";
};

// Reads FILE, and then conf.d/*.toml beside it in the order of their names. A missing `file` is an
// error only where `must_exist`. Every unknown key, wrong type and bad value is one line of the
// error's message: "FILE:LINE: …".
Result<Settings> read_settings(const std::string& file, bool must_exist);

// What a reload may change while VMs run: everything but what was opened, or told to peers, at the
// start. Those keep their value; their keys ("daemon.state") are returned: they need a restart.
std::vector<std::string> take_reloaded(Settings& running, Settings wanted);

// The same for one text, as if it stood in `name`.
Result<Settings> parse_settings(std::string_view text, const std::string& name);

}  // namespace segue
