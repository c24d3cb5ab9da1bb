// SPDX-License-Identifier: LGPL-2.1-or-later
// Questions about one domain that need no statistics of QEMU.
#include <algorithm>

#include "daemon/calls/calls.h"
#include "daemon/file_facts.h"
#include "daemon/guest.h"
#include "daemon/image_size.h"
#include "daemon/process_facts.h"
#include "rpc/remote.schema.h"

namespace segue {

namespace remote = rpc::remote;
using rpc::Session;

namespace {

remote::DomainInfoReply info_of(const DomainObject& domain) {
    remote::DomainInfoReply reply;
    const Domain& model = domain.model();
    reply.state = static_cast<std::uint8_t>(domain.status.state);
    reply.maximum_memory = model.memory_kib;
    reply.memory = domain.is_active() ? model.current_memory_kib : model.memory_kib;
    reply.vcpus = static_cast<std::uint16_t>(model.vcpus);
    if (domain.incarnation && domain.incarnation->guest) {
        const ProcessFacts facts = facts_of(domain.incarnation->guest->pid());
        reply.cpu_time_ns = facts.user_ns + facts.system_ns;
    }
    return reply;
}

void block_info(const Services& services, const remote::DomainPathFlagsCall& call,
                Answer<remote::BlockInfoReply> answer) {
    const auto domain = services.domains.find(call.domain);
    if (!domain) return answer(tl::unexpected(domain.error()));
    const auto& disks = (*domain)->model().disks;
    const auto disk = std::find_if(disks.begin(), disks.end(), [&](const Disk& one) {
        return one.target == call.path || one.source == call.path;
    });
    if (disk == disks.end()) {
        return answer(
            fail(ErrorCode::invalid_argument, "invalid path {} not assigned to domain", call.path));
    }
    if (disk->source.empty()) return answer(remote::BlockInfoReply{});  // an empty drive
    services.files.ask({disk->source}, [disk = *disk, answer](const FactsOfFiles& told) {
        answer(image_size(disk, told.at(disk.source)).map([](const ImageSize& size) {
            return remote::BlockInfoReply{size.allocation, size.capacity, size.physical};
        }));
    });
}

// Without flags: all of them. Those that libvirt has flags for, tainting and deprecation, we have
// none of.
std::vector<std::string> messages_of(const DomainObject& domain, std::uint32_t flags) {
    std::vector<std::string> out;
    if (flags != 0) return out;
    for (const std::string& unused : domain.model().unused)
        out.push_back("kept, and not used: " + unused);
    if (!domain.unresolved.empty()) out.push_back(domain.unresolved);
    if (std::string waits = recovering(domain); !waits.empty()) out.push_back(std::move(waits));
    return out;
}

// virDomainVcpuFlags.
constexpr std::uint32_t kImpact = 3, kSeenByGuest = 8;

Result<remote::NumberReply> processors_of(const DomainObject& domain, std::uint32_t flags) {
    if ((flags & kSeenByGuest) != 0) {
        return fail(ErrorCode::argument_unsupported, "QEMU guest agent is not configured");
    }
    const Domain* model = TRY(asked_for(domain, flags & kImpact));
    return remote::NumberReply{static_cast<std::int32_t>(model->vcpus)};
}

// virDomainGetControlInfo: "occupied by a background job".
constexpr std::uint32_t kControlOk = 0, kControlJob = 1;

void add_state_calls(rpc::Dispatcher& calls, const DomainList& domains) {
    calls.answer<remote::DomainGetInfo>(
        [&domains](Session&, const remote::DomainCall& call) -> Result<remote::DomainInfoReply> {
            return info_of(*TRY(domains.find(call.domain)));
        });
    calls.answer<remote::DomainGetState>(
        [&domains](Session&,
                   const remote::DomainFlagsCall& call) -> Result<remote::DomainStateReply> {
            const DomainPointer domain = TRY(domains.find(call.domain));
            return remote::DomainStateReply{static_cast<std::int32_t>(domain->status.state),
                                            domain->status.reason};
        });
    calls.answer<remote::DomainGetControlInfo>(
        [&domains](Session&,
                   const remote::DomainFlagsCall& call) -> Result<remote::ControlInfoReply> {
            const DomainPointer domain = TRY(domains.find(call.domain));
            const bool busy = domain->source || domain->destination;
            return remote::ControlInfoReply{busy ? kControlJob : kControlOk, 0, 0};
        });
}

void add_shape_calls(rpc::Dispatcher& calls, const DomainList& domains) {
    calls.answer<remote::DomainGetOsType>(
        [&domains](Session&, const remote::DomainCall& call) -> Result<remote::TextReply> {
            TRY(domains.find(call.domain));
            return remote::TextReply{"hvm"};
        });
    calls.answer<remote::DomainGetMaxMemory>(
        [&domains](Session&, const remote::DomainCall& call) -> Result<remote::LongReply> {
            return remote::LongReply{TRY(domains.find(call.domain))->model().memory_kib};
        });
    calls.answer<remote::DomainGetMaxVcpus>(
        [&domains](Session&, const remote::DomainCall& call) -> Result<remote::NumberReply> {
            return remote::NumberReply{
                static_cast<std::int32_t>(TRY(domains.find(call.domain))->model().vcpus)};
        });
    calls.answer<remote::DomainGetVcpusFlags>(
        [&domains](Session&, const remote::DomainFlagsCall& call) -> Result<remote::NumberReply> {
            return processors_of(*TRY(domains.find(call.domain)), call.flags);
        });
    calls.answer<remote::DomainIsActive>(
        [&domains](Session&, const remote::DomainCall& call) -> Result<remote::BoolReply> {
            return remote::BoolReply{TRY(domains.find(call.domain))->is_active()};
        });
    calls.answer<remote::DomainIsPersistent>(
        [&domains](Session&, const remote::DomainCall& call) -> Result<remote::BoolReply> {
            return remote::BoolReply{TRY(domains.find(call.domain))->is_persistent()};
        });
    calls.answer<remote::DomainIsUpdated>(
        [&domains](Session&, const remote::DomainCall& call) -> Result<remote::BoolReply> {
            TRY(domains.find(call.domain));
            return remote::BoolReply{false};
        });
}

void add_other_calls(rpc::Dispatcher& calls, const DomainList& domains) {
    calls.answer<remote::DomainHasManagedSaveImage>(
        [&domains](Session&, const remote::DomainFlagsCall& call) -> Result<remote::NumberReply> {
            TRY(domains.find(call.domain));
            return remote::NumberReply{0};
        });
    calls.answer<remote::DomainSnapshotNum>(
        [&domains](Session&, const remote::DomainFlagsCall& call) -> Result<remote::NumberReply> {
            TRY(domains.find(call.domain));
            return remote::NumberReply{0};
        });
    calls.answer<remote::DomainGetSecurityLabel>(
        [&domains](Session&, const remote::DomainCall& call) -> Result<remote::SecurityLabel> {
            TRY(domains.find(call.domain));
            return remote::SecurityLabel{{0}, 0};
        });
    calls.answer<remote::DomainGetMessages>(
        [&domains](Session&, const remote::DomainFlagsCall& call) -> Result<remote::MessagesReply> {
            return remote::MessagesReply{messages_of(*TRY(domains.find(call.domain)), call.flags)};
        });
}

}  // namespace

void add_query_calls(rpc::Dispatcher& calls, const Services& services) {
    add_state_calls(calls, services.domains);
    add_shape_calls(calls, services.domains);
    add_other_calls(calls, services.domains);
    calls.on<remote::DomainGetBlockInfo>([&services](Session&,
                                                     const remote::DomainPathFlagsCall& call,
                                                     rpc::Reply<remote::DomainGetBlockInfo> reply) {
        block_info(services, call, reply);
    });
}

}  // namespace segue
