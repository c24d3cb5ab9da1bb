// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/settings_check.h"

#include <grp.h>
#include <unistd.h>

#include <algorithm>

#include "qemu/process.h"

namespace segue {
namespace {

using Lines = std::vector<std::string>;

void check_unix_path(const char* key, const std::string& path, Lines& lines) {
    if (const auto fits = net::SocketAddress::of_unix(path); !fits) {
        lines.push_back(fmt::format("{}: {}", key, fits.error().message));
    }
}

void check_tcp(const net::Address& address, Lines& lines) {
    const auto local = net::SocketAddress::of_numeric(address.host, address.port);
    if (!local) {
        lines.push_back(
            fmt::format("daemon.listen '{}': {}", address.text(), local.error().message));
    } else if (address.transport == net::Transport::tcp && !local->is_loopback()) {
        lines.push_back(
            fmt::format("daemon.listen '{}': TCP without authentication is for loopback only; use "
                        "tls:{}:{}",
                        address.text(), address.host, address.port));
    }
}

void check_listen(const Settings& settings, Lines& lines) {
    bool has_tls = false;
    for (const net::Address& address : settings.listen) {
        has_tls = has_tls || address.transport == net::Transport::tls;
        if (address.transport == net::Transport::unix_socket) {
            const char* suffix = settings.read_only_sockets ? "-ro" : "";
            check_unix_path("daemon.listen", address.path + suffix, lines);
        } else {
            check_tcp(address, lines);
        }
    }
    if (!has_tls) return;
    for (const char* file : {"ca-cert.pem", "server-cert.pem", "server-key.pem"}) {
        const std::string path = settings.tls_directory + "/" + file;
        if (::access(path.c_str(), R_OK) == 0) continue;
        lines.push_back(
            fmt::format("daemon.listen has a tls address, and {}: put it there, or name "
                        "another [tls] directory",
                        fail_errno("read", path, errno).value().message));
    }
}

void check_ports(const Settings& settings, Lines& lines) {
    const PortRange& one = settings.migrate_ports;
    const PortRange& other = settings.spice_ports;
    if (one.low <= other.high && other.low <= one.high) {
        lines.push_back(fmt::format("migration.ports {} and spice.ports {} overlap: separate them",
                                    one.text(), other.text()));
    }
    if (!net::SocketAddress::of_numeric(settings.spice_listen, 0)) {
        lines.push_back(fmt::format("spice.listen '{}' is not a numeric IPv4 or IPv6 address",
                                    settings.spice_listen));
    }
    if (settings.offer.empty()) {
        lines.push_back(
            "migration.offer is empty, and nothing could migrate: name v3-params, v3 or v2");
    }
}

// The defaults may be missing; what somebody has written down may not.
void check_people(const Settings& settings, Lines& lines) {
    const Settings defaults;
    const bool own_group = settings.socket_group != defaults.socket_group;
    if (own_group && ::getgrnam(settings.socket_group.c_str()) == nullptr) {
        lines.push_back(fmt::format("daemon.socket_group '{}' does not exist: create the group",
                                    settings.socket_group));
    }
    const bool own_user = !settings.qemu_user.empty() && settings.qemu_user != defaults.qemu_user;
    if (const auto user = find_user(settings.qemu_user); own_user && !user) {
        lines.push_back("security.qemu_user: " + user.error().message);
    }
}

}  // namespace

std::vector<std::string> check_settings(const Settings& settings) {
    Lines lines;
    check_listen(settings, lines);
    check_ports(settings, lines);
    check_people(settings, lines);
    if (!settings.metrics_socket.empty() && settings.metrics_socket.front() != '/') {
        lines.push_back(
            fmt::format("metrics.socket '{}' is not an absolute path", settings.metrics_socket));
    } else if (!settings.metrics_socket.empty()) {
        check_unix_path("metrics.socket", settings.metrics_socket, lines);
    }
    return lines;
}

}  // namespace segue
