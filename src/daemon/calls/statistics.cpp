// SPDX-License-Identifier: LGPL-2.1-or-later
// Questions that QEMU or the kernel must be asked: processors, memory, disks.
#include "daemon/calls/calls.h"
#include "daemon/disk_statistics.h"
#include "daemon/guest.h"
#include "daemon/process_facts.h"
#include "rpc/remote.schema.h"

namespace segue {

namespace remote = rpc::remote;
using rpc::Session;

namespace {

// virDomainMemoryStatTags.
constexpr std::int32_t kTagActual = 6, kTagRss = 7;

std::size_t map_size_of(std::int32_t asked) {
    return static_cast<std::size_t>(std::clamp(asked, 0, 128));
}

// No pinning: every processor of the host may run it.
void add_processor_map(Bytes& maps, std::size_t map_size) {
    const unsigned cpus = read_node_info().cpus;
    for (std::size_t byte = 0; byte < map_size; ++byte) {
        const unsigned left = cpus > byte * 8 ? cpus - unsigned(byte) * 8 : 0;
        maps.push_back(static_cast<std::uint8_t>(left >= 8 ? 0xff : (1U << left) - 1));
    }
}

// Also of a domain that is shut off: what it would get.
Result<remote::VcpuPinReply> pinning_of(const DomainList& domains,
                                        const remote::VcpuPinCall& call) {
    const Domain* model = TRY(asked_for(*TRY(domains.find(call.domain)), call.flags));
    const auto limit = static_cast<std::size_t>(std::max(0, call.limit_of_maps));
    const std::size_t vcpus = std::min<std::size_t>(limit, model->vcpus);
    remote::VcpuPinReply reply;
    for (std::size_t vcpu = 0; vcpu < vcpus; ++vcpu)
        add_processor_map(reply.maps, map_size_of(call.map_size));
    reply.count = static_cast<std::int32_t>(vcpus);
    return reply;
}

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
        const std::size_t map_size = map_size_of(call.map_size);
        for (const Json& cpu : said->items()) {
            if (reply.infos.size() >= limit) break;
            const auto thread = static_cast<pid_t>(cpu.i64("thread-id"));
            reply.infos.push_back({static_cast<std::uint32_t>(cpu.u64("cpu-index")), 1,
                                   cpu_time_ns_of(pid, thread), processor_of(pid, thread)});
            add_processor_map(reply.maps, map_size);
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

void block_statistics(const Services& services, const remote::DomainPathCall& call,
                      Answer<remote::BlockStatisticsReply> answer) {
    const auto domain = services.domains.find(call.domain);
    if (!domain) return answer(tl::unexpected(domain.error()));
    const auto guest = (*domain)->running_guest();
    if (!guest) return answer(tl::unexpected(guest.error()));
    // An empty path means all of them together.
    std::vector<std::string> aliases;
    for (const Disk& disk : (*domain)->model().disks) {
        const bool meant =
            call.path.empty() || disk.target == call.path || disk.source == call.path;
        if (meant) aliases.push_back(disk.alias);
    }
    if (aliases.empty()) {
        return answer(fail(ErrorCode::invalid_argument, "invalid path: {}", call.path));
    }
    (*guest)->execute("query-blockstats", {}, [answer, aliases](Result<Json> said) {
        if (!said) return answer(tl::unexpected(said.error()));
        remote::BlockStatisticsReply sum;
        for (const std::string& alias : aliases) {
            const Json* stats = disk_statistics(*said, alias);
            if (stats == nullptr) continue;
            sum.read_requests += stats->i64("rd_operations");
            sum.read_bytes += stats->i64("rd_bytes");
            sum.write_requests += stats->i64("wr_operations");
            sum.write_bytes += stats->i64("wr_bytes");
            sum.errors += stats->i64("failed_wr_operations");
        }
        answer(sum);
    });
}

}  // namespace

void add_statistics_calls(rpc::Dispatcher& calls, const Services& services) {
    calls.on<remote::DomainGetVcpus>(
        [&services](Session&, remote::VcpusCall call, rpc::Reply<remote::DomainGetVcpus> reply) {
            with_processors(services, call.domain, reply, call);
        });
    calls.answer<remote::DomainGetVcpuPinInfo>(
        [&services](Session&, const remote::VcpuPinCall& call) -> Result<remote::VcpuPinReply> {
            return pinning_of(services.domains, call);
        });
    calls.answer<remote::DomainMemoryStats>(
        [&services](
            Session&,
            const remote::MemoryStatisticsCall& call) -> Result<remote::MemoryStatisticsReply> {
            return memory_of(*TRY(services.domains.find(call.domain)), call.limit_of_statistics);
        });
    calls.on<remote::DomainBlockStats>([&services](Session&, remote::DomainPathCall call,
                                                   rpc::Reply<remote::DomainBlockStats> reply) {
        block_statistics(services, call, reply);
    });
}

}  // namespace segue
