// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/job_statistics.h"

#include "daemon/conduct/destination.h"
#include "daemon/conduct/source.h"

namespace segue {

JobView current_job(const DomainObject& domain) {
    JobView view;
    if (domain.source) {
        view.type = job_type::kUnbounded;
        view.operation = job_operation::kMigrationOut;
        view.elapsed_ms = domain.source->elapsed_ms();
        view.transfer = domain.source->transfer().statistics();
    } else if (domain.destination) {
        view.type = job_type::kUnbounded;
        view.operation = job_operation::kMigrationIn;
        view.elapsed_ms = domain.destination->elapsed_ms();
        view.transfer = domain.destination->statistics();
    }
    return view;
}

JobView finished_job(const DomainObject& domain) {
    const bool kept = domain.last_job && !domain.last_job->statistics_taken;
    return kept ? view_of(*domain.last_job) : JobView();
}

namespace {

// A destination is told by Finish that its guest is not wanted any more; a client of it that is
// gone has cancelled nothing.
bool is_cancel(std::int32_t operation, const std::optional<Error>& error) {
    const bool incoming = operation == job_operation::kMigrationIn;
    return error && error->code == (incoming ? ErrorCode::migrate_finish_ok : ErrorCode::cancelled);
}

}  // namespace

JobView view_of(const FinishedJob& job) {
    JobView view;
    view.type = is_cancel(job.operation, job.error) ? job_type::kCancelled
                : job.error                         ? job_type::kFailed
                                                    : job_type::kCompleted;
    view.operation = job.operation;
    view.elapsed_ms = job.elapsed_ms;
    view.transfer = job.transfer;
    view.success = !job.error;
    if (job.error) view.error = job.error->message;
    return view;
}

std::string_view outcome_of(std::int32_t operation, const std::optional<Error>& error) {
    return is_cancel(operation, error) ? "cancelled" : error ? "failed" : "completed";
}

JobParameters job_parameters(const JobView& job) {
    JobParameters out;
    if (job.type == job_type::kNone) return out;
    const TransferStatistics& transfer = job.transfer;
    const auto number = [&out](const char* name, std::uint64_t value) {
        out.push_back({name, value});
    };
    const auto if_said = [&](const char* name, std::uint64_t value) {
        if (value != 0) number(name, value);
    };
    out.push_back({"operation", job.operation});
    // Without the time that control took from host to host.
    const auto net = [&](const char* name, std::uint64_t value) {
        const std::int64_t left =
            static_cast<std::int64_t>(value) - transfer.control_ms.value_or(0);
        if (transfer.control_ms && left > 0) number(name, static_cast<std::uint64_t>(left));
    };
    number("time_elapsed", job.elapsed_ms);
    net("time_elapsed_net", job.elapsed_ms);
    if_said("downtime", transfer.downtime_ms);
    if (transfer.downtime_ms != 0) net("downtime_net", transfer.downtime_ms);
    if_said("setup_time", transfer.setup_ms);
    number("data_total", transfer.ram_total);
    number("data_processed", transfer.ram_transferred);
    number("data_remaining", transfer.ram_remaining);
    number("memory_total", transfer.ram_total);
    number("memory_processed", transfer.ram_transferred);
    number("memory_remaining", transfer.ram_remaining);
    if_said("memory_bps", transfer.ram_bytes_per_second);
    number("memory_constant", transfer.ram_constant_pages);
    number("memory_normal", transfer.ram_normal_pages);
    number("memory_normal_bytes", transfer.ram_normal_bytes);
    if_said("memory_dirty_rate", transfer.ram_dirty_pages_per_second);
    number("memory_iteration", transfer.ram_iteration);
    number("memory_postcopy_requests", transfer.ram_postcopy_requests);
    if_said("memory_page_size", transfer.ram_page_size);
    number("disk_total", 0);
    number("disk_processed", 0);
    number("disk_remaining", 0);
    if (transfer.compression_cache != 0) {
        number("compression_cache", transfer.compression_cache);
        number("compression_bytes", transfer.compression_bytes);
        number("compression_pages", transfer.compression_pages);
        number("compression_cache_misses", transfer.compression_cache_misses);
        number("compression_overflow", transfer.compression_overflow);
    }
    if (transfer.throttle_percent != 0) {
        out.push_back(
            {"auto_converge_throttle", static_cast<std::int32_t>(transfer.throttle_percent)});
    }
    if (job.success) out.push_back({"success", *job.success});
    if (!job.error.empty()) out.push_back({"errmsg", job.error});
    return out;
}

rpc::migration::JobInfoReply job_info(const JobView& job) {
    rpc::migration::JobInfoReply out;
    out.type = job.type;
    out.elapsed_ms = job.elapsed_ms;
    out.data_total = out.memory_total = job.transfer.ram_total;
    out.data_processed = out.memory_processed = job.transfer.ram_transferred;
    out.data_remaining = out.memory_remaining = job.transfer.ram_remaining;
    return out;
}

}  // namespace segue
