// SPDX-License-Identifier: LGPL-2.1-or-later
// The values of single QEMU options, in their plain and in their JSON form, as a promotion needs
// them.
#pragma once

#include "standby/option_list.h"
#include "standby/vm_command.h"

namespace segue::standby {

// -object: a memory-backend-* becomes a shared file with the standby's image; others stay.
Result<std::string> with_shared_memory(const std::string& value, const Places& places,
                                       VmCommand& out);
// A new -object for a block that QEMU would have made itself.
std::string shared_memory_object(const std::string& block, std::uint64_t bytes,
                                 const Places& places, VmCommand& out);

// -netdev stream, dgram, socket: those whose other end is a program like us.
bool is_external_network(const std::string& value);
std::string own_network(const std::string& value, const Places::Network& network);

// -drive and -blockdev: an NBD client, at any depth, is pointed at the standby's export of its
// disk.
Result<std::string> with_own_disk(const std::string& value, const std::vector<std::string>& sockets,
                                  VmCommand& out);

}  // namespace segue::standby
