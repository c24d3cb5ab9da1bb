// SPDX-License-Identifier: LGPL-2.1-or-later
// The two things systemd and we say to each other: "I am ready", and "these sockets are yours".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "net/descriptor.h"

namespace segue {

// sd_notify(3) without libsystemd: one datagram to $NOTIFY_SOCKET. Without that variable nothing
// happens.
Result<> notify_service_manager(std::string_view state);

// A listening socket that was made for us, and FileDescriptorName= of its unit.
struct ActivatedSocket {
    net::Descriptor socket;
    std::string name;
};

// sd_listen_fds_with_names(3): descriptors passed by socket activation, meant for this process
// only. They are made close-on-exec, and the variables are removed, so that children do not take
// them for theirs.
std::vector<ActivatedSocket> take_activated_sockets();

}  // namespace segue
