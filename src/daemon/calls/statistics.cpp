// SPDX-License-Identifier: LGPL-2.1-or-later
// Questions that QEMU or the kernel must be asked: processors, memory, disks, and all at once.
#include "daemon/calls/calls.h"
#include "daemon/guest.h"
#include "daemon/process_facts.h"
#include "rpc/remote.schema.h"

namespace segue {

namespace remote = rpc::remote;
using rpc::Session;

namespace {

using Parameters = std::vector<remote::TypedParameter>;

// virDomainStatsTypes.
constexpr std::uint32_t kState = 1, kCpuTotal = 2, kBalloon = 4, kVcpu = 8, kInterface = 16,
                        kBlock = 32;

// virDomainMemoryStatTags.
constexpr std::int32_t kTagActual = 6, kTagRss = 7;

void with_processors(const Services& services, const rpc::DomainRef& ref,
                     Answer<remote::VcpusReply> answer, const remote::VcpusCall& call) {
    const auto domain = services.domains.find(ref);
    if (!domain) return answer(tl::unexpected(domain.error()));
    const auto guest = (*domain)->running_guest();
    if (!guest) return answer(tl::unexpected(guest.error()));
    const pid_t pid = (*guest)->pid();
    (*guest)->execute("query-cpus-fast", {}, [answer, call, pid](Result<Json> said) {
        if (!said) return answer(tl::unexpected(said.error()));
        remote::VcpusReply reply;
        const auto limit = static_cast<std::size_t>(std::max(0, call.limit_of_infos));
        const auto map_size = static_cast<std::size_t>(std::clamp(call.map_size, 0, 128));
        for (const Json& cpu : said->items()) {
            if (reply.infos.size() >= limit) break;
            const auto thread = static_cast<pid_t>(cpu.i64("thread-id"));
            reply.infos.push_back({static_cast<std::uint32_t>(cpu.u64("cpu-index")), 1,
                                   cpu_time_ns_of(pid, thread), processor_of(pid, thread)});
            // No pinning: every processor of the host may run it.
            const unsigned cpus = read_node_info().cpus;
            for (std::size_t byte = 0; byte < map_size; ++byte) {
                const unsigned left = cpus > byte * 8 ? cpus - unsigned(byte) * 8 : 0;
                reply.maps.push_back(
                    static_cast<std::uint8_t>(left >= 8 ? 0xff : (1U << left) - 1));
            }
        }
        answer(std::move(reply));
    });
}

Result<remote::MemoryStatisticsReply> memory_of(const DomainObject& domain, std::uint32_t limit) {
    const Guest* guest = TRY(domain.running_guest());
    remote::MemoryStatisticsReply reply;
    reply.statistics = {{kTagActual, domain.model().current_memory_kib},
                        {kTagRss, facts_of(guest->pid()).resident_kib}};
    if (reply.statistics.size() > limit) reply.statistics.resize(limit);
    return reply;
}

void add_state(const DomainObject& domain, Parameters& out) {
    out.push_back({"state.state", static_cast<std::int32_t>(domain.status.state)});
    out.push_back({"state.reason", domain.status.reason});
}

void add_processors(const DomainObject& domain, Parameters& out) {
    if (!domain.incarnation || !domain.incarnation->guest) return;
    const ProcessFacts facts = facts_of(domain.incarnation->guest->pid());
    out.push_back({"cpu.time", facts.user_ns + facts.system_ns});
    out.push_back({"cpu.user", facts.user_ns});
    out.push_back({"cpu.system", facts.system_ns});
}

void add_memory(const DomainObject& domain, Parameters& out) {
    out.push_back({"balloon.current", domain.model().current_memory_kib});
    out.push_back({"balloon.maximum", domain.model().memory_kib});
    if (domain.incarnation && domain.incarnation->guest) {
        out.push_back({"balloon.rss", facts_of(domain.incarnation->guest->pid()).resident_kib});
    }
}

void add_vcpus(const DomainObject& domain, Parameters& out) {
    out.push_back({"vcpu.current", domain.model().vcpus});
    out.push_back({"vcpu.maximum", domain.model().vcpus});
}

void add_interfaces(const DomainObject& domain, Parameters& out) {
    const auto& interfaces = domain.model().interfaces;
    out.push_back({"net.count", static_cast<std::uint32_t>(interfaces.size())});
    for (std::size_t at = 0; at < interfaces.size(); ++at) {
        if (!interfaces[at].alias.empty()) {
            out.push_back({fmt::format("net.{}.name", at), interfaces[at].alias});
        }
    }
}

void add_disks(const DomainObject& domain, Parameters& out) {
    const auto& disks = domain.model().disks;
    out.push_back({"block.count", static_cast<std::uint32_t>(disks.size())});
    for (std::size_t at = 0; at < disks.size(); ++at) {
        out.push_back({fmt::format("block.{}.name", at), disks[at].target});
        if (!disks[at].source.empty()) {
            out.push_back({fmt::format("block.{}.path", at), disks[at].source});
        }
    }
}

remote::StatisticsRecord record_of(const DomainObject& domain, std::uint32_t groups) {
    remote::StatisticsRecord record;
    record.domain = domain.ref();
    const auto wants = [groups](std::uint32_t group) { return groups == 0 || (groups & group); };
    if (wants(kState)) add_state(domain, record.parameters);
    if (wants(kCpuTotal)) add_processors(domain, record.parameters);
    if (wants(kBalloon)) add_memory(domain, record.parameters);
    if (wants(kVcpu)) add_vcpus(domain, record.parameters);
    if (wants(kInterface)) add_interfaces(domain, record.parameters);
    if (wants(kBlock)) add_disks(domain, record.parameters);
    return record;
}

Result<remote::AllStatisticsReply> all_statistics(const DomainList& domains,
                                                  const remote::AllStatisticsCall& call) {
    remote::AllStatisticsReply reply;
    for (const rpc::DomainRef& ref : call.domains)
        reply.records.push_back(record_of(*TRY(domains.find(ref)), call.groups));
    if (!call.domains.empty()) return reply;
    for (const auto& entry : domains.all())
        reply.records.push_back(record_of(*entry.second, call.groups));
    return reply;
}

void block_statistics(const Services& services, const remote::DomainPathCall& call,
                      Answer<remote::BlockStatisticsReply> answer) {
    const auto domain = services.domains.find(call.domain);
    if (!domain) return answer(tl::unexpected(domain.error()));
    const auto guest = (*domain)->running_guest();
    if (!guest) return answer(tl::unexpected(guest.error()));
    std::string alias;
    for (const Disk& disk : (*domain)->model().disks) {
        if (disk.target == call.path || disk.source == call.path) alias = disk.alias;
    }
    if (alias.empty()) {
        return answer(fail(ErrorCode::invalid_argument, "invalid path: {}", call.path));
    }
    (*guest)->execute("query-blockstats", {}, [answer, alias](Result<Json> said) {
        if (!said) return answer(tl::unexpected(said.error()));
        for (const Json& device : said->items()) {
            // A device is named by its path in QEMU's tree, which ends in its alias.
            if (device.text("qdev").find(alias) == std::string_view::npos) continue;
            const Json& stats = device["stats"];
            return answer(remote::BlockStatisticsReply{
                stats.i64("rd_operations"), stats.i64("rd_bytes"), stats.i64("wr_operations"),
                stats.i64("wr_bytes"), stats.i64("failed_wr_operations")});
        }
        answer(fail(ErrorCode::operation_failed, "QEMU has no statistics of '{}'", alias));
    });
}

}  // namespace

void add_statistics_calls(rpc::Dispatcher& calls, const Services& services) {
    calls.on<remote::DomainGetVcpus>(
        [&services](Session&, remote::VcpusCall call, rpc::Reply<remote::DomainGetVcpus> reply) {
            with_processors(services, call.domain, reply, call);
        });
    calls.answer<remote::DomainMemoryStats>(
        [&services](
            Session&,
            const remote::MemoryStatisticsCall& call) -> Result<remote::MemoryStatisticsReply> {
            return memory_of(*TRY(services.domains.find(call.domain)), call.limit_of_statistics);
        });
    calls.answer<remote::ConnectGetAllDomainStats>(
        [&services](Session&, const remote::AllStatisticsCall& call) {
            return all_statistics(services.domains, call);
        });
    calls.on<remote::DomainBlockStats>([&services](Session&, remote::DomainPathCall call,
                                                   rpc::Reply<remote::DomainBlockStats> reply) {
        block_statistics(services, call, reply);
    });
}

}  // namespace segue
