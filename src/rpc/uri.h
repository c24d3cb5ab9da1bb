// SPDX-License-Identifier: LGPL-2.1-or-later
// Connection URIs as libvirt's clients write them:
//   qemu:///system                          the unix socket of this host
//   qemu+unix:///system?socket=/run/x       that socket
//   qemu+tcp://host:16509/system
//   qemu+tls://host/system?pkipath=/dir     qemu://host/system means the same
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "net/address.h"

namespace segue::rpc {

// scheme://[user@]host[:port]/path[?name=value&…], percent-encoding undone in host, path and
// values.
struct UriParts {
    std::string scheme;
    std::string user;
    std::string host;        // without the brackets of IPv6
    std::uint16_t port = 0;  // 0: not given
    std::string path;
    std::map<std::string, std::string> query;
};
Result<UriParts> parse_uri(std::string_view text);

struct ConnectionUri {
    net::Address address;
    std::string name;      // what the daemon is told: driver and path, "qemu:///system"
    std::string pki_path;  // of TLS; empty: the system's
    bool verify = true;    // of the server's certificate (no_verify=1 turns it off)

    // `default_socket`: of URIs that name neither host nor socket.
    static Result<ConnectionUri> parse(std::string_view text, std::string_view default_socket);
};

}  // namespace segue::rpc
