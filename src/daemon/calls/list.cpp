// SPDX-License-Identifier: LGPL-2.1-or-later
// Finding domains.
#include "daemon/calls/calls.h"
#include "rpc/remote.schema.h"

namespace segue {

namespace remote = rpc::remote;
using rpc::Nothing;
using rpc::Session;

namespace {

// virConnectListAllDomainsFlags: groups of two or more; within a group any match counts, an empty
// group matches everything.
constexpr std::uint32_t kActive = 1, kInactive = 2, kPersistent = 4, kTransient = 8, kRunning = 16,
                        kPaused = 32, kShutOff = 64, kOtherState = 128, kHasSave = 256,
                        kNoSave = 512, kAutostart = 1024, kNoAutostart = 2048, kHasSnapshot = 4096,
                        kNoSnapshot = 8192, kHasCheckpoint = 16384, kNoCheckpoint = 32768;

Result<remote::DomainReply> reply_of(const Result<rpc::DomainRef>& found) {
    return found.map([](const rpc::DomainRef& ref) { return remote::DomainReply{ref}; });
}

bool asks_for_all(std::uint32_t flags) {
    return flags == 0 || flags == (kActive | kInactive);
}

}  // namespace

bool is_chosen(const DomainObject& domain, std::uint32_t flags) {
    const auto group = [flags](std::uint32_t yes, bool holds, std::uint32_t no) {
        const std::uint32_t asked = flags & (yes | no);
        return asked == 0 || (holds ? (asked & yes) != 0 : (asked & no) != 0);
    };
    const std::uint32_t state = domain.status.is(DomainState::running)  ? kRunning
                                : domain.status.is(DomainState::paused) ? kPaused
                                : domain.is_active()                    ? kOtherState
                                                                        : kShutOff;
    const std::uint32_t states = flags & (kRunning | kPaused | kShutOff | kOtherState);
    return group(kActive, domain.is_active(), kInactive) &&
           group(kPersistent, domain.is_persistent(), kTransient) &&
           (states == 0 || (states & state) != 0) && group(kHasSave, false, kNoSave) &&
           group(kAutostart, domain.autostart, kNoAutostart) &&
           group(kHasSnapshot, false, kNoSnapshot) && group(kHasCheckpoint, false, kNoCheckpoint);
}

void add_list_calls(rpc::Dispatcher& calls, const Services& services) {
    const DomainList& domains = services.domains;
    calls.answer<remote::ConnectListAllDomains>(
        [&domains](Session&,
                   const remote::NeedResultsCall& call) -> Result<remote::ListAllDomainsReply> {
            remote::ListAllDomainsReply reply;
            for (const auto& entry : domains.all()) {
                if (domains.is_blocked(entry.first)) continue;
                if (is_chosen(*entry.second, call.flags)) {
                    reply.domains.push_back(entry.second->ref());
                }
            }
            // Nobody knows what they are; they are there when all are asked for.
            if (asks_for_all(call.flags)) {
                const auto blocked = domains.blocked();
                reply.domains.insert(reply.domains.end(), blocked.begin(), blocked.end());
            }
            reply.count = static_cast<std::uint32_t>(reply.domains.size());
            if (!call.need_results) reply.domains.clear();
            return reply;
        });
    calls.answer<remote::ConnectListDomains>(
        [&domains](Session&, const remote::NumberCall& call) -> Result<remote::IdsReply> {
            remote::IdsReply reply;
            for (const auto& entry : domains.all()) {
                const bool room =
                    reply.ids.size() < static_cast<std::size_t>(std::max(0, call.value));
                if (entry.second->is_active() && room) reply.ids.push_back(entry.second->id());
            }
            return reply;
        });
    calls.answer<remote::ConnectNumOfDomains>(
        [&domains](Session&, const Nothing&) -> Result<remote::NumberReply> {
            remote::NumberReply reply;
            for (const auto& entry : domains.all())
                reply.value += entry.second->is_active() ? 1 : 0;
            return reply;
        });
    calls.answer<remote::ConnectListDefinedDomains>(
        [&domains](Session&, const remote::NamesCall& call) -> Result<remote::NamesReply> {
            remote::NamesReply reply;
            const auto limit = static_cast<std::size_t>(std::max(0, call.limit_of_names));
            for (const auto& entry : domains.all()) {
                const bool room = reply.names.size() < limit;
                if (!entry.second->is_active() && room) reply.names.push_back(entry.second->name);
            }
            return reply;
        });
    calls.answer<remote::ConnectNumOfDefinedDomains>(
        [&domains](Session&, const Nothing&) -> Result<remote::NumberReply> {
            remote::NumberReply reply;
            for (const auto& entry : domains.all())
                reply.value += entry.second->is_active() ? 0 : 1;
            return reply;
        });
    calls.answer<remote::DomainLookupByName>([&domains](Session&, const remote::NameCall& call) {
        return reply_of(domains.look_up(call.name));
    });
    calls.answer<remote::DomainLookupByUuid>([&domains](Session&, const remote::UuidCall& call) {
        return reply_of(domains.look_up(call.uuid));
    });
    calls.answer<remote::DomainLookupById>([&domains](Session&, const remote::NumberCall& call) {
        return reply_of(domains.find_id(call.value).map([](const DomainPointer& domain) {
            return domain->ref();
        }));
    });
}

}  // namespace segue
