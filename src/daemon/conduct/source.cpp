// SPDX-License-Identifier: LGPL-2.1-or-later
// The source's actions on its own host: store, QEMU, definition, job. The peer link stands in
// source_peer.cpp, the transfer in source_transfer.cpp.
#include "daemon/conduct/source.h"

#include "base/log.h"
#include "daemon/conduct/cookies.h"
#include "daemon/conduct/records.h"
#include "daemon/conduct/report.h"
#include "daemon/domain_events.h"
#include "daemon/domain_list.h"
#include "daemon/fault.h"
#include "daemon/guest.h"
#include "daemon/life.h"
#include "daemon/protection/primary.h"
#include "daemon/tunnel.h"
#include "domain/alias.h"

namespace segue {

using migrate::SourceAction;
using migrate::SourceCall;
using migrate::SourceEvent;
using migrate::SourceInput;
using migrate::SourceVerb;

namespace {

// The disk that users know by this name, of a node that QEMU names; empty: none of the definition.
std::string disk_of(const Domain& model, std::string_view node) {
    for (std::size_t at = 0; at < model.disks.size(); ++at) {
        if (node == format_node(model, at) || node == storage_node(model, at)) {
            return model.disks[at].target;
        }
    }
    return "";
}

}  // namespace

SourceConduct::SourceConduct(const Services& services, const DomainPointer& domain,
                             migrate::SourceMachine machine, migrate::MigrateOptions options)
    : services_(services),
      domain_(domain),
      options_(std::move(options)),
      runner_(services.loop, std::move(machine),
              [this](const SourceAction& action) { carry_out(action); }),
      timer_(services.loop.make_timer([this] { feed(SourceEvent::timer_expired); })),
      timeline_("migration of " + domain->name, services.loop.now(), services.wall_ms()),
      transfer_(services.loop),
      screen_(services.loop, services.resolver, timeline_) {}

SourceConduct::~SourceConduct() = default;

// Keeps this object while an action runs: the last one ends the job, and with it the owner's
// pointer.
void SourceConduct::feed(SourceInput input, std::function<void(const Error&)> refused) {
    const auto self = shared_from_this();
    runner_.feed(std::move(input), std::move(refused));
    // The QEMU that stays for its viewers does so on its own: the domain is free for what comes
    // next, also for a migration back.
    if (machine().state() == migrate::SourceState::lingering) {
        if (const auto domain = domain_.lock()) {
            part_from_guest(services_, *domain, !screen_done_);
        }
        runner_.feed({.event = SourceEvent::screen_done});
    }
}

void SourceConduct::begin(Answer<> answer) {
    feed({.event = SourceEvent::begin_called}, wait_in(begin_answer_, answer));
}

void SourceConduct::perform(PerformRequest request, Answer<Bytes> answer) {
    SourceInput input{.event = SourceEvent::perform_called};
    if (request.cookie) input.offer = request.cookie->offer;
    if (request.cookie && !input.offer) {
        // A stock destination: its name is all we can tell people.
        input.offer =
            migrate::DestinationOffer{machine().record().id, {}, request.cookie->hostname};
    }
    if (input.offer && input.offer->peer.present() && options_.has(migrate::kTls)) {
        // Whatever the offer says: a migration with TLS has nothing beside it in the clear.
        const std::string& named = options_.tls_destination;
        input.offer->peer.tls_name = named.empty() ? input.offer->peer.address : named;
    }
    const auto refused = wait_in(perform_answer_, answer);
    feed(std::move(input),
         [this, refused, before = std::exchange(perform_, std::move(request))](const Error& error) {
             perform_ = before;
             refused(error);
         });
}

// Whoever hears that Perform failed takes this side's job to be over.
void SourceConduct::reject_perform(const Error& error, Answer<Bytes> answer) {
    feed({.event = SourceEvent::perform_rejected, .cause = error},
         wait_in(perform_answer_, answer));
}

void SourceConduct::confirm(bool cancelled, const Bytes& finish_cookie, std::optional<Error> cause,
                            Answer<> answer) {
    take_statistics(finish_cookie);
    feed({.event = cancelled ? SourceEvent::confirm_cancelled : SourceEvent::confirm_succeeded,
          .cause = std::move(cause)},
         wait_in(confirm_answer_, answer));
}

// Only figures come with it, and what runs where is decided: one that cannot be read ends nothing.
void SourceConduct::take_statistics(const Bytes& finish_cookie) {
    const auto domain = domain_.lock();
    if (finish_cookie.empty() || !domain) return;
    const auto cookie =
        migrate::parse_cookie(finish_cookie, {migrate::CookieStep::finish_to_confirm, domain->name,
                                              domain->uuid, services_.identity.uuid});
    if (!cookie) {
        return log_warning("daemon", "domain '{}': Finish's cookie: {}", domain->name,
                           cookie.error().message);
    }
    if (cookie->statistics) control_ms_ = control_time(cookie->statistics->delta);
}

void SourceConduct::cancel(Answer<> answer) {
    bool refused = false;
    feed({.event = SourceEvent::cancel_asked}, [&](const Error& error) {
        refused = true;
        answer(tl::unexpected(error));
    });
    if (!refused) answer({});
}

void SourceConduct::give_up(const Error& cause) {
    feed({.event = SourceEvent::cancel_asked, .cause = cause}, [cause](const Error& late) {
        log_warning("daemon", "{}: it no longer stops the migration: {}", cause.message,
                    late.message);
    });
}

void SourceConduct::resolve(bool runs_here, Answer<> answer) {
    feed({.event = runs_here ? SourceEvent::resolve_here : SourceEvent::resolve_there},
         wait_in(resolve_answer_, answer));
}

void SourceConduct::client_closed() {
    begin_answer_ = {};
    perform_answer_ = {};
    confirm_answer_ = {};
    feed(SourceEvent::client_closed);
}

void SourceConduct::qemu_event(const QmpEvent& event) {
    if (event.name == "MIGRATION") {
        if (const auto domain = domain_.lock(); domain && domain->incarnation) {
            transfer_.status_changed(*domain->incarnation->guest, event.data.text("status"));
        }
    } else if (event.name == "SPICE_MIGRATE_COMPLETED") {
        timeline_.mark("screen-moved", "source", services_.loop.now());
        screen_done_ = true;
        screen_.switched();
        feed(SourceEvent::screen_done);
    } else if (event.name == "BLOCK_IO_ERROR") {
        disk_failed(event);
    } else if (event.name == "SUSPEND") {
        if (const auto domain = domain_.lock(); domain && domain->incarnation) {
            transfer_.guest_slept(*domain->incarnation->guest);
        }
    } else if (event.name == "STOP") {
        screen_.guest_stopped();
    } else if (event.name == "RESUME") {
        hold_guest();
        screen_.guest_resumed();
    } else if (event.name == "SPICE_DISCONNECTED") {
        screen_.viewer_left();
    }
}

// Only an error that stops the guest: what is told to the guest, or ignored, is its own business.
// However the migration ends, the guest stays paused: whoever mends the disk lets it go on.
void SourceConduct::disk_failed(const QmpEvent& event) {
    if (event.data.text("action") != "stop") return;
    feed({.event = SourceEvent::guest_suspended}, [](const Error&) {});
    if (!options_.has(migrate::kAbortOnError)) return;
    const auto domain = domain_.lock();
    const std::string disk = domain ? disk_of(domain->model(), event.data.text("node-name")) : "";
    give_up({ErrorCode::operation_failed,
             fmt::format("job 'migration out' failed due to I/O error: disk '{}': {}", disk,
                         event.data.text("reason"))});
}

// The tables let no call of ours resume it; QEMU may have other monitors.
void SourceConduct::hold_guest() {
    const migrate::Record& record = machine().record();
    const bool ours =
        record.right != migrate::Right::given && record.right != migrate::Right::taken;
    const auto domain = domain_.lock();
    const auto guest = domain ? domain->running_guest() : fail(ErrorCode::internal, "gone");
    if (ours || !guest) return;
    (*guest)->execute("stop", [](Result<>) {});
    const std::string said = fmt::format(
        "domain '{}': something resumed its QEMU here while its right to run is with {}: it was "
        "stopped at once; end whatever else uses its monitor",
        domain->name, record.peer_host.empty() ? "the destination" : record.peer_host);
    log_error("daemon", "{}", said);
    services_.event_log.add(services_.wall_ms(), "migration", domain->name, said);
    set_status(services_, *domain, PausedReason::migration);
}

void SourceConduct::carry_out(const SourceAction& action) {
    switch (action.verb) {
        case SourceVerb::none: return;
        case SourceVerb::enter_phase: return enter_phase(action.phase);
        case SourceVerb::reply_ok:
        case SourceVerb::reply_error:
        case SourceVerb::reply_outcome: return reply(action);
        case SourceVerb::write_record: return write_record(action.record);
        case SourceVerb::note_record: return note_record(action.record);
        case SourceVerb::forget_record: return forget_record(action.record);
        case SourceVerb::dial_peer: return dial_peer(action.record);
        case SourceVerb::ask_peer:
        case SourceVerb::give_right:
        case SourceVerb::cancel_peer:
        case SourceVerb::release_peer: return tell_peer(action.verb, action.record);
        case SourceVerb::close_peer: return close_peer();
        case SourceVerb::move_screen: return leave_protection();
        case SourceVerb::drop_screen: return screen_.drop();
        case SourceVerb::start_transfer: return start_transfer();
        case SourceVerb::cancel_transfer: return cancel_transfer();
        case SourceVerb::resume_guest: return resume_guest(action.run);
        case SourceVerb::kill_guest: return kill_guest();
        case SourceVerb::settle_definition: return settle_definition();
        case SourceVerb::report_unresolved: return report_unresolved(*action.error);
        case SourceVerb::start_timer: return timer_->start(action.delay);
        case SourceVerb::stop_timer: return timer_->cancel();
        case SourceVerb::end_job: return end_job(action.error);
    }
}

void SourceConduct::enter_phase(migrate::Phase phase) {
    const auto domain = domain_.lock();
    if (!domain || phase == migrate::Phase::none) return;
    log_info("daemon", "domain '{}': migration out, phase {}", domain->name,
             migrate::name_of(phase));
    if (const auto set = domain->jobs.set_phase(phase); !set) {
        log_warning("daemon", "domain '{}': {}", domain->name, set.error().message);
    }
}

void SourceConduct::reply(const SourceAction& action) {
    const std::string_view call = name_of(action.call);
    fault_point({"source", "reply", call, "before"});
    answer_call(action);
    // Posted: the bytes leave behind the callback in which the answer was given.
    services_.loop.post([call] { fault_point({"source", "reply", call, "after"}); });
}

void SourceConduct::answer_call(const SourceAction& action) {
    const auto answer_plain = [&](Answer<>& to) {
        const Answer<> answer = std::exchange(to, {});
        if (!answer) return;
        answer(action.error ? Result<>(tl::unexpected(*action.error)) : Result<>());
    };
    switch (action.call) {
        case SourceCall::none: return;
        case SourceCall::begin: return answer_plain(begin_answer_);
        case SourceCall::confirm: return answer_plain(confirm_answer_);
        case SourceCall::resolve: return answer_plain(resolve_answer_);
        case SourceCall::perform: break;
    }
    const Answer<Bytes> answer = std::exchange(perform_answer_, {});
    if (!answer) return;
    if (action.error) return answer(tl::unexpected(*action.error));
    answer(perform_cookie(action.record));
}

void SourceConduct::write_record(const migrate::Record& record) {
    const auto stored = services_.migration_records.keep(record);
    if (stored) return feed(SourceEvent::record_stored);
    feed({.event = SourceEvent::record_failed, .cause = stored.error()});
}

void SourceConduct::note_record(const migrate::Record& record) {
    if (const auto stored = services_.migration_records.keep(record); !stored) {
        log_warning("daemon", "domain '{}': {}", record.domain_name, stored.error().message);
    }
}

void SourceConduct::forget_record(const migrate::Record& record) {
    services_.migration_records.forget(record);
}

// First of all: QEMU has one migration at a time, and takes the end of a protection for that of
// this one.
void SourceConduct::leave_protection() {
    const auto domain = domain_.lock();
    if (!domain || !domain->primary) return move_screen();
    domain->primary->leave([self = weak_from_this()](Result<> left) {
        const auto conduct = self.lock();
        if (!conduct || conduct->machine().state() != migrate::SourceState::screen) return;
        left ? conduct->move_screen() : conduct->give_up(left.error());
    });
}

void SourceConduct::move_screen() {
    const auto domain = domain_.lock();
    const auto guest = domain ? domain->running_guest() : fail(ErrorCode::internal, "gone");
    const bool wanted = guest && perform_.cookie && has_spice(domain->model());
    const ScreenTarget target = wanted ? screen_target(options_, *perform_.cookie) : ScreenTarget{};
    if (!guest) return feed({.event = SourceEvent::screen_ready, .screen_moving = false});
    // A migration that nobody reports links for must not wait in vain for each of them.
    ScreenMove::Handlers handlers;
    handlers.ready = [this](const ScreenOutcome& outcome) {
        timeline_.number("viewer_channels", std::int64_t(outcome.viewers));
        timeline_.number("viewer_channels_linked", std::int64_t(outcome.linked));
        feed({.event = SourceEvent::screen_ready, .screen_moving = outcome.moving});
    };
    handlers.state = [this](bool last, ByteView state) {
        if (line_ && line_ready_) line_->send_screen(last, state);
    };
    const Duration wait = options_.screen_wait_ms
                              ? std::chrono::milliseconds(*options_.screen_wait_ms)
                              : services_.settings.screen_wait;
    screen_.start(**guest, target, wait, SpiceLine::path_in(domain->incarnation->directory),
                  std::move(handlers));
}

void SourceConduct::resume_guest(bool run) {
    const auto domain = domain_.lock();
    const auto guest = domain ? domain->running_guest() : fail(ErrorCode::internal, "gone");
    if (!guest) return feed({.event = SourceEvent::resume_failed, .cause = guest.error()});
    // Its standby may run it: it stands still here, and why is said already.
    const auto& primary = domain->primary;
    if (primary && primary->state() == PrimaryProtection::State::isolated) {
        return feed(SourceEvent::guest_resumed);
    }
    if (!run) {
        // It was paused before, or a user suspended it meanwhile, or a disk failed.
        const bool user = domain->status != DomainStatus(PausedReason::io_error);
        if (user && !domain->status.is(DomainState::pm_suspended)) {
            set_status(services_, *domain, PausedReason::user);
        }
        return feed(SourceEvent::guest_resumed);
    }
    // QEMU itself lets a guest run on after a transfer that failed; `cont` is then no change.
    const std::weak_ptr<SourceConduct> self = weak_from_this();
    continue_guest(**guest, [self, domain](Result<> done) {
        const auto conduct = self.lock();
        if (!conduct) return;
        if (!done) {
            return conduct->feed({.event = SourceEvent::resume_failed, .cause = done.error()});
        }
        // To one that sleeps QEMU's `cont` is nothing: a WAKEUP says when it runs.
        if (!domain->status.goes_on()) {
            set_status(conduct->services_, *domain, RunningReason::migration_cancelled);
            publish(conduct->services_, *domain, lifecycle::kResumedByMigration);
        }
        conduct->feed(SourceEvent::guest_resumed);
    });
}

void SourceConduct::kill_guest() {
    // The guest is the other host's: its QEMU here ends by itself in the background, and nobody
    // waits for it, neither Confirm nor a migration back.
    if (const auto domain = domain_.lock()) part_from_guest(services_, *domain, false);
    feed(SourceEvent::qemu_exited);
}

void SourceConduct::settle_definition() {
    const auto domain = domain_.lock();
    if (!domain) return;
    if (!domain->is_active()) set_status(services_, *domain, ShutOffReason::migrated);
    if (options_.has(migrate::kUndefineSource) && domain->persistent) {
        domain->persistent.reset();
        publish(services_, *domain, lifecycle::kUndefined);
    }
    if (const auto saved = services_.domains.save(*domain); !saved) {
        log_error("daemon", "domain '{}': {}", domain->name, saved.error().message);
    }
}

void SourceConduct::report_unresolved(const Error& error) {
    const auto domain = domain_.lock();
    if (!domain) return;
    domain->unresolved = error.message;
    log_error("daemon", "{}", error.message);
    services_.event_log.add(services_.wall_ms(), "migration", domain->name, error.message);
    if (domain->is_active()) set_status(services_, *domain, PausedReason::migration);
}

void SourceConduct::end_job(const std::optional<Error>& cause) {
    client_.cut();
    // The guest runs elsewhere: what was feared on the way, or its QEMU's end, is no failure.
    const bool gone_over = machine().record().right == migrate::Right::taken;
    const std::optional<Error> error = gone_over ? std::nullopt : cause;
    timer_->cancel();
    close_peer();
    tunnel_.reset();
    const auto domain = domain_.lock();
    if (!domain) return;
    const auto self = shared_from_this();
    domain->unresolved.clear();
    take_spans(timeline_, machine().timeline(), "source");
    TransferStatistics statistics = transfer_.statistics();
    statistics.control_ms = control_ms_;
    domain->last_job =
        finish_report(services_, *domain, timeline_, statistics, error, JobSide::source);
    domain->jobs.finish();
    if (domain->source.get() == this) domain->source.reset();
    if (domain->primary) domain->primary->migration_over();
    // It may have switched itself off meanwhile, and what it does was the migration's to say.
    if (error && domain->incarnation) {
        services_.loop.post([services = &services_, domain] { end_if_off(*services, domain); });
    }
    services_.domains.forget_if_nothing_is_left(*domain);
}

void SourceConduct::qemu_exited() {
    feed(SourceEvent::qemu_exited);
}
void SourceConduct::restarted() {
    const auto domain = domain_.lock();
    if (domain && domain->status.is(DomainState::running)) hold_guest();
    feed(SourceEvent::restarted);
}

Result<> SourceConduct::may_suspend() const {
    return machine().check({.event = SourceEvent::guest_suspended});
}

Result<> SourceConduct::guest_suspended(const rpc::Session& client) {
    auto taken = may_suspend();
    if (taken && driver_.lock().get() != &client) feed(SourceEvent::guest_suspended);
    return taken;
}

std::uint64_t SourceConduct::elapsed_ms() const {
    return static_cast<std::uint64_t>(to_ms(services_.loop.now() - timeline_.start()));
}

Bytes SourceConduct::perform_cookie(const migrate::Record& record) const {
    const auto domain = domain_.lock();
    if (!domain) return {};
    migrate::Cookie cookie = base_cookie(services_, *domain);
    if (record.right == migrate::Right::given && record.peer_has_right) {
        cookie.right = migrate::GivenRight{record.id, record.peer.key, record.run_guest};
    }
    add_statistics(cookie, services_, transfer_.statistics(), elapsed_ms(), timeline_.wall_ms());
    if (options_.has(migrate::kPersistDestination)) add_persistent(cookie, *domain, options_);
    if (domain->primary) cookie.protection = domain->primary->wish().json().dump();
    return migrate::write_cookie(cookie);
}

}  // namespace segue
