// SPDX-License-Identifier: LGPL-2.1-or-later
// The destination's actions: store, incoming QEMU, definition, job, and the peer link's answers.
#include "daemon/conduct/destination.h"

#include "base/log.h"
#include "daemon/conduct/cookies.h"
#include "daemon/conduct/kept_definition.h"
#include "daemon/conduct/records.h"
#include "daemon/conduct/report.h"
#include "daemon/conduct/transfer_out.h"
#include "daemon/domain_events.h"
#include "daemon/domain_list.h"
#include "daemon/fault.h"
#include "daemon/guest.h"
#include "daemon/life.h"
#include "daemon/peer_door.h"
#include "daemon/protection/primary.h"
#include "daemon/tunnel.h"
#include "migrate/peer_link.schema.h"

namespace segue {

using migrate::DestinationAction;
using migrate::DestinationCall;
using migrate::DestinationEvent;
using migrate::DestinationVerb;
using migrate::peer::Kind;

DestinationConduct::DestinationConduct(const Services& services, const DomainPointer& domain,
                                       migrate::DestinationMachine machine)
    : services_(services),
      domain_(domain),
      runner_(services.loop, std::move(machine),
              [this](const DestinationAction& action) { carry_out(action); }),
      timer_(services.loop.make_timer([this] { feed(Event::timer_expired); })),
      timeline_("incoming migration of " + domain->name, services.loop.now(), services.wall_ms()) {
    // Of a migration that is taken up again nothing else is known of the call.
    request_.options.flags = this->machine().record().flags;
    definition_ = this->machine().record().definition;
}

DestinationConduct::~DestinationConduct() = default;

// Keeps this object while an action runs: the last one drops the owner's pointer.
void DestinationConduct::feed(migrate::DestinationInput input,
                              std::function<void(const Error&)> refused) {
    const auto self = shared_from_this();
    runner_.feed(std::move(input), std::move(refused));
}

void DestinationConduct::prepare(PrepareRequest request, Domain model,
                                 Answer<PrepareResult> answer) {
    request_ = std::move(request);
    model_ = std::move(model);
    if (const auto domain = domain_.lock()) domain->remains = *model_;
    migrate::DestinationInput input{.event = Event::prepare_called};
    input.peer.address = migration_host();
    input.peer.port = services_.peer_door.port();
    if (request_.options.has(migrate::kTls)) input.peer.tls_name = services_.identity.name;
    services_.random.fill(input.peer.key);
    services_.peer_door.add(machine().record().id, shared_from_this());
    feed(std::move(input), wait_in(prepare_answer_, answer));
}

void DestinationConduct::finish(FinishRequest request, Answer<FinishResult> answer) {
    if (finish_answer_) {
        return answer(fail(ErrorCode::operation_invalid,
                           "Finish of the migration of domain '{}' is being carried out already",
                           machine().record().domain_name));
    }
    migrate::DestinationInput input;
    input.event = request.cancelled ? Event::finish_cancelled : Event::finish_succeeded;
    const migrate::Record& record = machine().record();
    std::string text;
    if (!request.cancelled && !request.cookie.empty()) {
        const migrate::CookieExpectation expected{
            migrate::CookieStep::perform_to_finish,
            request_.cookie ? request_.cookie->name : record.domain_name, record.domain,
            services_.identity.uuid};
        const auto cookie = migrate::parse_cookie(request.cookie, expected);
        if (!cookie) return answer(tl::unexpected(cookie.error()));
        input.right = cookie->right;
        text = cookie->persistent_xml;
        source_statistics_ = cookie->statistics;
        if (!cookie->protection.empty()) protect(cookie->protection);
        if (source_statistics_) take_statistics();
    }
    const auto refused = wait_in(finish_answer_, answer);
    const auto domain = domain_.lock();
    const bool keeps = request_.options.has(migrate::kPersistDestination);
    if (request.cancelled || !keeps || !domain) return feed(std::move(input), refused);
    decide_definition(services_, domain, std::move(text), model_,
                      [this, self = shared_from_this(), input = std::move(input),
                       refused](Result<std::string> kept) mutable {
                          if (kept) {
                              definition_ = input.definition = std::move(*kept);
                          } else {
                              // The guest stays where its definition is.
                              input.event = Event::finish_cancelled;
                              input.cause = kept.error();
                          }
                          feed(std::move(input), refused);
                      });
}

// Written down before the guest is here: it is protected then, whoever is started again meanwhile.
void DestinationConduct::protect(const std::string& wanted) {
    const auto domain = domain_.lock();
    if (!domain || !domain->incarnation || domain->primary) return;
    auto wish =
        Json::parse(wanted).and_then([](const Json& json) { return ProtectionWish::parse(json); });
    if (!wish) {
        return log_error("daemon", "domain '{}' comes protected, and is not here: {}", domain->name,
                         wish.error().message);
    }
    PrimaryProtection::arrive(services_, domain, std::move(*wish));
}

void DestinationConduct::cancel(Answer<> answer) {
    feed({.event = Event::cancel_asked},
         [answer](const Error& error) { answer(tl::unexpected(error)); });
}

void DestinationConduct::client_closed() {
    prepare_answer_ = {};
    finish_answer_ = {};
    feed(Event::client_closed);
}

void DestinationConduct::restarted() {
    feed(Event::restarted);
}

void DestinationConduct::qemu_exited(const Error& why) {
    feed({.event = Event::qemu_exited, .cause = why});
}

void DestinationConduct::qemu_event(const QmpEvent& event) {
    if (event.name == "SPICE_INITIALIZED" && line_) {
        const Json& client = event.data["client"];
        line_->tell_linked({static_cast<std::uint32_t>(client.u64("channel-type")),
                            static_cast<std::uint32_t>(client.u64("channel-id"))});
        timeline_.mark("viewer-linked", "destination", services_.loop.now());
    }
    if (event.name == "RESUME") hold_guest();
    if (event.name != "MIGRATION") return;
    const TransferState state = transfer_state_named(event.data.text("status"));
    if (state == TransferState::completed) {
        timeline_.mark("loaded", "destination", services_.loop.now());
        feed(Event::loaded);
    } else if (state == TransferState::failed) {
        feed(Event::load_failed);
    }
}

// Whoever resumes it in QEMU itself does so behind the right's back.
void DestinationConduct::hold_guest() {
    const auto domain = domain_.lock();
    const auto guest = domain ? domain->running_guest() : fail(ErrorCode::internal, "gone");
    if (!guest || machine().record().right == migrate::Right::taken) return;
    (*guest)->execute("stop", [](Result<>) {});
    log_error("daemon",
              "domain '{}': something resumed its QEMU before the right to run was here: it was "
              "stopped at once",
              domain->name);
}

void DestinationConduct::carry_out(const DestinationAction& action) {
    switch (action.verb) {
        case DestinationVerb::none: return;
        case DestinationVerb::enter_phase: return enter_phase(action.phase);
        case DestinationVerb::reply_ok:
        case DestinationVerb::reply_error: return reply(action);
        case DestinationVerb::write_record: return write_record(action.record);
        case DestinationVerb::forget_record: return forget_record(action.record);
        case DestinationVerb::start_incoming: return start_incoming();
        case DestinationVerb::kill_incoming: return kill_incoming();
        case DestinationVerb::resume_guest: return resume_guest(action.run);
        case DestinationVerb::settle_definition: return settle_definition();
        case DestinationVerb::tell_received:
        case DestinationVerb::tell_taken:
        case DestinationVerb::tell_refused: return tell(action.verb);
        case DestinationVerb::close_peer: return close_peer();
        case DestinationVerb::start_timer: return timer_->start(action.delay);
        case DestinationVerb::stop_timer: return timer_->cancel();
        case DestinationVerb::end_job: return end_job(action.error);
        case DestinationVerb::end_machine: return end_machine();
    }
}

void DestinationConduct::enter_phase(migrate::Phase phase) {
    const auto domain = domain_.lock();
    if (!domain || job_over_ || phase == migrate::Phase::none) return;
    log_info("daemon", "domain '{}': migration in, phase {}", domain->name,
             migrate::name_of(phase));
    if (const auto set = domain->jobs.set_phase(phase); !set) {
        log_warning("daemon", "domain '{}': {}", domain->name, set.error().message);
    }
}

void DestinationConduct::reply(const DestinationAction& action) {
    const std::string_view call = name_of(action.call);
    fault_point({"destination", "reply", call, "before"});
    answer_call(action);
    // Posted: the bytes leave behind the callback in which the answer was given.
    services_.loop.post([call] { fault_point({"destination", "reply", call, "after"}); });
}

void DestinationConduct::answer_call(const DestinationAction& action) {
    if (action.call == DestinationCall::prepare) {
        const auto answer = std::exchange(prepare_answer_, {});
        if (!answer) return;
        if (action.error) return answer(tl::unexpected(*action.error));
        return answer(prepare_result(action.record));
    }
    const auto answer = std::exchange(finish_answer_, {});
    if (!answer) return;
    if (action.error) return answer(tl::unexpected(*action.error));
    answer(FinishResult{finish_cookie()});
}

void DestinationConduct::write_record(const migrate::Record& record) {
    // The record that has the definition is written over only when the domain's own has it.
    const auto owed = domain_is_owed_ ? save_domain() : Result<>();
    const auto stored = owed ? services_.migration_records.keep(record) : owed;
    if (stored) return feed(Event::record_stored);
    feed({.event = Event::record_failed, .cause = stored.error()});
}

void DestinationConduct::forget_record(const migrate::Record& record) {
    if (domain_is_owed_ && !save_domain()) {
        // From here on only its own timer keeps this object. A record that stayed until the next
        // start would be acted on then, whatever has become of the guest.
        if (!again_) {
            log_error("daemon",
                      "domain '{}': its definition is kept in the record of its migration {} until "
                      "it can be saved: free space in the state directory",
                      record.domain_name, record.id.text());
            again_ = services_.loop.make_timer(
                [self = shared_from_this(), record] { self->forget_record(record); });
        }
        return again_->start(migrate::DestinationMachine::kStoreAgain);
    }
    services_.migration_records.forget(record);
    // In the middle of its own callback, maybe.
    if (again_) services_.loop.post([over = std::shared_ptr<Timer>(std::move(again_))] {});
}

void DestinationConduct::kill_incoming() {
    const auto domain = domain_.lock();
    // A promise outlives its QEMU: another incarnation of the domain is not this migration's.
    if (!domain || !domain->incarnation ||
        domain->incarnation->key != machine().record().incarnation) {
        return;
    }
    end_guest(services_, *domain, ShutOffReason::failed);
}

void DestinationConduct::resume_guest(bool run) {
    const auto domain = domain_.lock();
    const auto guest = domain ? domain->running_guest() : fail(ErrorCode::internal, "gone");
    if (!guest) return feed({.event = Event::resume_failed, .cause = guest.error()});
    if (!run) return resumed(false);
    // A QEMU that died before it was told to resume never ran the guest: the source may have it
    // back.
    if (!identify((*guest)->pid())) {
        return feed({.event = Event::resume_failed,
                     .cause = Error{ErrorCode::operation_failed, "QEMU has ended"}});
    }
    continue_guest(**guest, [this, self = shared_from_this(), name = domain->name](Result<> done) {
        if (!done) {
            log_error("daemon",
                      "domain '{}': QEMU did not resume it after its migration ({}): if it stays "
                      "paused here, `segue resume {}`",
                      name, done.error().message, name);
            return feed({.event = Event::resume_failed, .cause = done.error()});
        }
        resumed(true);
    });
}

void DestinationConduct::resumed(bool run) {
    if (const auto domain = domain_.lock()) {
        timeline_.mark("guest-runs", "destination", services_.loop.now());
        publish(services_, *domain, lifecycle::kArrived);
        set_status(services_, *domain,
                   run ? DomainStatus(RunningReason::migrated) : DomainStatus(PausedReason::user));
        if (!run && screen_) screen_->machine_arrived();
        publish(services_, *domain, run ? lifecycle::kResumedByMigration : lifecycle::kPaused);
    }
    feed(Event::guest_resumed);
}

void DestinationConduct::settle_definition() {
    const auto domain = domain_.lock();
    if (!domain) return;
    if (request_.options.has(migrate::kPersistDestination)) {
        // A record of an earlier release has none: what runs is kept.
        if (definition_.empty() && domain->is_active()) {
            definition_ = print_domain(domain->model(), {.secure = true});
        }
        auto kept = parse_printed_domain(definition_);
        if (kept) {
            const bool new_one = !domain->persistent;
            domain->persistent = std::move(*kept);
            publish(services_, *domain, new_one ? lifecycle::kDefined : lifecycle::kUpdated);
        } else {
            log_error("daemon", "domain '{}': its definition could not be kept: {}", domain->name,
                      kept.error().message);
        }
    }
    domain_is_owed_ = true;
    static_cast<void>(save_domain());
}

Result<> DestinationConduct::save_domain() {
    const auto domain = domain_.lock();
    domain_is_owed_ = false;
    // Ended and forgotten meanwhile, it has no record any more.
    if (!domain || (!domain->is_active() && !domain->is_persistent())) return {};
    const auto saved = services_.domains.save(*domain);
    domain_is_owed_ = !saved;
    if (!saved) log_error("daemon", "domain '{}': {}", domain->name, saved.error().message);
    return saved;
}

void DestinationConduct::peer_linked(std::unique_ptr<PeerLine> line) {
    services_.peer_door.see_off(std::move(line_));
    line_ = std::move(line);
    line_->set_handlers(
        {.message = [this](const migrate::PeerMessage& message) { peer_message(message); },
         .lost =
             [this](const Error&) {
                 const auto self = shared_from_this();
                 // In the middle of its own callback; a new line may come before the post does.
                 services_.loop.post([lost = std::shared_ptr<PeerLine>(std::move(line_))] {});
                 feed(Event::peer_lost);
             }});
    // Viewers that were quicker than the link.
    if (const auto domain = domain_.lock(); domain && domain->incarnation && !job_over_) {
        for (const auto& channel : domain->incarnation->guest->viewers())
            line_->tell_linked({channel.first, channel.second});
        await_screen(SpiceLine::path_in(domain->incarnation->directory));
    }
    feed(Event::peer_linked);
}

void DestinationConduct::await_screen(const std::string& control) {
    ScreenArrival::Handlers handlers;
    handlers.carries = [this] {
        if (line_) line_->send(Kind::carries);
    };
    handlers.taken = [this](bool last) {
        timeline_.mark(last ? "screen-state-last-taken" : "screen-state-taken", "destination",
                       services_.loop.now());
        if (last) log_debug("daemon", "the last of the screen's state was taken");
        if (line_) line_->tell_taken(last);
    };
    screen_ = std::make_unique<ScreenArrival>(services_.loop, services_.resolver, control,
                                              std::move(handlers));
}

void DestinationConduct::peer_message(const migrate::PeerMessage& message) {
    if (message.kind == Kind::screen) {
        const auto taken = screen_ ? screen_->piece(message.screen) : Result<>();
        if (taken) return;
        log_warning("daemon", "{}: it goes through the viewers", taken.error().message);
        return screen_.reset();
    }
    const auto event = message.destination_event();
    if (!event) return;
    migrate::DestinationInput input{.event = *event};
    if (message.kind == Kind::gives) input.right = message.right;
    feed(std::move(input));
}

void DestinationConduct::tell(DestinationVerb verb) {
    if (!line_) return;
    line_->send(verb == DestinationVerb::tell_received ? Kind::received
                : verb == DestinationVerb::tell_taken  ? Kind::took
                                                       : Kind::refused);
}

void DestinationConduct::close_peer() {
    services_.peer_door.see_off(std::move(line_));
}

void DestinationConduct::end_job(const std::optional<Error>& error) {
    client_.cut();
    timer_->cancel();
    if (port_ != 0) services_.migration_ports.give_back(std::exchange(port_, 0));
    if (tunnel_) tunnel_->close();
    job_over_ = true;
    const auto domain = domain_.lock();
    if (!domain) return;
    take_spans(timeline_, machine().timeline(), "destination");
    domain->last_job =
        finish_report(services_, *domain, timeline_, statistics_, error, JobSide::destination);
    domain->jobs.finish();
    if (domain->destination.get() == this) domain->destination.reset();
    if (domain->primary) domain->primary->migration_over();
    services_.domains.forget_if_nothing_is_left(*domain);
}

void DestinationConduct::end_machine() {
    services_.peer_door.remove(machine().record().id);
}

std::uint64_t DestinationConduct::elapsed_ms() const {
    return static_cast<std::uint64_t>(to_ms(services_.loop.now() - timeline_.start()));
}

PrepareResult DestinationConduct::prepare_result(const migrate::Record& record) const {
    PrepareResult result;
    const auto domain = domain_.lock();
    if (!domain) return result;
    migrate::Cookie cookie = base_cookie(services_, *domain);
    if (request_.cookie) cookie.name = request_.cookie->name;
    cookie.offer = migrate::DestinationOffer{record.id, record.peer, services_.identity.name, true};
    if (domain->incarnation) {
        cookie.graphics = cookie_graphics(services_, domain->incarnation->live);
        cookie.capabilities = cookie_capabilities();
    }
    result.uri = incoming_uri();
    result.tunnel = tunnel_;
    result.cookie = migrate::write_cookie(cookie);
    return result;
}

void DestinationConduct::take_statistics() {
    statistics_ = statistics_of(*source_statistics_);
    if (const auto sent = source_statistics_->value("sent")) {
        statistics_.control_ms = control_time(*sent, services_.wall_ms());
    }
}

Bytes DestinationConduct::finish_cookie() const {
    const auto domain = domain_.lock();
    if (!domain) return {};
    migrate::Cookie cookie = base_cookie(services_, *domain);
    if (request_.cookie) cookie.name = request_.cookie->name;
    if (source_statistics_) {
        cookie.statistics = source_statistics_;
        cookie.statistics->delta = statistics_.control_ms;
    }
    return migrate::write_cookie(cookie);
}

}  // namespace segue
