// SPDX-License-Identifier: LGPL-2.1-or-later
// Starting a QEMU, step by step. Its events stand in life_events.cpp, its adoption in
// life_launch.cpp.
#include "daemon/life.h"

#include <sys/stat.h>

#include <filesystem>

#include "base/log.h"
#include "daemon/domain_events.h"
#include "daemon/domain_list.h"
#include "daemon/file_facts.h"
#include "daemon/guest.h"
#include "daemon/life_steps.h"
#include "daemon/processor.h"
#include "daemon/protection/primary.h"
#include "daemon/storage_access.h"
#include "domain/alias.h"
#include "domain/complete.h"
#include "qemu/command_line.h"

namespace segue {
namespace {

// Libvirt's wire carries texts of 4 MiB; what runs has aliases and addresses besides.
constexpr std::size_t kMostDefinition = 3U << 20;

// Of graphics that name their port. QEMU resolves names itself, and says what is wrong with them.
Result<> check_port(const Graphics& graphics, const std::string& otherwise, std::uint16_t port) {
    if (graphics.listen == ListenType::socket || graphics.listen == ListenType::none) return {};
    const std::string& own = graphics.listen_address();
    const std::string& address = own.empty() ? otherwise : own;
    if (!net::SocketAddress::of_numeric(address, port)) return {};
    const auto free = PortBroker::check_free(address, port);
    if (free) return {};
    return fail(ErrorCode::operation_failed,
                "domain's graphics: {}; choose another one, or autoport='yes'",
                free.error().message);
}

// Where a definition asks for a socket and leaves its place to us.
std::string own_socket(const Incarnation& incarnation, const Graphics& graphics) {
    return fmt::format("{}/{}.sock", incarnation.directory, name_of(graphics.type));
}

Result<> give_ports(const Services& services, Incarnation& incarnation) {
    TRY(check_named_ports(services, incarnation.live));
    for (Graphics& graphics : incarnation.live.graphics) {
        if (graphics.listen == ListenType::socket && graphics.socket.empty()) {
            graphics.socket = own_socket(incarnation, graphics);
        }
    }
    const std::string& host = services.settings.spice_listen;
    for (const Graphics& graphics : incarnation.live.graphics) {
        for (const std::int32_t port : {graphics.port, graphics.tls_port}) {
            if (graphics.autoport || port <= 0) continue;
            const auto number = static_cast<std::uint16_t>(port);
            if (services.spice_ports.take_exactly(number)) incarnation.ports.push_back(number);
        }
    }
    return fill_ports(incarnation.live, {.next = [&]() -> Result<std::uint16_t> {
                                             const std::uint16_t port =
                                                 TRY(services.spice_ports.take(host));
                                             incarnation.ports.push_back(port);
                                             return port;
                                         },
                                         .default_address = host});
}

}  // namespace

Domain without_own_sockets(const Incarnation& incarnation) {
    Domain model = incarnation.live;
    for (Graphics& graphics : model.graphics) {
        if (graphics.socket == own_socket(incarnation, graphics)) graphics.socket.clear();
    }
    return model;
}

namespace {

Result<> make_directory(const std::string& path) {
    std::error_code code;
    std::filesystem::create_directories(path, code);
    if (code) return fail(ErrorCode::system, "make '{}': {}", path, code.message());
    if (::chmod(path.c_str(), 0700) != 0) return fail_errno("chmod", path, errno);
    return {};
}

// Passwords and link states reach QEMU over its monitor, never its command line.
void tell_secrets(const DomainPointer& domain, std::vector<QmpCommand> commands, Answer<> answer) {
    std::vector<Step> steps;
    Guest* guest = domain->incarnation->guest.get();
    for (QmpCommand& command : commands) {
        steps.push_back([guest, command = std::move(command)](Answer<> done) {
            guest->run(command.name, command.arguments, std::move(done));
        });
    }
    run_steps(std::move(steps), std::move(answer));
}

void let_run(const Services& services, const DomainPointer& domain, Answer<> answer) {
    domain->incarnation->guest->execute("cont", [&services, domain, answer](Result<> done) {
        if (done && domain->incarnation) {
            set_status(services, *domain, RunningReason::booted);
            publish(services, *domain, lifecycle::kBooted);
        }
        answer(std::move(done));
    });
}

void started_paused(const Services& services, const DomainPointer& domain) {
    publish(services, *domain, lifecycle::kBooted);
    set_status(services, *domain, PausedReason::user);
    publish(services, *domain, lifecycle::kPaused);
}

}  // namespace

namespace {

std::string emulator_of(const Domain& domain) {
    return domain.emulator.empty() ? kDefaultEmulator : domain.emulator;
}

}  // namespace

void with_emulator(const Services& services, const Domain& domain, Answer<> answer) {
    const std::string emulator = emulator_of(domain);
    if (const auto trusted = check_emulator(emulator); !trusted) return answer(trusted);
    services.emulators.ask(emulator, [answer](const Result<EmulatorCapabilities>& known) {
        answer(known.map([](const EmulatorCapabilities&) {}));
    });
}

Result<Domain> completed(const Services& services, Domain domain) {
    const EmulatorCapabilities* known = services.emulators.known(emulator_of(domain));
    if (known == nullptr) {
        return fail(ErrorCode::config_unsupported, "emulator '{}' cannot be asked what it can do",
                    emulator_of(domain));
    }
    const CompletionContext context{
        .machine = [known](std::string_view type) { return known->machine(type); },
        .default_emulator = kDefaultEmulator,
        .random = services.random};
    TRY(complete_domain(domain, context));
    TRY(check_size(domain));
    return domain;
}

Result<> check_named_ports(const Services& services, const Domain& model) {
    for (const Graphics& graphics : model.graphics) {
        for (const std::int32_t port : {graphics.port, graphics.tls_port}) {
            if (graphics.autoport || port <= 0) continue;
            TRY(check_port(graphics, services.settings.spice_listen,
                           static_cast<std::uint16_t>(port)));
        }
    }
    return {};
}

Result<> check_size(const Domain& model) {
    const std::size_t size = print_domain(model, {.secure = true}).size();
    if (size <= kMostDefinition) return {};
    return fail(ErrorCode::limit_exceeded,
                "the definition of domain '{}' has {} bytes when it is written down: at most {}; "
                "shorten its description, metadata or device list",
                model.name, size, kMostDefinition);
}

Result<> check_allowed(const Services& services, const Domain& model) {
    TRY(check_relied_upon(model));
    if (model.passthrough.empty() || services.settings.allow_passthrough) return {};
    return fail(ErrorCode::config_unsupported,
                "domain '{}' has qemu:commandline, which this host does not allow: set [security] "
                "allow_passthrough = true",
                model.name);
}

namespace {

void start_decided(const Services& services, const DomainPointer& domain, Domain model,
                   StartMode mode, const std::string& key, const Answer<>& answer) {
    auto incarnation = std::make_unique<Incarnation>();
    incarnation->key = key.empty() ? Uuid::random(services.random).text() : key;
    incarnation->directory = services.settings.state + "/domains/" + incarnation->key;
    incarnation->live = std::move(model);
    prepare_to_run(incarnation->live, services.domains.next_id());
    domain->incarnation = std::move(incarnation);
    set_status(services, *domain,
               mode == StartMode::incoming ? PausedReason::migration : PausedReason::starting_up);
    const auto failed = [&services, domain, answer](const Error& error) {
        log_warning("daemon", "domain '{}' is not started: {}", domain->name, error.message);
        abandon(services, *domain);
        when_gone(*domain, [answer, error] { answer(tl::unexpected(error)); });
    };
    const auto prepared = make_directory(domain->incarnation->directory).and_then([&] {
        return give_ports(services, *domain->incarnation);
    });
    if (!prepared) return failed(prepared.error());
    auto launched = launch(services, domain, mode);
    if (!launched) return failed(launched.error());

    std::vector<Step> steps;
    steps.push_back(
        [domain](Answer<> done) { domain->incarnation->guest->when_ready(std::move(done)); });
    steps.push_back([domain, commands = std::move(*launched)](Answer<> done) {
        tell_secrets(domain, commands, std::move(done));
    });
    steps.push_back([&services, domain](Answer<> done) {
        learn_processor(services.emulators, domain, std::move(done));
    });
    steps.push_back([domain](Answer<> done) { learn_terminals(domain, std::move(done)); });
    // Written down before it runs: a daemon that dies now finds it again.
    steps.push_back([&services, domain](Answer<> done) { done(services.domains.save(*domain)); });
    if (mode == StartMode::run) {
        steps.push_back(
            [&services, domain](Answer<> done) { let_run(services, domain, std::move(done)); });
    }
    run_steps(std::move(steps), [&services, domain, mode, failed, answer](Result<> done) {
        if (!done) return failed(explain_failure(*domain, done.error()));
        if (mode == StartMode::paused) started_paused(services, domain);
        answer({});
    });
}

bool has_terminals(const Domain& model) {
    const auto is_pty = [](const auto& device) { return device.chardev.type == ChardevType::pty; };
    return std::any_of(model.serials.begin(), model.serials.end(), is_pty) ||
           std::any_of(model.channels.begin(), model.channels.end(), is_pty) ||
           std::any_of(model.consoles.begin(), model.consoles.end(), is_pty);
}

}  // namespace

void learn_terminals(const DomainPointer& domain, Answer<> answer) {
    if (!domain->incarnation || !has_terminals(domain->incarnation->live)) return answer({});
    Guest* guest = domain->incarnation->guest.get();
    guest->execute("query-chardev", {}, [domain, answer](Result<Json> reply) {
        if (!reply) return answer(tl::unexpected(reply.error()));
        if (!domain->incarnation) return answer({});
        const auto learn = [&](auto& devices) {
            for (auto& device : devices) {
                for (const Json& one : reply->items()) {
                    const std::string_view file = one.text("filename");
                    if (one.text("label") == "char" + device.alias && file.starts_with("pty:")) {
                        device.chardev.path = file.substr(4);
                    }
                }
            }
        };
        learn(domain->incarnation->live.serials);
        learn(domain->incarnation->live.channels);
        learn(domain->incarnation->live.consoles);
        answer({});
    });
}

void start_guest(const Services& services, const DomainPointer& domain, Domain model,
                 StartMode mode, const std::string& key, Answer<> answer) {
    // Asked here too: the definition may be older than the setting.
    if (const auto allowed = check_allowed(services, model); !allowed) return answer(allowed);
    const auto start = [&services, domain, mode, key, answer](Result<Domain> decided) {
        if (!decided) return answer(tl::unexpected(decided.error()));
        start_decided(services, domain, std::move(*decided), mode, key, answer);
    };
    const auto when_free = [&services, model, start] {
        services.domains.when_ports_are_left(model, [&services, model, start] {
            decide_processor(services.emulators, model, start);
        });
    };
    // What arrives has asked by itself, since its job may end meanwhile.
    if (mode == StartMode::incoming) return when_free();
    services.files.ask(files_of(model), [model, start, when_free](const FactsOfFiles& facts) {
        if (const auto there = check_storage_access(model, facts); !there) {
            return start(tl::unexpected(there.error()));
        }
        when_free();
    });
}

void end_guest(const Services& services, DomainObject& domain, ShutOffReason reason) {
    if (!domain.incarnation || domain.incarnation->ending) return;
    // Its standby must hear that nothing is lost, before QEMU's end could say otherwise.
    if (domain.primary && domain.primary->must_let_go()) {
        const std::weak_ptr<DomainObject> weak = domain.shared_from_this();
        return domain.primary->let_go([&services, weak, reason] {
            if (const auto still = weak.lock()) end_guest(services, *still, reason);
        });
    }
    domain.incarnation->ending = DomainStatus(reason);
    if (domain.incarnation->guest && domain.incarnation->guest->pid() > 0) {
        return domain.incarnation->guest->end();
    }
    shut_off(services, domain.shared_from_this());
}

}  // namespace segue
