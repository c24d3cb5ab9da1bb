// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/host.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <set>

namespace segue {
namespace {

Result<Uuid> kept_uuid(const std::string& path, Random& random) {
    std::ifstream file(path);
    std::string text;
    if (file >> text) return Uuid::parse(text);
    const Uuid made = Uuid::random(random);
    const std::string fresh = path + ".new";
    {
        std::ofstream out(fresh, std::ios::trunc);
        out << made.text() << '\n';
        out.flush();
        if (!out) return fail_errno("write", fresh, errno);
    }
    if (::rename(fresh.c_str(), path.c_str()) != 0) return fail_errno("rename", fresh, errno);
    return made;
}

std::uint64_t number_in(std::string_view text) {
    const std::size_t at = text.find_first_of("0123456789");
    std::uint64_t value = 0;
    if (at != std::string_view::npos) {
        std::from_chars(text.data() + at, text.data() + text.size(), value);
    }
    return value;
}

std::string escaped(std::string_view text) {
    std::string out;
    for (const char character : text) {
        switch (character) {
            case '<': out += "&lt;"; break;
            case '>': out += "&gt;"; break;
            case '&': out += "&amp;"; break;
            case '\'': out += "&apos;"; break;
            default: out += character;
        }
    }
    return out;
}

}  // namespace

std::string what_leads_to(const std::string& address, const HostIdentity& identity) {
    const bool is_every = address.empty() || address == "0.0.0.0" || address == "::";
    return is_every ? identity.name : address;
}

Result<> check_leads_here(const std::string& host) {
    if (host != "localhost" && !host.starts_with("localhost.")) return {};
    return fail(ErrorCode::internal,
                "this host calls itself '{}', where the source would look for itself: set "
                "[migration] address or [daemon] hostname here, or say --migrateuri",
                host);
}

Result<HostIdentity> read_host_identity(const std::string& name, const std::string& uuid,
                                        const std::string& state_directory, Random& random) {
    HostIdentity identity;
    identity.name = name;
    if (name.empty()) {
        char own[256] = {};
        if (::gethostname(own, sizeof own - 1) != 0) {
            return fail_errno("read the name of", "this host", errno);
        }
        identity.name = own;
    }
    identity.uuid = uuid.empty() ? TRY(kept_uuid(state_directory + "/host-uuid", random))
                                 : TRY(Uuid::parse(uuid));
    return identity;
}

NodeInfo read_node_info() {
    NodeInfo node;
    std::ifstream memory("/proc/meminfo");
    for (std::string line; std::getline(memory, line);) {
        if (line.starts_with("MemTotal:")) node.memory_kib = number_in(line);
    }
    std::ifstream processors("/proc/cpuinfo");
    std::set<std::uint64_t> sockets;
    std::uint32_t count = 0;
    std::uint32_t cores = 1;
    for (std::string line; std::getline(processors, line);) {
        if (line.starts_with("processor")) ++count;
        if (line.starts_with("cpu MHz")) node.mhz = static_cast<std::uint32_t>(number_in(line));
        if (line.starts_with("physical id")) sockets.insert(number_in(line));
        if (line.starts_with("cpu cores")) cores = static_cast<std::uint32_t>(number_in(line));
    }
    // What the kernel shows may not multiply out (a container sees a part of the machine); clients
    // compute sockets * cores * threads and expect at least `cpus`.
    node.cpus = std::max(1U, count);
    node.sockets = std::max<std::uint32_t>(1, static_cast<std::uint32_t>(sockets.size()));
    node.cores = std::max(1U, cores);
    node.threads = std::max(1U, node.cpus / (node.sockets * node.cores));
    if (node.sockets * node.cores * node.threads != node.cpus) {
        node.sockets = 1;
        node.cores = node.cpus;
        node.threads = 1;
    }
    return node;
}

std::string capabilities_xml(const HostIdentity& identity, const NodeInfo& node,
                             const std::string& emulator_path,
                             const EmulatorCapabilities& emulator) {
    std::string out = fmt::format(
        "<capabilities>\n\n  <host>\n    <uuid>{}</uuid>\n    <cpu>\n      <arch>{}</arch>\n"
        "      <topology sockets='{}' dies='1' cores='{}' threads='{}'/>\n    </cpu>\n"
        "    <migration_features>\n      <live/>\n      <uri_transports>\n"
        "        <uri_transport>tcp</uri_transport>\n      </uri_transports>\n"
        "    </migration_features>\n",
        identity.uuid.text(), node.model, node.sockets, node.cores, node.threads);
    out += fmt::format(
        "    <topology>\n      <cells num='1'>\n        <cell id='0'>\n"
        "          <memory unit='KiB'>{}</memory>\n          <cpus num='{}'/>\n        </cell>\n"
        "      </cells>\n    </topology>\n    <secmodel>\n      <model>none</model>\n"
        "      <doi>0</doi>\n    </secmodel>\n  </host>\n",
        node.memory_kib, node.cpus);
    out += fmt::format(
        "\n  <guest>\n    <os_type>hvm</os_type>\n    <arch name='x86_64'>\n"
        "      <wordsize>64</wordsize>\n      <emulator>{}</emulator>\n",
        escaped(emulator_path));
    for (const MachineType& machine : emulator.machines) {
        if (machine.alias) {
            out += fmt::format("      <machine canonical='{}' maxCpus='{}'>{}</machine>\n",
                               escaped(machine.name), machine.max_cpus, escaped(*machine.alias));
        }
        out += fmt::format("      <machine maxCpus='{}'>{}</machine>\n", machine.max_cpus,
                           escaped(machine.name));
    }
    out +=
        "      <domain type='qemu'/>\n    </arch>\n    <features>\n"
        "      <acpi default='on' toggle='yes'/>\n      <apic default='on' toggle='no'/>\n"
        "      <cpuselection/>\n      <deviceboot/>\n    </features>\n  </guest>\n";
    return out + "\n</capabilities>\n";
}

}  // namespace segue
