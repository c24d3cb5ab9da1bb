// SPDX-License-Identifier: LGPL-2.1-or-later
// Processes: spawning one, and taking over one that an earlier daemon spawned.
#include <unistd.h>

#include <filesystem>

#include "base/log.h"
#include "daemon/conduct/source.h"
#include "daemon/domain_events.h"
#include "daemon/domain_list.h"
#include "daemon/guest.h"
#include "daemon/life_steps.h"
#include "daemon/network_access.h"
#include "daemon/processor.h"
#include "daemon/protection/primary.h"
#include "daemon/spice_library.h"
#include "daemon/spice_line.h"
#include "qemu/command_line.h"
#include "qemu/process_record.h"

namespace segue {
namespace {

constexpr const char* kLibraryPath = "LD_LIBRARY_PATH";

void learn_state(const Services& services, const DomainPointer& domain, Answer<> adopted) {
    Guest* guest = domain->incarnation->guest.get();
    guest->execute("query-spice", {}, [guest](Result<Json> reply) {
        if (reply) guest->note_viewers(*reply);
    });
    guest->execute("query-status", {}, [&services, domain, adopted](Result<Json> reply) {
        if (reply && domain->incarnation) {
            const DomainStatus known = domain->incarnation->status_before.value_or(domain->status);
            set_status(services, *domain,
                       merged_status(reply->text("status"), known).value_or(domain->status));
            const bool runs = domain->status.is(DomainState::running);
            if (runs && domain->source) domain->source->hold_guest();
        }
        adopted(reply.map([](const Json&) {}));
        // Nobody waits for it: the guest was seen to run on this CPU when it was started.
        learn_processor(services.emulators, domain, [](Result<>) {});
    });
}

}  // namespace

void end_if_off(const Services& services, const DomainPointer& domain) {
    const bool held = domain->primary && domain->primary->owns_processors();
    const bool free = !domain->source && !domain->destination && !held;
    const bool off = domain->status == DomainStatus(PausedReason::shutting_down);
    if (domain->incarnation && off && free) guest_shut_down(services, *domain);
}

void look_again(const Services& services, const DomainPointer& domain) {
    learn_state(services, domain, [&services, domain](Result<> asked) {
        if (asked) end_if_off(services, domain);
    });
}

// Nobody in particular where the daemon is not root, or where the packaged user does not exist. One
// that was named must exist: QEMU never runs with more rights than somebody has asked for.
Result<std::optional<ProcessUser>> qemu_user(const Settings& settings) {
    if (::geteuid() != 0 || settings.qemu_user.empty()) return std::nullopt;
    const auto user = find_user(settings.qemu_user);
    if (user) return *user;
    if (settings.qemu_user != Settings{}.qemu_user) return tl::unexpected(user.error());
    log_warning("daemon", "{}: QEMU runs as root", user.error().message);
    return std::nullopt;
}

Result<std::vector<QmpCommand>> launch(const Services& services, const DomainPointer& domain,
                                       StartMode mode) {
    Incarnation& incarnation = *domain->incarnation;
    CommandLineOptions options;
    options.directory = incarnation.directory;
    options.x509_directory = services.settings.tls_directory;
    options.incoming = mode == StartMode::incoming;
    options.sandbox = services.settings.sandbox;
    const Taps taps = TRY(open_taps(incarnation.live));
    CommandLine line = TRY(build_command_line(incarnation.live, options));
    for (InheritedFile& file : line.inherited) {
        if (file.kind != InheritedFile::Kind::opened) continue;
        file.descriptor = taps.at(file.path).descriptor.get();
    }
    attach_guest(services, domain, line.monitor_path);
    ProcessStart start;
    start.directory = incarnation.directory;
    start.log_path = incarnation.directory + "/stderr.log";
    start.pid_file = pid_file_beside(incarnation.directory);
    start.user = TRY(qemu_user(services.settings));
    const std::string library = spice_library_directory(services.settings.spice_library);
    if (!library.empty()) {
        start.environment.emplace_back(kLibraryPath, library);
        start.environment.emplace_back(spice::control::kPathVariable,
                                       SpiceLine::path_in(incarnation.directory));
    }
    std::vector<QmpCommand> after_start = std::move(line.after_start);
    start.line = std::move(line);
    auto process = TRY(QemuProcess::start(services.loop, start));
    incarnation.guest->set_process(std::move(process));
    log_info("daemon", "domain '{}': QEMU {} {}", domain->name, incarnation.guest->pid(),
             mode == StartMode::incoming ? "awaits a migration" : "starts");
    return after_start;
}

void adopt_guest(const Services& services, const DomainPointer& domain, Domain live,
                 const std::string& key, Answer<> adopted) {
    domain->incarnation = std::make_unique<Incarnation>();
    domain->incarnation->key = key;
    domain->incarnation->status_before = domain->status;
    domain->incarnation->directory = services.settings.state + "/domains/" + key;
    domain->incarnation->live = std::move(live);
    auto process =
        process_of(domain->incarnation->directory).and_then([&](const ProcessIdentity& identity) {
            return QemuProcess::adopt(services.loop, identity);
        });
    if (!process) {
        log_warning("daemon", "domain '{}': {}", domain->name, process.error().message);
        shut_off(services, domain);
        return adopted(tl::unexpected(process.error()));
    }
    for (const Graphics& graphics : domain->incarnation->live.graphics) {
        for (const std::int32_t port : {graphics.port, graphics.tls_port}) {
            if (port <= 0) continue;
            services.spice_ports.take_exactly(static_cast<std::uint16_t>(port));
            domain->incarnation->ports.push_back(static_cast<std::uint16_t>(port));
        }
    }
    // Until its QEMU says what it does: it is there, and nobody knows that it runs.
    domain->status = PausedReason::unknown;
    attach_guest(services, domain, domain->incarnation->directory + "/monitor.sock",
                 (*process)->identity().pid);
    Guest& guest = *domain->incarnation->guest;
    guest.set_process(std::move(*process));
    log_info("daemon", "domain '{}': QEMU {} is adopted", domain->name, guest.pid());
    guest.when_ready([&services, domain, adopted](Result<> ready) {
        if (!ready) return adopted(std::move(ready));
        learn_state(services, domain, [domain, adopted](Result<> asked) {
            if (!asked) return adopted(std::move(asked));
            learn_terminals(domain, adopted);
        });
    });
}

void end_stray(const std::string& directory) {
    const auto identity = process_of(directory);
    if (identity && kill_process(*identity)) {
        log_warning("daemon", "QEMU {} of '{}' belongs to no domain: it is ended", identity->pid,
                    directory);
    }
    std::error_code code;
    std::filesystem::remove_all(directory, code);
    forget_process(directory);
}

}  // namespace segue
