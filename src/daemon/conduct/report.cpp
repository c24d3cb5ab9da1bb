// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/conduct/report.h"

#include "base/log.h"
#include "daemon/domain_events.h"
#include "daemon/domain_list.h"
#include "daemon/job_statistics.h"

namespace segue {

void take_spans(Timeline& timeline, const migrate::Timeline& steps, std::string_view where) {
    for (const migrate::Span& span : steps.spans()) {
        timeline.begin(span.step, where, span.began);
        timeline.end(span.step, where, span.began + span.lasted);
    }
}

FinishedJob finish_report(const Services& services, DomainObject& domain, Timeline& timeline,
                          const TransferStatistics& transfer, const std::optional<Error>& error,
                          JobSide side) {
    const Instant now = services.loop.now();
    timeline.close(now);
    FinishedJob job;
    job.operation =
        side == JobSide::source ? job_operation::kMigrationOut : job_operation::kMigrationIn;
    const std::string_view outcome = outcome_of(job.operation, error);
    timeline.outcome(error ? fmt::format("{}: {}", outcome, error->message) : std::string(outcome));
    const auto number = [&](const char* name, std::uint64_t value) {
        timeline.number(name, static_cast<std::int64_t>(value));
    };
    if (side == JobSide::source && transfer.total_ms != 0) {
        number("qemu_total_ms", transfer.total_ms);
        number("qemu_downtime_ms", transfer.downtime_ms);
        number("transferred_bytes", transfer.ram_transferred);
    }
    job.error = error;
    job.ended_ms = services.wall_ms();
    job.transfer = transfer;
    job.elapsed_ms = static_cast<std::uint64_t>(to_ms(now - timeline.start()));
    job.timeline = timeline;
    log_info("daemon", "{}", timeline_text(timeline));
    services.event_log.add(services.wall_ms(), "migration", domain.name,
                           fmt::format("{} {}", timeline.title(), timeline.outcome()));
    const char* name = side == JobSide::source ? "source" : "destination";
    ++services.metrics.counter("segue_migrations_total", "Migrations that are over",
                               {{"side", name}, {"outcome", std::string(outcome)}});
    if (side == JobSide::source && !error) {
        services.metrics
            .histogram("segue_migration_downtime_seconds", "QEMU's downtime of each migration")
            .observe(std::chrono::milliseconds(transfer.downtime_ms));
        services.metrics
            .histogram("segue_migration_seconds", "Begin or Perform to the end of the job")
            .observe(now - timeline.start());
    }
    for (const Timeline::Phase& phase : timeline.phases()) {
        services.metrics
            .histogram("segue_migration_phase_seconds",
                       "Each phase of the migrations that are over",
                       {{"phase", phase.name}, {"where", phase.where}})
            .observe(phase.end.value_or(timeline.length()) - phase.start);
    }
    services.domains.remember(domain.name, job);
    publish_job_completed(services, domain, job);
    return job;
}

}  // namespace segue
