// SPDX-License-Identifier: LGPL-2.1-or-later
// Starting, stopping, pausing.
#include "daemon/life.h"
#include "daemon/calls/calls.h"
#include "daemon/calls/protection.h"
#include "daemon/conduct/source.h"
#include "daemon/domain_events.h"
#include "daemon/guest.h"
#include "daemon/protection/primary.h"
#include "rpc/remote.schema.h"

namespace segue {

namespace remote = rpc::remote;
using migrate::CallKind;
using rpc::Session;

namespace {

// virDomainCreateFlags.
constexpr std::uint32_t kPaused = 1, kAutodestroy = 2, kValidate = 16;
// virDomainShutdownFlagValues and virDomainRebootFlagValues.
constexpr std::uint32_t kByAcpi = 1, kByAgent = 2;
// virDomainDestroyFlagsValues. Logs go with a domain's directory, whether asked or not.
constexpr std::uint32_t kGraceful = 1;
// As long as libvirt waits for a QEMU that it has asked to end.
constexpr Duration kGracefulBound = 10s;

// Ends the domain when the connection that started it ends.
void bind_to(Session& session, const Services& services, const DomainPointer& domain) {
    const std::weak_ptr<DomainObject> weak = domain;
    const std::uint64_t hook = session.on_close([&services, weak, id = domain->id()] {
        const auto still = weak.lock();
        if (still && still->id() == id) end_guest(services, *still, ShutOffReason::destroyed);
    });
    domain->gone_waiters.push_back([client = session.weak_from_this(), hook] {
        if (const auto still = client.lock()) still->remove_on_close(hook);
    });
}

void start(Session& session, const Services& services, const DomainPointer& domain, Domain model,
           std::uint32_t flags, Answer<remote::DomainReply> answer) {
    auto guard = CallGuard::begin(domain, CallKind::modify, "create");
    if (!guard) return answer(tl::unexpected(guard.error()));
    if (domain->is_active()) {
        return answer(
            fail(ErrorCode::operation_invalid, "domain '{}' is already running", domain->name));
    }
    if (const auto allowed = may_start(*domain); !allowed) {
        return answer(tl::unexpected(allowed.error()));
    }
    if (!domain->unresolved.empty() || domain->source) {
        return answer(
            fail(ErrorCode::operation_invalid, "{}",
                 domain->unresolved.empty() ? "the domain is being migrated" : domain->unresolved));
    }
    const std::weak_ptr<Session> weak = session.weak_from_this();
    start_guest(services, domain, std::move(model),
                (flags & kPaused) != 0 ? StartMode::paused : StartMode::run, "",
                [&services, domain, answer, flags, weak, guard = *guard](Result<> started) {
                    if (!started) {
                        services.domains.forget_if_nothing_is_left(*domain);
                        return answer(tl::unexpected(started.error()));
                    }
                    const auto owner = weak.lock();
                    if (owner && (flags & kAutodestroy) != 0) bind_to(*owner, services, domain);
                    answer(remote::DomainReply{domain->ref()});
                });
}

void create_defined(Session& session, const Services& services, const rpc::DomainRef& ref,
                    std::uint32_t flags, Answer<remote::DomainReply> answer) {
    const auto domain = services.domains.find(ref);
    if (!domain) return answer(tl::unexpected(domain.error()));
    if ((*domain)->is_active()) {
        return answer(
            fail(ErrorCode::operation_invalid, "domain '{}' is already running", (*domain)->name));
    }
    if (!(*domain)->persistent) {
        return answer(fail(ErrorCode::operation_invalid, "domain '{}' has no definition to start",
                           (*domain)->name));
    }
    start(session, services, *domain, *(*domain)->persistent, flags, std::move(answer));
}

void create_transient(Session& session, const Services& services, const remote::XmlFlagsCall& call,
                      Answer<remote::DomainReply> answer) {
    auto model = parse_domain(call.xml);
    if (!model) return answer(tl::unexpected(model.error()));
    const auto allowed = check_allowed(services, *model);
    if (!allowed) return answer(tl::unexpected(allowed.error()));
    if ((call.flags & kValidate) != 0) {
        if (const auto valid = check_understood(*model); !valid) {
            return answer(tl::unexpected(valid.error()));
        }
    }
    log_unused(*model);
    const auto go_on = [&services, model = *model, flags = call.flags, answer,
                        client = session.shared_from_this()](Result<> asked) {
        if (!asked) return answer(tl::unexpected(asked.error()));
        auto whole = completed(services, model);
        if (!whole) return answer(tl::unexpected(whole.error()));
        const auto domain = services.domains.obtain(whole->uuid, whole->name);
        if (!domain) return answer(tl::unexpected(domain.error()));
        start(*client, services, *domain, std::move(*whole), flags, answer);
    };
    with_emulator(services, *model, go_on);
}

// A command without arguments for a running guest, as one short call of its kind.
void command(const Services& services, const rpc::DomainRef& ref, CallKind kind, const char* name,
             const char* qmp, Answer<> answer) {
    const auto domain = services.domains.find(ref);
    if (!domain) return answer(tl::unexpected(domain.error()));
    const auto guest = (*domain)->running_guest();
    if (!guest) return answer(tl::unexpected(guest.error()));
    const auto guard = CallGuard::begin(*domain, kind, name);
    if (!guard) return answer(tl::unexpected(guard.error()));
    (*guest)->execute(qmp, [answer, guard = *guard](Result<> done) { answer(std::move(done)); });
}

// It sleeps by itself: neither `stop` nor `cont` is anything to it until it wakes up.
Result<> check_awake(const DomainObject& domain) {
    if (!domain.status.is(DomainState::pm_suspended)) return {};
    return fail(ErrorCode::operation_invalid, "domain is pmsuspended");
}

void suspend(Session& session, const Services& services, const rpc::DomainRef& ref,
             Answer<> answer) {
    const auto domain = services.domains.find(ref);
    if (!domain) return answer(tl::unexpected(domain.error()));
    const DomainPointer object = *domain;
    if (object->primary && object->primary->owns_processors()) {
        const auto guard = CallGuard::begin(object, CallKind::suspend, "suspend");
        if (!guard) return answer(tl::unexpected(guard.error()));
        return object->primary->pause(
            [answer, guard = *guard](Result<> done) { answer(std::move(done)); });
    }
    const auto may = check_awake(*object).and_then(
        [&] { return object->source ? object->source->may_suspend() : Result<>(); });
    if (!may) return answer(tl::unexpected(may.error()));
    command(services, ref, CallKind::suspend, "suspend", "stop",
            [&services, object, answer, client = session.shared_from_this()](Result<> done) {
                if (done && object->source) done = object->source->guest_suspended(*client);
                if (done && !object->status.is(DomainState::paused)) {
                    set_status(services, *object, PausedReason::user);
                    publish(services, *object, lifecycle::kPaused);
                }
                answer(std::move(done));
            });
}

void resume(const Services& services, const rpc::DomainRef& ref, Answer<> answer) {
    const auto domain = services.domains.find(ref);
    if (!domain) return answer(tl::unexpected(domain.error()));
    const DomainPointer object = *domain;
    if (const auto awake = check_awake(*object); !awake) return answer(awake);
    // The right to run may be elsewhere: only the answer to that question resumes it.
    if (!object->unresolved.empty()) {
        return answer(fail(ErrorCode::operation_invalid, "{}", object->unresolved));
    }
    if (object->primary && object->primary->state() == PrimaryProtection::State::isolated) {
        return answer(fail(ErrorCode::operation_invalid,
                           "domain '{}' stands still because its standby may have taken over; "
                           "`segue unprotect {}` lets it go on here when the standby has not",
                           object->name, object->name));
    }
    if (object->primary && object->primary->state() == PrimaryProtection::State::guarding) {
        return object->primary->resume(answer);
    }
    command(services, ref, CallKind::modify, "resume", "cont",
            [&services, object, answer](Result<> done) {
                if (done && !object->status.is(DomainState::running)) {
                    set_status(services, *object, RunningReason::unpaused);
                    publish(services, *object, lifecycle::kUnpaused);
                }
                answer(std::move(done));
            });
}

// Without flags, and where both ways are allowed, it is ACPI's button: agents are not talked to.
void shut_down(const Services& services, const rpc::DomainRef& ref, bool reboot,
               std::uint32_t flags, Answer<> answer) {
    const auto domain = services.domains.find(ref);
    if (!domain) return answer(tl::unexpected(domain.error()));
    if ((flags & (kByAcpi | kByAgent)) == kByAgent && (*domain)->is_active()) {
        return answer(fail(ErrorCode::argument_unsupported,
                           "QEMU guest agent is not configured: say --mode acpi, or no mode"));
    }
    // Only what QEMU took decides what a power-off of the guest means.
    command(services, ref, CallKind::modify, reboot ? "reboot" : "shutdown", "system_powerdown",
            [object = *domain, reboot, answer = std::move(answer)](Result<> done) {
                if (done && object->incarnation) object->incarnation->reboot_wanted = reboot;
                answer(std::move(done));
            });
}

// QEMU is asked to end, and not forced to: where it does not, the domain goes on as it was. Whoever
// forces it meanwhile does so.
class GracefulEnd : public std::enable_shared_from_this<GracefulEnd> {
  public:
    GracefulEnd(const Services& services, DomainPointer domain, std::shared_ptr<CallGuard> guard,
                Answer<> answer)
        : domain_(std::move(domain)),
          pid_(domain_->incarnation->guest->pid()),
          guard_(std::move(guard)),
          answer_(std::move(answer)) {
        bound_ = services.loop.make_timer([this] { give_up(); });
    }

    void start() {
        domain_->incarnation->told_to_quit = true;
        const auto self = shared_from_this();
        when_gone(*domain_, [self] { self->finish({}); });
        bound_->start(kGracefulBound);
        domain_->incarnation->guest->execute(
            "quit", [self](Result<> done) { self->asked(std::move(done)); });
    }

  private:
    // Its end comes before or after the reply; a QEMU that ends closes its monitor.
    void asked(Result<> done) {
        if (!done && done.error().code != ErrorCode::connection_lost) give_up();
    }
    void give_up() {
        if (!answer_) return;
        finish(fail(ErrorCode::system,
                    "Failed to terminate process {} of domain '{}' gracefully: it is still there",
                    pid_, domain_->name));
    }
    void finish(Result<> done) {
        bound_->cancel();
        guard_.reset();
        if (const auto answer = std::exchange(answer_, {})) answer(std::move(done));
    }

    DomainPointer domain_;
    pid_t pid_;
    std::shared_ptr<CallGuard> guard_;
    Answer<> answer_;
    std::unique_ptr<Timer> bound_;
};

void destroy(const Services& services, const rpc::DomainRef& ref, std::uint32_t flags,
             Answer<> answer) {
    const auto domain = services.domains.find(ref);
    if (!domain) return answer(tl::unexpected(domain.error()));
    if (!(*domain)->is_active()) {
        return answer(
            fail(ErrorCode::operation_invalid, "domain '{}' is not running", (*domain)->name));
    }
    const auto guard = CallGuard::begin(*domain, CallKind::destroy, "destroy");
    if (!guard) return answer(tl::unexpected(guard.error()));
    if ((flags & kGraceful) != 0 && (*domain)->primary) {
        return answer(fail(ErrorCode::operation_invalid,
                           "domain '{0}' is protected, and its QEMU held at checkpoints: `segue "
                           "unprotect {0}` first, or destroy it without --graceful",
                           (*domain)->name));
    }
    if ((flags & kGraceful) != 0 && (*domain)->running_guest()) {
        return std::make_shared<GracefulEnd>(services, *domain, *guard, std::move(answer))->start();
    }
    when_gone(**domain, [answer, guard = *guard] { answer({}); });
    end_guest(services, **domain, ShutOffReason::destroyed);
}

}  // namespace

void add_life_calls(rpc::Dispatcher& calls, const Services& services) {
    calls.on<remote::DomainCreate>([&services](Session& session, remote::DomainCall call,
                                               rpc::Reply<remote::DomainCreate> reply) {
        create_defined(session, services, call.domain, 0,
                       [reply](Result<remote::DomainReply> done) {
                           reply(done.map([](const remote::DomainReply&) {}));
                       });
    });
    calls.on<remote::DomainCreateWithFlags>(
        [&services](Session& session, remote::DomainFlagsCall call,
                    rpc::Reply<remote::DomainCreateWithFlags> reply) {
            create_defined(session, services, call.domain, call.flags, reply);
        });
    calls.on<remote::DomainCreateXml>([&services](Session& session, remote::XmlFlagsCall call,
                                                  rpc::Reply<remote::DomainCreateXml> reply) {
        create_transient(session, services, call, reply);
    });
    calls.on<remote::DomainSuspend>([&services](Session& session, remote::DomainCall call,
                                                rpc::Reply<remote::DomainSuspend> reply) {
        suspend(session, services, call.domain, reply);
    });
    calls.on<remote::DomainResume>(
        [&services](Session&, remote::DomainCall call, rpc::Reply<remote::DomainResume> reply) {
            resume(services, call.domain, reply);
        });
    calls.on<remote::DomainShutdown>(
        [&services](Session&, remote::DomainCall call, rpc::Reply<remote::DomainShutdown> reply) {
            shut_down(services, call.domain, false, 0, reply);
        });
    calls.on<remote::DomainShutdownFlags>(
        [&services](Session&, remote::DomainFlagsCall call,
                    rpc::Reply<remote::DomainShutdownFlags> reply) {
            shut_down(services, call.domain, false, call.flags, reply);
        });
    calls.on<remote::DomainReboot>([&services](Session&, remote::DomainFlagsCall call,
                                               rpc::Reply<remote::DomainReboot> reply) {
        shut_down(services, call.domain, true, call.flags, reply);
    });
    calls.on<remote::DomainReset>(
        [&services](Session&, remote::DomainFlagsCall call, rpc::Reply<remote::DomainReset> reply) {
            command(services, call.domain, CallKind::modify, "reset", "system_reset", reply);
        });
    calls.on<remote::DomainDestroy>(
        [&services](Session&, remote::DomainCall call, rpc::Reply<remote::DomainDestroy> reply) {
            destroy(services, call.domain, 0, reply);
        });
    calls.on<remote::DomainDestroyFlags>([&services](Session&, remote::DomainFlagsCall call,
                                                     rpc::Reply<remote::DomainDestroyFlags> reply) {
        destroy(services, call.domain, call.flags, reply);
    });
}

}  // namespace segue
