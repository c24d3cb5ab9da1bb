// SPDX-License-Identifier: LGPL-2.1-or-later
// Watching and tuning a migration: readable at any time, on both sides, without waiting.
#include <bit>

#include "daemon/calls/calls.h"
#include "daemon/conduct/destination.h"
#include "daemon/conduct/source.h"
#include "daemon/guest.h"
#include "daemon/job_statistics.h"
#include "migrate/options.h"
#include "rpc/migration.schema.h"

namespace segue {

namespace migration = rpc::migration;
namespace remote = rpc::remote;
using rpc::Session;

namespace {

// virDomainGetJobStatsFlags.
constexpr std::uint32_t kCompleted = 1, kKeepCompleted = 2;
// virDomainAbortJobFlagsValues.
constexpr std::uint32_t kPostCopyOnly = 1;
constexpr std::uint64_t kSpeedEnd = 8796093022208;  // MiB/s: what fits QEMU's bytes per second

Result<migration::JobStatsReply> job_stats(const Services& services,
                                           const remote::DomainFlagsCall& call) {
    const DomainPointer domain = TRY(services.domains.find(call.domain));
    const bool completed = (call.flags & kCompleted) != 0;
    const JobView view = completed ? finished_job(*domain) : current_job(*domain);
    if (completed && domain->last_job && (call.flags & kKeepCompleted) == 0) {
        domain->last_job->statistics_taken = true;
    }
    return migration::JobStatsReply{view.type, job_parameters(view)};
}

void abort_job(const Services& services, const rpc::DomainRef& ref, std::uint32_t flags,
               Answer<> answer) {
    const auto domain = services.domains.find(ref);
    if (!domain) return answer(tl::unexpected(domain.error()));
    if ((flags & kPostCopyOnly) != 0) {
        return answer(fail(ErrorCode::operation_invalid,
                           "current job is not outgoing migration in post-copy mode"));
    }
    if ((*domain)->source) return (*domain)->source->cancel(std::move(answer));
    if ((*domain)->destination) return (*domain)->destination->cancel(std::move(answer));
    answer(fail(ErrorCode::operation_invalid, "no job is active on the domain"));
}

// Sets it for the next migration, and at once in QEMU, which says whether it can be so.
// `noted` is kept as the caller gave it, and `told` as QEMU counts.
struct Tuning {
    std::uint64_t MigrationTuning::*field;
    std::uint64_t noted;
    const char* parameter;
    std::uint64_t told;
};

void tune(const Services& services, const rpc::DomainRef& ref, const Tuning& tuning,
          Answer<> answer) {
    const auto domain = services.domains.find(ref);
    if (!domain) return answer(tl::unexpected(domain.error()));
    const auto guard = CallGuard::begin(*domain, migrate::CallKind::migration_op, "migrate-tune");
    if (!guard) return answer(tl::unexpected(guard.error()));
    const auto guest = (*domain)->running_guest();
    if (!guest) {
        (*domain)->tuning.*tuning.field = tuning.noted;
        return answer({});
    }
    (*guest)->run("migrate-set-parameters", Json::object({{tuning.parameter, tuning.told}}),
                  [answer, tuning, domain = *domain, guard = *guard](Result<> done) {
                      if (done) domain->tuning.*tuning.field = tuning.noted;
                      answer(std::move(done));
                  });
}

// Only the speed is a domain's that does not run.
template <class Call, class Reply>
bool is_refused(const Services& services, const Call& call, const Reply& reply) {
    const auto running = services.domains.find(call.domain).and_then([](const DomainPointer& it) {
        return it->running_guest();
    });
    if (!running) reply(tl::unexpected(running.error()));
    return !running;
}

void set_speed(const Services& services, const remote::DomainNumberFlagsCall& call,
               Answer<> answer) {
    if (call.value >= kSpeedEnd) {
        return answer(fail(ErrorCode::overflow, "bandwidth must be less than {}", kSpeedEnd));
    }
    const std::uint64_t bytes = call.value == 0 ? std::uint64_t{1} << 62 : call.value << 20;
    tune(services, call.domain, {&MigrationTuning::speed_mib, call.value, "max-bandwidth", bytes},
         std::move(answer));
}

void set_downtime(const Services& services, const remote::DomainNumberFlagsCall& call,
                  Answer<> answer) {
    if (call.value > migrate::kMaxDowntimeMs) {
        return answer(fail(ErrorCode::invalid_argument, "downtime must be at most {} ms",
                           migrate::kMaxDowntimeMs));
    }
    tune(services, call.domain,
         {&MigrationTuning::downtime_ms, call.value, "downtime-limit", call.value},
         std::move(answer));
}

void set_compression_cache(const Services& services, const remote::DomainNumberFlagsCall& call,
                           Answer<> answer) {
    if (!std::has_single_bit(call.value) || call.value < migrate::kSmallestXbzrleCache) {
        return answer(fail(ErrorCode::invalid_argument,
                           "compression cache of {} bytes: it must be a power of two and at least "
                           "{}",
                           call.value, migrate::kSmallestXbzrleCache));
    }
    tune(services, call.domain,
         {&MigrationTuning::compression_cache, call.value, "xbzrle-cache-size", call.value},
         std::move(answer));
}

Result<remote::LongReply> tuning_of(const Services& services, const rpc::DomainRef& ref,
                                    std::uint64_t MigrationTuning::*value) {
    return remote::LongReply{TRY(services.domains.find(ref))->tuning.*value};
}

Result<remote::LongReply> tuning_of_running(const Services& services, const rpc::DomainRef& ref,
                                            std::uint64_t MigrationTuning::*value) {
    const DomainPointer domain = TRY(services.domains.find(ref));
    TRY(domain->running_guest());
    return remote::LongReply{domain->tuning.*value};
}

}  // namespace

void add_job_calls(rpc::Dispatcher& calls, const Services& services) {
    calls.answer<migration::DomainGetJobStats>(
        [&services](Session&, const remote::DomainFlagsCall& call) {
            return job_stats(services, call);
        });
    calls.answer<migration::DomainGetJobInfo>(
        [&services](Session&, const remote::DomainCall& call) -> Result<migration::JobInfoReply> {
            return job_info(current_job(*TRY(services.domains.find(call.domain))));
        });
    calls.on<migration::DomainAbortJob>([&services](Session&, remote::DomainCall call,
                                                    rpc::Reply<migration::DomainAbortJob> reply) {
        abort_job(services, call.domain, 0, reply);
    });
    calls.on<migration::DomainAbortJobFlags>(
        [&services](Session&, remote::DomainFlagsCall call,
                    rpc::Reply<migration::DomainAbortJobFlags> reply) {
            abort_job(services, call.domain, call.flags, reply);
        });
    calls.on<migration::DomainMigrateSetMaxSpeed>(
        [&services](Session&, remote::DomainNumberFlagsCall call,
                    rpc::Reply<migration::DomainMigrateSetMaxSpeed> reply) {
            set_speed(services, call, reply);
        });
    calls.on<migration::DomainMigrateSetMaxDowntime>(
        [&services](Session&, remote::DomainNumberFlagsCall call,
                    rpc::Reply<migration::DomainMigrateSetMaxDowntime> reply) {
            if (!is_refused(services, call, reply)) set_downtime(services, call, reply);
        });
    calls.on<migration::DomainMigrateSetCompressionCache>(
        [&services](Session&, remote::DomainNumberFlagsCall call,
                    rpc::Reply<migration::DomainMigrateSetCompressionCache> reply) {
            if (is_refused(services, call, reply)) return;
            set_compression_cache(services, call, reply);
        });
    calls.answer<migration::DomainMigrateGetMaxSpeed>(
        [&services](Session&, const remote::DomainFlagsCall& call) {
            // What was never bounded is told as libvirt's largest speed.
            return tuning_of(services, call.domain, &MigrationTuning::speed_mib)
                .map([](remote::LongReply speed) {
                    return speed.value == 0 ? remote::LongReply{kSpeedEnd - 1} : speed;
                });
        });
    calls.answer<migration::DomainMigrateGetMaxDowntime>(
        [&services](Session&, const remote::DomainFlagsCall& call) {
            return tuning_of_running(services, call.domain, &MigrationTuning::downtime_ms);
        });
    calls.answer<migration::DomainMigrateGetCompressionCache>(
        [&services](Session&, const remote::DomainFlagsCall& call) {
            return tuning_of_running(services, call.domain, &MigrationTuning::compression_cache);
        });
}

}  // namespace segue
