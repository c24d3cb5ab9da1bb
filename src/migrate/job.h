// SPDX-License-Identifier: LGPL-2.1-or-later
// The jobs of one domain: at most one asynchronous job (a migration) that lives across calls, and
// beside it short calls of the kinds its row allows. Nothing waits: what may not start is refused
// at once, with the reason.
#pragma once

#include <array>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "migrate/phase.h"

namespace segue::migrate {

// Kinds of short calls; names and meaning as libvirt's virDomainJob.
enum class CallKind : std::uint8_t {
    none,  // needs no job: state, info, XML, lists
    query,
    destroy,
    suspend,
    modify,
    abort,
    migration_op,
    modify_migration_safe,
};
enum class AsyncKind : std::uint8_t { none, migration_out, migration_in, save, dump, backup };

inline constexpr std::size_t kCallKinds = 8;

struct CallKindInfo {
    CallKind kind;
    std::string_view name;
    std::string_view examples;
};
struct AsyncKindInfo {
    AsyncKind kind;
    std::string_view name;
    // May a call of this kind run beside it? Indexed by CallKind (libvirt.md 3.3).
    std::array<bool, kCallKinds> beside;
};

std::span<const CallKindInfo> call_kinds();
std::span<const AsyncKindInfo> async_kinds();
std::string_view name_of(CallKind kind);
std::string_view name_of(AsyncKind kind);

// May two short calls of these kinds be under way at once?
bool calls_agree(CallKind running, CallKind wanted);

// What domjobinfo and the messages show of the asynchronous job.
struct AsyncJob {
    AsyncKind kind = AsyncKind::none;
    Phase phase = Phase::none;
    std::string owner;  // the API call that drives it now; empty between calls
    std::string api;    // the API call that started it
    Instant started;
};

class DomainJobs {
  public:
    explicit DomainJobs(std::string domain_name) : domain_(std::move(domain_name)) {}

    // Short calls. `call` names the API for the reason that others get. Error 68, as libvirt's
    // "cannot acquire state change lock", at once.
    Result<> begin_call(CallKind kind, std::string call);
    void end_call(CallKind kind);

    // The migration helpers of libvirt, with the same meaning.
    // start: error 55 when another asynchronous job exists.
    Result<> start(AsyncKind kind, std::string api, Instant now);
    // set_phase: never backwards (error 1); the owner stays.
    Result<> set_phase(Phase phase);
    // start_phase: set_phase, and this API call owns the job now. A job that another call owns is
    // refused with error 55.
    Result<> start_phase(Phase phase, std::string api);
    // continue_job: the call ends, the job stays, and nobody owns it until the next start_phase.
    void continue_job();
    // is_active: error 55 "domain 'x' is not being migrated" or "… is not processing incoming
    // migration" when there is no such job.
    Result<> is_active(AsyncKind kind) const;
    void finish();

    const AsyncJob& async() const { return async_; }
    bool idle() const;

  private:
    Error refusal(CallKind kind) const;

    std::string domain_;
    AsyncJob async_;
    std::array<int, kCallKinds> running_{};
    std::array<std::string, kCallKinds> running_call_{};
};

}  // namespace segue::migrate
