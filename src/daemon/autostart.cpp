// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/autostart.h"

#include <fstream>

#include "base/log.h"
#include "daemon/calls/calls.h"
#include "daemon/calls/protection.h"
#include "daemon/domain_list.h"
#include "daemon/life.h"

namespace segue {
namespace {

// random(4): another one for each boot of the kernel.
constexpr const char* kBootId = "/proc/sys/kernel/random/boot_id";

std::string first_line(const std::string& path) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    return line;
}

// The boot whose domains were started stands here.
std::string marker_path(const Services& services) {
    return services.settings.state + "/autostarted-boot";
}

void note_boot(const Services& services, const std::string& boot) {
    const std::string path = marker_path(services);
    std::ofstream file(path, std::ios::trunc);
    file << boot << '\n';
    if (!file.flush()) log_error("daemon", "{}", fail_errno("write", path, errno).value().message);
}

bool is_due(const DomainObject& domain) {
    return domain.autostart && domain.persistent && !domain.is_active() && !domain.source &&
           !domain.destination && domain.unresolved.empty() && may_start(domain);
}

void start_one(const Services& services, const DomainPointer& domain, const Answer<>& done) {
    // Time has passed since the list was made: a client may have been quicker.
    if (!is_due(*domain) || services.domains.is_blocked(domain->uuid)) return done({});
    const auto guard = CallGuard::begin(domain, migrate::CallKind::modify, "autostart");
    if (!guard) return done(tl::unexpected(guard.error()));
    start_guest(services, domain, *domain->persistent, StartMode::run, "",
                [done, guard = *guard](Result<> started) { done(std::move(started)); });
}

Step step_for(const Services& services, const DomainPointer& domain) {
    return [&services, domain](const Answer<>& done) {
        start_one(services, domain, [domain, done](const Result<>& started) {
            if (!started) {
                log_error("daemon", "domain '{}': autostart: {}", domain->name,
                          started.error().message);
            }
            done({});
        });
    };
}

}  // namespace

void autostart_domains(const Services& services) {
    const std::string boot = first_line(kBootId);
    if (!boot.empty() && boot == first_line(marker_path(services))) return;
    std::vector<Step> steps;
    for (const auto& entry : services.domains.all()) {
        if (is_due(*entry.second)) steps.push_back(step_for(services, entry.second));
    }
    // Noted at the end: a daemon that dies on the way starts the rest next time.
    run_steps(std::move(steps), [&services, boot](const Result<>&) { note_boot(services, boot); });
}

}  // namespace segue
