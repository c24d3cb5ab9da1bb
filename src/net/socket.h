// SPDX-License-Identifier: LGPL-2.1-or-later
// Socket calls with our errors. Each descriptor made here is close-on-exec and non-blocking.
#pragma once

#include <sys/types.h>

#include <array>
#include <optional>
#include <vector>

#include "net/address.h"
#include "net/descriptor.h"

namespace segue::net {

// A stream socket of the address's family; TCP gets NODELAY and the kernel's keepalive.
Result<Descriptor> make_socket(int family);
void set_tcp_options(int descriptor);
// A peer whose host has died is noticed after 5 idle seconds and three unanswered questions in 6
// more (the kernel's own idea is two hours). With `in_flight` also one that has not acknowledged
// what was sent for 15 s: only where a peer that lives always reads, since one that reads nothing
// for that long counts as dead too. Nothing happens to sockets that are not TCP.
void notice_dead_host(int descriptor, bool in_flight);
Result<> set_non_blocking(int descriptor);
// For a descriptor that is given away to a program that waits in its calls.
Result<> set_blocking(int descriptor);

// Two connected stream sockets.
Result<std::array<Descriptor, 2>> make_socket_pair();

struct PeerCredentials {
    pid_t process = 0;
    uid_t user = 0;
    gid_t group = 0;
};
// Who made the connection, as the kernel saw it; nothing for a socket that is not AF_UNIX.
std::optional<PeerCredentials> peer_credentials(int descriptor);

}  // namespace segue::net
