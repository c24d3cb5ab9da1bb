// SPDX-License-Identifier: LGPL-2.1-or-later
// What QEMU's events mean for a domain, and its end.
#include <filesystem>

#include "base/log.h"
#include "daemon/conduct/destination.h"
#include "daemon/conduct/source.h"
#include "daemon/device_events.h"
#include "daemon/domain_events.h"
#include "daemon/domain_list.h"
#include "daemon/guest.h"
#include "daemon/life_steps.h"
#include "daemon/protection/primary.h"
#include "daemon/protection/standby.h"
#include "qemu/process_record.h"

namespace segue {
namespace {

// Processors stopped. Our own commands set their reason when QEMU has answered; what is set here is
// for everybody else's.
void on_stop(const Services& services, DomainObject& domain) {
    if (domain.destination || domain.status.is(DomainState::paused)) return;
    if (domain.primary && domain.primary->owns_processors()) return;
    if (domain.source) {
        set_status(services, domain, PausedReason::migration);
        publish(services, domain, lifecycle::kPausedForMigration);
    } else {
        set_status(services, domain, PausedReason::user);
        publish(services, domain, lifecycle::kPaused);
    }
}

void on_resume(const Services& services, DomainObject& domain) {
    const bool ours = domain.source || domain.destination ||
                      domain.status == DomainStatus(PausedReason::starting_up);
    if (ours || domain.status.is(DomainState::running)) return;
    if (domain.primary && domain.primary->owns_processors()) return;
    set_status(services, domain, RunningReason::unpaused);
    publish(services, domain, lifecycle::kUnpaused);
}

void on_io_error(const Services& services, DomainObject& domain, const QmpEvent& event) {
    if (event.data.text("action") != "stop") return;
    set_status(services, domain, PausedReason::io_error);
    publish(services, domain, lifecycle::kPausedByIoError);
}

// The STOP behind it is not the user's.
void on_panic(const Services& services, DomainObject& domain, const QmpEvent& event) {
    publish(services, domain, lifecycle::kPanicked);
    if (event.data.text("action") == "run") return;
    set_status(services, domain, PausedReason::crashed);
}

void on_watchdog(const Services& services, DomainObject& domain, const QmpEvent& event) {
    if (event.data.text("action") != "pause") return;
    set_status(services, domain, PausedReason::watchdog);
    publish(services, domain, lifecycle::kPausedByWatchdog);
}

// The guest sleeps (ACPI S3): its processors stand still, and no STOP says so.
void on_sleep(const Services& services, DomainObject& domain) {
    if (!domain.status.is(DomainState::running)) return;
    set_status(services, domain, DomainStatus::suspended_by_guest());
    publish(services, domain, lifecycle::kSuspendedByGuest);
}

void on_wakeup(const Services& services, DomainObject& domain) {
    if (!domain.status.is(DomainState::pm_suspended)) return;
    set_status(services, domain, RunningReason::wakeup);
    publish(services, domain, lifecycle::kWokeUp);
}

void on_event(const Services& services, const DomainPointer& domain, const QmpEvent& event) {
    if (!domain->incarnation) return;
    log_debug("daemon", "domain '{}': QEMU says {} {}", domain->name, event.name,
              event.data.dump());
    const std::string& name = event.name;
    if (name == "STOP") on_stop(services, *domain);
    if (name == "RESUME") on_resume(services, *domain);
    if (name == "SHUTDOWN" && event.data.flag("guest")) guest_shut_down(services, *domain);
    if (name == "BLOCK_IO_ERROR") on_io_error(services, *domain, event);
    if (name == "GUEST_PANICKED") on_panic(services, *domain, event);
    if (name == "WATCHDOG") on_watchdog(services, *domain, event);
    if (name == "SUSPEND") on_sleep(services, *domain);
    if (name == "WAKEUP") on_wakeup(services, *domain);
    publish_device_event(services, *domain, event);
    if (name == "RESET" && event.data.flag("guest")) publish_reboot(services, *domain);
    if (name == "MIGRATION_PASS") {
        publish_iteration(services, *domain, static_cast<std::int32_t>(event.data.i64("pass")));
    }
    if (name.starts_with("SPICE_") || name.starts_with("VNC_")) {
        if (event.data.find("client") != nullptr) publish_graphics(services, *domain, event);
    }
    if (const auto primary = domain->primary) primary->qemu_event(event);
    // A conduct may end its job, and with it its own place in the domain.
    if (const auto source = domain->source) source->qemu_event(event);
    if (const auto destination = domain->destination) destination->qemu_event(event);
}

void tell_end(const Services& services, const DomainObject& domain, const DomainStatus& why) {
    switch (static_cast<ShutOffReason>(why.reason)) {
        case ShutOffReason::shutdown: return publish(services, domain, lifecycle::kShutdown);
        case ShutOffReason::destroyed: return publish(services, domain, lifecycle::kDestroyed);
        case ShutOffReason::migrated: return publish(services, domain, lifecycle::kMigrated);
        case ShutOffReason::crashed: return publish(services, domain, lifecycle::kCrashed);
        // An incoming guest that never ran: nobody was told that it is here.
        default: return;
    }
}

// Ports, directory and monitor of a QEMU that has ended.
void release(const Services& services, std::unique_ptr<Incarnation> incarnation) {
    if (!incarnation) return;
    for (const std::uint16_t port : incarnation->ports)
        services.spice_ports.give_back(port);
    std::error_code code;
    std::filesystem::remove_all(incarnation->directory, code);
    forget_process(incarnation->directory);
    if (code) {
        log_warning("daemon", "remove '{}': {}", incarnation->directory, code.message());
    }
}

}  // namespace

void guest_shut_down(const Services& services, DomainObject& domain) {
    Incarnation& incarnation = *domain.incarnation;
    if (incarnation.ending) return;
    const bool again = incarnation.reboot_wanted || incarnation.live.on_poweroff == "restart";
    if (again) {
        incarnation.reboot_wanted = false;
        incarnation.guest->execute("system_reset", [](Result<>) {});
        // Beside a migration all of it may have left already: only its outcome lets the guest run.
        if (!domain.source) incarnation.guest->execute("cont", [](Result<>) {});
        return publish_reboot(services, domain);
    }
    publish(services, domain, lifecycle::kGuestShutdown);
    end_guest(services, domain, ShutOffReason::shutdown);
}

void attach_guest(const Services& services, const DomainPointer& domain,
                  const std::string& monitor_path, std::int32_t process) {
    const std::weak_ptr<DomainObject> weak = domain;
    domain->incarnation->guest = std::make_unique<Guest>(
        services.loop, monitor_path, process,
        Guest::Handlers{
            .event =
                [&services, weak, key = domain->incarnation->key](const QmpEvent& event) {
                    const auto still = weak.lock();
                    const bool now = still && still->incarnation && still->incarnation->key == key;
                    if (now) return on_event(services, still, event);
                    if (event.name == "SPICE_MIGRATE_COMPLETED") {
                        services.domains.end_departing(key);
                    }
                },
            .returned =
                [&services, weak, key = domain->incarnation->key] {
                    const auto still = weak.lock();
                    const bool now = still && still->incarnation && still->incarnation->key == key;
                    if (now) look_again(services, still);
                },
            .gone =
                [&services, weak, key = domain->incarnation->key] {
                    const auto still = weak.lock();
                    if (still && still->incarnation && still->incarnation->key == key) {
                        return shut_off(services, still);
                    }
                    release(services, services.domains.take_departing(key));
                    services.domains.tell_departed(key);
                }});
}

void part_from_guest(const Services& services, DomainObject& domain, bool viewers_switch) {
    if (!domain.incarnation) return;
    auto incarnation = domain.take_incarnation();
    if (viewers_switch) {
        incarnation->guest->end_later(services.settings.source_keep);
    } else {
        incarnation->guest->end();
    }
    services.domains.keep_departing(std::move(incarnation));
    set_status(services, domain, ShutOffReason::migrated);
    publish(services, domain, lifecycle::kMigrated);
    if (const auto primary = domain.primary) primary->guest_left();
    for (const auto& waiter : std::exchange(domain.gone_waiters, {}))
        waiter();
}

void when_gone(DomainObject& domain, std::function<void()> callback) {
    if (!domain.incarnation) return callback();
    domain.gone_waiters.push_back(std::move(callback));
}

Error explain_failure(const DomainObject& domain, const Error& error) {
    // What a QEMU that lives has refused, or was refused for, says enough.
    const bool answered = error.code == ErrorCode::operation_failed ||
                          error.code == ErrorCode::no_support || error.code == kCpuIncompatible;
    if (!domain.incarnation || answered) return error;
    const std::string tail = in_one_line(log_tail(domain.incarnation->directory + "/stderr.log"));
    if (tail.empty()) return error;
    return {ErrorCode::internal,
            fmt::format("QEMU could not run domain '{}': {}", domain.name, tail)};
}

void shut_off(const Services& services, const DomainPointer& domain) {
    if (!domain->incarnation) return;
    const ShutOffReason otherwise =
        domain->incarnation->told_to_quit ? ShutOffReason::destroyed : ShutOffReason::crashed;
    const DomainStatus why = domain->incarnation->ending.value_or(DomainStatus(otherwise));
    const Error words =
        why == DomainStatus(ShutOffReason::destroyed)
            ? Error{ErrorCode::operation_failed,
                    fmt::format("domain '{}' was destroyed", domain->name)}
            : explain_failure(*domain, {ErrorCode::internal,
                                        fmt::format("QEMU of domain '{}' ended", domain->name)});
    if (why == DomainStatus(ShutOffReason::crashed)) {
        log_error("daemon", "{}", words.message);
    }
    release(services, domain->take_incarnation());
    set_status(services, *domain, why);
    tell_end(services, *domain, why);
    if (const auto primary = domain->primary) primary->guest_gone();
    if (const auto standby = domain->standby) standby->guest_gone();
    if (const auto source = domain->source) source->qemu_exited();
    if (const auto destination = domain->destination) destination->qemu_exited(words);
    for (const auto& waiter : std::exchange(domain->gone_waiters, {}))
        waiter();
    if (domain->persistent) {
        if (const auto saved = services.domains.save(*domain); !saved) {
            log_error("daemon", "domain '{}': {}", domain->name, saved.error().message);
        }
    }
    services.domains.forget_if_nothing_is_left(*domain);
}

void abandon(const Services& services, DomainObject& domain) {
    if (!domain.incarnation) return;
    if (domain.incarnation->guest && domain.incarnation->guest->pid() > 0) {
        // Its end comes through shut_off.
        domain.incarnation->ending = DomainStatus(ShutOffReason::failed);
        return domain.incarnation->guest->kill();
    }
    release(services, domain.take_incarnation());
    set_status(services, domain, ShutOffReason::failed);
}

}  // namespace segue
