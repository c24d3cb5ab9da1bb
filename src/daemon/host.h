// SPDX-License-Identifier: LGPL-2.1-or-later
// This host as clients see it: who it is, what it has, what it can run.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/id.h"
#include "base/result.h"
#include "qemu/probe.h"

namespace segue {

// virNodeInfo: memory in KiB, speed in MHz.
struct NodeInfo {
    std::string model = "x86_64";
    std::uint64_t memory_kib = 0;
    std::uint32_t cpus = 1;
    std::uint32_t mhz = 0;
    std::uint32_t nodes = 1;
    std::uint32_t sockets = 1;
    std::uint32_t cores = 1;
    std::uint32_t threads = 1;
};

struct HostIdentity {
    std::string name;
    Uuid uuid;
};

// Where others find what listens at `address`: the host's name, where that is every address ("",
// "0.0.0.0", "::").
std::string what_leads_to(const std::string& address, const HostIdentity& identity);
// Error internal_error, as libvirt's, for a host that calls itself localhost: who is told that name
// dials itself.
Result<> check_leads_here(const std::string& host);

// `name` empty: gethostname(2). `uuid` empty: the one in STATE/host-uuid, made on the first start:
// two daemons on one machine must be two hosts, so the machine's own id would not do.
Result<HostIdentity> read_host_identity(const std::string& name, const std::string& uuid,
                                        const std::string& state_directory, Random& random);

NodeInfo read_node_info();

// libvirt's <capabilities> (formatcaps.html), with the one emulator that is asked at start.
std::string capabilities_xml(const HostIdentity& identity, const NodeInfo& node,
                             const std::string& emulator_path,
                             const EmulatorCapabilities& emulator);

}  // namespace segue
