// SPDX-License-Identifier: LGPL-2.1-or-later
#include "migrate/job.h"

#include <utility>

namespace segue::migrate {
namespace {

using C = CallKind;
using A = AsyncKind;

const CallKindInfo kCallKinds_[] = {
    {C::none, "none",
     "domstate, dominfo, dumpxml, list, domid, statistics, questions to the monitor"},
    {C::query, "query", "screenshot"},
    {C::destroy, "destroy", "destroy"},
    {C::suspend, "suspend", "suspend"},
    {C::modify, "modify",
     "start, resume, reboot, shutdown, reset, setmem, attach, undefine, commands to the monitor"},
    {C::abort, "abort", "domjobabort"},
    {C::migration_op, "migration operation", "setspeed, setmaxdowntime, compcache"},
    {C::modify_migration_safe, "modify migration safe", "handlers of QEMU's events"},
};
static_assert(std::size(kCallKinds_) == kCallKinds);

//                            none query destroy suspend modify abort mig_op safe
const AsyncKindInfo kAsyncKinds[] = {
    {A::none, "none", {true, true, true, true, true, true, true, true}},
    {A::migration_out, "migration out", {true, true, true, true, false, true, true, true}},
    // Statistics are read without a job; a monitor that is loading RAM is not to be disturbed.
    {A::migration_in, "migration in", {true, false, true, false, false, false, false, true}},
    {A::save, "save", {true, true, true, false, false, true, true, true}},
    {A::dump, "dump", {true, true, true, false, false, true, true, true}},
    {A::backup, "backup", {true, true, true, true, true, true, false, true}},
};

bool is_change(CallKind kind) {
    return kind == C::modify || kind == C::suspend;
}

}  // namespace

std::span<const CallKindInfo> call_kinds() {
    return kCallKinds_;
}
std::span<const AsyncKindInfo> async_kinds() {
    return kAsyncKinds;
}
std::string_view name_of(CallKind kind) {
    return kCallKinds_[static_cast<std::size_t>(kind)].name;
}
std::string_view name_of(AsyncKind kind) {
    return kAsyncKinds[static_cast<std::size_t>(kind)].name;
}

bool calls_agree(CallKind running, CallKind wanted) {
    return !(is_change(running) && is_change(wanted));
}

Result<> DomainJobs::begin_call(CallKind kind, std::string call) {
    const std::size_t wanted = static_cast<std::size_t>(kind);
    if (!kAsyncKinds[static_cast<std::size_t>(async_.kind)].beside[wanted]) {
        return tl::unexpected(refusal(kind));
    }
    for (std::size_t other = 0; other < kCallKinds; ++other) {
        if (running_[other] == 0 || calls_agree(static_cast<CallKind>(other), kind)) continue;
        return fail(ErrorCode::timeout,
                    "cannot acquire state change lock (held by {}): domain '{}' is being changed, "
                    "try again",
                    running_call_[other], domain_);
    }
    ++running_[wanted];
    running_call_[wanted] = std::move(call);
    return {};
}

void DomainJobs::end_call(CallKind kind) {
    int& count = running_[static_cast<std::size_t>(kind)];
    if (count > 0) --count;
}

Error DomainJobs::refusal(CallKind kind) const {
    return {ErrorCode::timeout,
            fmt::format("cannot acquire state change lock (held by {}): a '{}' call may not run "
                        "beside job '{}' of domain '{}' (phase {}); wait for its end, or cancel it "
                        "with domjobabort on the source",
                        async_.api, name_of(kind), name_of(async_.kind), domain_,
                        name_of(async_.phase))};
}

Result<> DomainJobs::start(AsyncKind kind, std::string api, Instant now) {
    if (async_.kind != A::none) {
        return fail(ErrorCode::operation_invalid,
                    "another migration job is already running for domain '{}' (job '{}', phase {})",
                    domain_, name_of(async_.kind), name_of(async_.phase));
    }
    for (C change : {C::modify, C::suspend}) {
        if (running_[static_cast<std::size_t>(change)] == 0) continue;
        return fail(ErrorCode::timeout, "cannot acquire state change lock (held by {})",
                    running_call_[static_cast<std::size_t>(change)]);
    }
    async_ = {kind, Phase::none, api, api, now};
    return {};
}

Result<> DomainJobs::set_phase(Phase phase) {
    if (phase < async_.phase) {
        return fail(ErrorCode::internal, "migration protocol going backwards {} => {}",
                    name_of(async_.phase), name_of(phase));
    }
    async_.phase = phase;
    return {};
}

Result<> DomainJobs::start_phase(Phase phase, std::string api) {
    if (!async_.owner.empty() && async_.owner != api) {
        return fail(ErrorCode::operation_invalid,
                    "job '{}' of domain '{}' is driven by {} now (phase {})", name_of(async_.kind),
                    domain_, async_.owner, name_of(async_.phase));
    }
    if (auto set = set_phase(phase); !set) return set;
    async_.owner = std::move(api);
    return {};
}

void DomainJobs::continue_job() {
    async_.owner.clear();
}

Result<> DomainJobs::is_active(AsyncKind kind) const {
    if (async_.kind == kind && kind != A::none) return {};
    if (kind == A::migration_in) {
        return fail(ErrorCode::operation_invalid,
                    "domain '{}' is not processing incoming migration", domain_);
    }
    return fail(ErrorCode::operation_invalid, "domain '{}' is not being migrated", domain_);
}

void DomainJobs::finish() {
    async_ = {};
}

bool DomainJobs::idle() const {
    for (int count : running_) {
        if (count != 0) return false;
    }
    return async_.kind == A::none;
}

}  // namespace segue::migrate
