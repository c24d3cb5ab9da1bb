// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/conduct/transfer_out.h"

#include "base/log.h"

namespace segue {
namespace {

// How often statistics are read while a transfer runs: virsh asks every 500 ms.
constexpr Duration kPoll = 100ms;

// QEMU 7.2 says `completed` before it has counted its times (migration_completion() comes before
// migration_calculate_complete()). Each question is a turn of its monitor; the gap is a few
// instructions of its migration thread.
constexpr int kLastQuestions = 20;

constexpr const char* kTlsObject = "segue-migration-tls";

struct Capability {
    const char* name;
    bool wanted;
};

bool uses_xbzrle(const migrate::MigrateOptions& options) {
    return options.compress_xbzrle || (options.has(migrate::kCompressed) && !options.compress_mt);
}

// Always set: nothing of an earlier migration stays. QEMU reads an empty name as "no TLS", and an
// empty host name as that of the URI.
void set_tls(Json& parameters, const migrate::MigrateOptions& options) {
    const bool wanted = options.has(migrate::kTls);
    parameters.set("tls-creds", wanted ? kTlsObject : "");
    parameters.set("tls-hostname", wanted ? options.tls_destination : "");
}

}  // namespace

std::vector<Step> tls_steps(Guest& guest, const migrate::MigrateOptions& options,
                            const std::string& tls_directory, bool incoming) {
    if (!options.has(migrate::kTls)) return {};
    // One of an earlier migration holds the certificates of then.
    const Step drop = [&guest](Answer<> done) {
        guest.run("object-del", Json::object({{"id", kTlsObject}}),
                  [done = std::move(done)](const Result<>&) { done({}); });
    };
    const Step add = [&guest, tls_directory, incoming](Answer<> done) {
        guest.run("object-add",
                  Json::object({{"qom-type", "tls-creds-x509"},
                                {"id", kTlsObject},
                                {"dir", tls_directory},
                                {"endpoint", incoming ? "server" : "client"},
                                {"verify-peer", true}}),
                  std::move(done));
    };
    return {drop, add};
}

Json migration_capabilities(const migrate::MigrateOptions& options, MigrationEnd end) {
    const bool incoming = end == MigrationEnd::destination;
    // With the return path QEMU says "completed" only when the other end has loaded everything;
    // with late-block-activate the target leaves the disks alone until it runs.
    const Capability capabilities[] = {
        {"events", true},
        {"return-path", !options.has(migrate::kTunnelled)},
        {"late-block-activate", incoming},
        {"xbzrle", uses_xbzrle(options)},
        {"compress", options.compress_mt},
        {"auto-converge", options.has(migrate::kAutoConverge) && !incoming},
        {"multifd", options.has(migrate::kParallel)},
        {"pause-before-switchover", end == MigrationEnd::source_that_pauses},
    };
    Json list = Json::array();
    for (const Capability& one : capabilities)
        list.push(Json::object({{"capability", one.name}, {"state", one.wanted}}));
    return Json::object({{"capabilities", std::move(list)}});
}

Json outgoing_parameters(const migrate::MigrateOptions& options, const MigrationTuning& tuning) {
    // QEMU's "no limit" is the largest number it takes: a size_t of bytes.
    constexpr std::uint64_t kUnlimited = std::uint64_t{1} << 62;
    const std::uint64_t wanted = options.bandwidth_mib.value_or(0);
    const std::uint64_t speed = wanted != 0 ? wanted : tuning.speed_mib;
    Json parameters =
        Json::object({{"max-bandwidth", speed == 0 ? kUnlimited : speed << 20},
                      {"downtime-limit", options.max_downtime_ms.value_or(tuning.downtime_ms)}});
    set_tls(parameters, options);
    const auto set = [&](const char* name, const auto& value) {
        if (value) parameters.set(name, *value);
    };
    if (uses_xbzrle(options)) {
        parameters.set("xbzrle-cache-size",
                       options.xbzrle_cache.value_or(tuning.compression_cache));
    }
    set("compress-level", options.mt_level);
    set("compress-threads", options.mt_threads);
    set("cpu-throttle-initial", options.throttle_initial);
    set("cpu-throttle-increment", options.throttle_increment);
    set("multifd-channels", options.parallel_connections);
    return parameters;
}

Json incoming_parameters(const migrate::MigrateOptions& options) {
    Json parameters = Json::object();
    set_tls(parameters, options);
    if (options.mt_decompress_threads) {
        parameters.set("decompress-threads", *options.mt_decompress_threads);
    }
    if (options.parallel_connections) {
        parameters.set("multifd-channels", *options.parallel_connections);
    }
    return parameters;
}

TransferOut::TransferOut(Loop& loop) : loop_(loop) {}

void TransferOut::start(Guest& guest, const TransferPlan& plan, Handlers handlers) {
    handlers_ = std::move(handlers);
    statistics_ = {};
    running_ = true;
    cancelled_ = false;
    // QEMU before 9.0 wakes a guest that sleeps to move it, and asks its main loop for that while
    // it holds the lock: mostly the devices' state is written first, and the guest never wakes at
    // the target. In a pause the main loop runs, and wakes it.
    pauses_ = plan.asleep;
    configure(guest, plan);
}

// One after the other: QEMU takes commands in order, and each may refuse. After a cancel none of
// them may follow: the transfer would begin behind its own end.
void TransferOut::configure(Guest& guest, const TransferPlan& plan) {
    const std::weak_ptr<bool> alive = alive_;
    const auto step = [this, alive, &guest](const char* command, Json arguments) -> Step {
        return [this, alive, &guest, command, arguments = std::move(arguments)](Answer<> done) {
            if (alive.expired()) return;
            if (cancelled_) return done(fail(ErrorCode::cancelled, "cancelled before it began"));
            guest.run(command, arguments, std::move(done));
        };
    };
    std::vector<Step> steps = tls_steps(guest, plan.options, plan.tls_directory, false);
    const MigrationEnd end = pauses_ ? MigrationEnd::source_that_pauses : MigrationEnd::source;
    steps.push_back(step("migrate-set-capabilities", migration_capabilities(plan.options, end)));
    steps.push_back(step("migrate-set-parameters", outgoing_parameters(plan.options, plan.tuning)));
    // Without --live the guest stands still first: what it dirties cannot keep the transfer up.
    // What ends the migration lets it run again, here or there.
    if (!plan.options.has(migrate::kLive)) steps.push_back(step("stop", Json::object()));
    steps.push_back(step("migrate", Json::object({{"uri", plan.uri}})));
    run_steps(std::move(steps), [this, alive, &guest](Result<> started) {
        if (alive.expired() || !running_) return;
        if (!started) {
            statistics_.error = started.error().message;
            return finish(TransferState::failed);
        }
        // QEMU may be gone before anybody ends the migration.
        poll_ = loop_.make_timer([this, &guest, life = guest.life()] {
            if (!life.expired()) refresh(guest);
        });
        poll_->start(kPoll);
    });
}

// Acts on what it reads: an event that comes while the monitor is lost is heard by nobody. Only a
// cancel ends where its event or cancel() says so; "cancelling" reads the same.
void TransferOut::refresh(Guest& guest) {
    const std::weak_ptr<bool> alive = alive_;
    guest.query_transfer(
        [this, alive, &guest, life = guest.life()](Result<TransferStatistics> now) {
            if (alive.expired()) return;
            if (running_ && poll_) poll_->start(kPoll);
            if (!now) return;
            statistics_ = std::move(*now);
            const bool cancel = statistics_.state == TransferState::cancelled;
            if (!cancel && !life.expired()) take_state(guest, statistics_.state);
        });
}

void TransferOut::cancel(Guest& guest, Handlers handlers) {
    handlers_ = std::move(handlers);
    running_ = true;
    cancelled_ = true;
    const std::weak_ptr<bool> alive = alive_;
    guest.execute("migrate_cancel", [this, alive, &guest](Result<> asked) {
        if (alive.expired() || !running_) return;
        if (!asked) return finish(TransferState::cancelled);
        // Without a transfer (it never began, or was over already) no event will come.
        guest.query_transfer([this, alive](Result<TransferStatistics> now) {
            if (alive.expired() || !running_) return;
            if (now) statistics_ = std::move(*now);
            const TransferState state = now ? statistics_.state : TransferState::cancelled;
            const bool ends = state != TransferState::active && state != TransferState::setup &&
                              state != TransferState::paused;
            if (ends) finish(state == TransferState::none ? TransferState::cancelled : state);
        });
    });
}

void TransferOut::status_changed(Guest& guest, std::string_view status) {
    if (status != "cancelling") take_state(guest, transfer_state_named(status));
}

void TransferOut::take_state(Guest& guest, TransferState state) {
    if (!running_) return;
    switch (state) {
        case TransferState::none:
        case TransferState::setup:
        case TransferState::active: return;
        case TransferState::paused:
            // Where it says no the transfer is cancelled, or goes on already.
            return guest.run("migrate-continue", Json::object({{"state", "pre-switchover"}}),
                             [](const Result<>&) {});
        case TransferState::completed:
        case TransferState::failed:
        case TransferState::cancelled: return ask_last(guest, state, kLastQuestions);
    }
}

// Too late for a pause: it is woken now. Where it has woken by itself meanwhile, QEMU says no.
void TransferOut::guest_slept(Guest& guest) {
    if (!running_ || cancelled_ || pauses_) return;
    guest.execute("system_wakeup", [](const Result<>&) {});
}

void TransferOut::ask_last(Guest& guest, TransferState state, int left) {
    const std::weak_ptr<bool> alive = alive_;
    guest.query_transfer(
        [this, alive, state, left, &guest, life = guest.life()](Result<TransferStatistics> now) {
            if (alive.expired() || !running_) return;
            if (now) statistics_ = std::move(*now);
            const bool counted = state != TransferState::completed || statistics_.total_ms != 0;
            if (now && !counted && left > 1 && !life.expired()) {
                return ask_last(guest, state, left - 1);
            }
            finish(state);
        });
}

void TransferOut::finish(TransferState state) {
    running_ = false;
    poll_.reset();
    statistics_.state = state;
    const Handlers handlers = std::exchange(handlers_, Handlers{});
    if (state == TransferState::completed && handlers.completed) return handlers.completed();
    if (state == TransferState::cancelled && handlers.cancelled) return handlers.cancelled();
    if (handlers.failed) {
        const std::string& why = statistics_.error;
        handlers.failed(
            {ErrorCode::operation_failed, fmt::format("job 'migration out' failed: {}",
                                                      why.empty() ? "QEMU gave no reason" : why)});
    }
}

}  // namespace segue
