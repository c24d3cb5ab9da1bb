// SPDX-License-Identifier: LGPL-2.1-or-later
// virsh domstats: every group of every domain in one answer, under libvirt's names of the fields
// (virConnectGetAllDomainStats).
#include "daemon/calls/calls.h"
#include "daemon/disk_statistics.h"
#include "daemon/file_facts.h"
#include "daemon/guest.h"
#include "daemon/image_size.h"
#include "daemon/process_facts.h"
#include "daemon/storage_access.h"
#include "rpc/remote.schema.h"

namespace segue {

namespace remote = rpc::remote;
using rpc::Session;

namespace {

using Parameters = std::vector<remote::TypedParameter>;

// virDomainStatsTypes.
constexpr std::uint32_t kState = 1, kCpuTotal = 2, kBalloon = 4, kVcpu = 8, kInterface = 16,
                        kBlock = 32;
constexpr std::uint32_t kAllGroups = kState | kCpuTotal | kBalloon | kVcpu | kInterface | kBlock;

// virConnectGetAllDomainStatsFlags: the filters of lists, and an error for a group that we have
// not.
constexpr std::uint32_t kFilters = 0xff, kEnforce = 1U << 31;

// virVcpuState.
constexpr std::int32_t kVcpuRunning = 1;

// What a domain's QEMU said; null where it did not run or did not answer.
struct Said {
    Json processors;  // query-cpus-fast
    Json disks;       // query-blockstats
};

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

void add_vcpus(const DomainObject& domain, const Json& said, Parameters& out) {
    out.push_back({"vcpu.current", domain.model().vcpus});
    out.push_back({"vcpu.maximum", domain.model().vcpus});
    if (!domain.incarnation || !domain.incarnation->guest) return;
    const pid_t pid = domain.incarnation->guest->pid();
    for (const Json& cpu : said.items()) {
        const std::uint64_t index = cpu.u64("cpu-index");
        const auto thread = static_cast<pid_t>(cpu.i64("thread-id"));
        out.push_back({fmt::format("vcpu.{}.state", index), kVcpuRunning});
        out.push_back({fmt::format("vcpu.{}.time", index), cpu_time_ns_of(pid, thread)});
    }
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

// The names of the wire beside those of QEMU.
constexpr std::pair<const char*, const char*> kDiskCounters[] = {
    {"rd.reqs", "rd_operations"},     {"rd.bytes", "rd_bytes"},
    {"rd.times", "rd_total_time_ns"}, {"wr.reqs", "wr_operations"},
    {"wr.bytes", "wr_bytes"},         {"wr.times", "wr_total_time_ns"},
    {"fl.reqs", "flush_operations"},  {"fl.times", "flush_total_time_ns"},
};

void add_disks(const DomainObject& domain, const Json& said, const FactsOfFiles& files,
               Parameters& out) {
    const auto& disks = domain.model().disks;
    out.push_back({"block.count", static_cast<std::uint32_t>(disks.size())});
    for (std::size_t at = 0; at < disks.size(); ++at) {
        const auto name = [at](const char* field) { return fmt::format("block.{}.{}", at, field); };
        out.push_back({name("name"), disks[at].target});
        if (!disks[at].source.empty()) out.push_back({name("path"), disks[at].source});
        if (const Json* stats = disk_statistics(said, disks[at].alias)) {
            for (const auto& [field, counter] : kDiskCounters)
                out.push_back({name(field), stats->u64(counter)});
        }
        const auto file = files.find(disks[at].source);
        if (file == files.end()) continue;
        const auto size = image_size(disks[at], file->second);
        if (!size) continue;
        out.push_back({name("allocation"), size->allocation});
        out.push_back({name("capacity"), size->capacity});
        out.push_back({name("physical"), size->physical});
    }
}

remote::StatisticsRecord record_of(const DomainObject& domain, std::uint32_t groups,
                                   const Said& said, const FactsOfFiles& files) {
    remote::StatisticsRecord record;
    record.domain = domain.ref();
    const auto wants = [groups](std::uint32_t group) { return groups == 0 || (groups & group); };
    if (wants(kState)) add_state(domain, record.parameters);
    if (wants(kCpuTotal)) add_processors(domain, record.parameters);
    if (wants(kBalloon)) add_memory(domain, record.parameters);
    if (wants(kVcpu)) add_vcpus(domain, said.processors, record.parameters);
    if (wants(kInterface)) add_interfaces(domain, record.parameters);
    if (wants(kBlock)) add_disks(domain, said.disks, files, record.parameters);
    return record;
}

// Asks the QEMUs of all domains at the same time; the answer comes when the last one has spoken.
struct Survey {
    std::vector<DomainPointer> domains;
    std::vector<Said> said;
    FactsOfFiles files;
    std::uint32_t groups = 0;
    std::size_t waiting = 1;
    Answer<remote::AllStatisticsReply> answer;

    void one_less() {
        if (--waiting > 0) return;
        remote::AllStatisticsReply reply;
        for (std::size_t at = 0; at < domains.size(); ++at)
            reply.records.push_back(record_of(*domains[at], groups, said[at], files));
        answer(std::move(reply));
    }
};

void ask(const std::shared_ptr<Survey>& survey, std::size_t at, const char* command,
         Json Said::*where) {
    // A monitor that is loading a guest's memory is not disturbed.
    if (survey->domains[at]->destination) return;
    const auto guest = survey->domains[at]->running_guest();
    if (!guest) return;
    ++survey->waiting;
    (*guest)->execute(command, {}, [survey, at, where](Result<Json> said) {
        // A QEMU that ends meanwhile leaves its fields out.
        if (said) survey->said[at].*where = std::move(*said);
        survey->one_less();
    });
}

// Those of all disks together; what does not answer is left out.
void ask_files(const Services& services, const std::shared_ptr<Survey>& survey) {
    std::vector<std::string> paths;
    for (const DomainPointer& domain : survey->domains) {
        const auto own = disk_files_of(domain->model());
        paths.insert(paths.end(), own.begin(), own.end());
    }
    if (paths.empty()) return;
    ++survey->waiting;
    services.files.ask(paths, [survey](const FactsOfFiles& facts) {
        survey->files = facts;
        survey->one_less();
    });
}

Result<std::vector<DomainPointer>> chosen(const DomainList& domains,
                                          const remote::AllStatisticsCall& call) {
    if ((call.flags & kEnforce) != 0 && (call.groups & ~kAllGroups) != 0) {
        return fail(ErrorCode::argument_unsupported,
                    "Stats types bits 0x{:x} are not supported by this daemon",
                    call.groups & ~kAllGroups);
    }
    std::vector<DomainPointer> out;
    for (const rpc::DomainRef& ref : call.domains)
        out.push_back(TRY(domains.find(ref)));
    if (call.domains.empty()) {
        for (const auto& entry : domains.all())
            out.push_back(entry.second);
    }
    std::erase_if(out, [&](const DomainPointer& domain) {
        return !is_chosen(*domain, call.flags & kFilters);
    });
    return out;
}

}  // namespace

void add_all_statistics_calls(rpc::Dispatcher& calls, const Services& services) {
    calls.on<remote::ConnectGetAllDomainStats>(
        [&services](Session&, const remote::AllStatisticsCall& call,
                    rpc::Reply<remote::ConnectGetAllDomainStats> reply) {
            auto domains = chosen(services.domains, call);
            if (!domains) return reply(tl::unexpected(domains.error()));
            const auto survey = std::make_shared<Survey>();
            survey->domains = std::move(*domains);
            survey->said.resize(survey->domains.size());
            survey->groups = call.groups;
            survey->answer = reply;
            const auto wants = [&](std::uint32_t group) {
                return call.groups == 0 || (call.groups & group) != 0;
            };
            for (std::size_t at = 0; at < survey->domains.size(); ++at) {
                if (wants(kVcpu)) ask(survey, at, "query-cpus-fast", &Said::processors);
                if (wants(kBlock)) ask(survey, at, "query-blockstats", &Said::disks);
            }
            if (wants(kBlock)) ask_files(services, survey);
            survey->one_less();
        });
}

}  // namespace segue
