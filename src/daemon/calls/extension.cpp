// SPDX-License-Identifier: LGPL-2.1-or-later
// Segue's own program beside libvirt's (rpc/extension.schema): questions and commands in JSON.
// docs/rpc.md lists them. Nothing here may carry a secret: `segue report` sends it on.
#include "daemon/calls/calls.h"
#include "daemon/calls/protection.h"
#include "daemon/conduct/arrival_check.h"
#include "daemon/conduct/destination.h"
#include "daemon/conduct/source.h"
#include "daemon/guest.h"
#include "daemon/job_statistics.h"
#include "rpc/extension.schema.h"

namespace segue {

namespace extension = rpc::extension;
using rpc::Session;

namespace {

Json job_json(const JobView& job) {
    Json out = Json::object();
    for (const auto& parameter : job_parameters(job)) {
        std::visit(
            [&](const auto& value) {
                if constexpr (!std::is_same_v<std::decay_t<decltype(value)>, std::monostate>) {
                    out.set(parameter.name, value);
                }
            },
            parameter.value);
    }
    return out;
}

Json migration_json(const DomainObject& domain) {
    if (!domain.source && !domain.destination) return Json();
    const migrate::AsyncJob& job = domain.jobs.async();
    Json out = Json::object({{"side", domain.source ? "source" : "destination"},
                             {"phase", migrate::name_of(job.phase)},
                             {"api", job.api}});
    out.set("job", job_json(current_job(domain)));
    return out;
}

// How the last one ended, and why; what it moved is job statistics.
Json last_migration_json(const DomainObject& domain) {
    if (!domain.last_job) return Json();
    const FinishedJob& job = *domain.last_job;
    const bool out = job.operation == job_operation::kMigrationOut;
    Json said = Json::object({{"side", out ? "source" : "destination"},
                              {"outcome", outcome_of(job.operation, job.error)},
                              {"ended_ms", job.ended_ms}});
    if (job.error) said.set("cause", job.error->message);
    return said;
}

Json viewers_json(const DomainObject& domain) {
    Json out = Json::array();
    if (!domain.incarnation || !domain.incarnation->guest) return out;
    for (const auto& channel : domain.incarnation->guest->viewers())
        out.push(Json::object({{"type", channel.first}, {"id", channel.second}}));
    return out;
}

Json domain_status(const DomainObject& domain) {
    Json out = Json::object({{"domain", domain.name},
                             {"uuid", domain.uuid.text()},
                             {"id", domain.id()},
                             {"state", name_of(domain.status.state)},
                             {"reason", reason_of(domain.status)},
                             {"since_ms", domain.status_since_ms},
                             {"persistent", domain.is_persistent()}});
    out.set("migration", migration_json(domain));
    out.set("last_migration", last_migration_json(domain));
    out.set("viewers", viewers_json(domain));
    if (!domain.unresolved.empty()) out.set("unresolved", domain.unresolved);
    if (const std::string waits = recovering(domain); !waits.empty()) out.set("recovering", waits);
    out.set("protection", protection_json(domain));
    return out;
}

Result<Json> status(const Services& services, const Json& arguments) {
    const std::string name(arguments.text("domain"));
    if (!name.empty()) return domain_status(*TRY(services.domains.find(name)));
    Json domains = Json::array();
    for (const auto& entry : services.domains.all())
        domains.push(domain_status(*entry.second));
    Json out = Json::object({{"host", services.identity.name},
                             {"uuid", services.identity.uuid.text()},
                             {"version", SEGUE_VERSION}});
    out.set("domains", std::move(domains));
    return out;
}

Result<Json> timeline(const Services& services, const Json& arguments) {
    const std::string name(arguments.text("domain"));
    const FinishedJob* job = services.domains.remembered(name);
    if (job == nullptr) {
        return fail(ErrorCode::operation_invalid,
                    "domain '{}' was not migrated since this daemon started", name);
    }
    if (arguments.text("form") == "svg") {
        return Json::object({{"svg", timeline_svg(job->timeline)}});
    }
    return Json::parse(timeline_json(job->timeline));
}

Result<Json> report(const Services& services) {
    Json events = Json::array();
    for (const EventLog::Event& event : services.event_log.events()) {
        events.push(Json::object({{"number", event.number},
                                  {"wall_ms", event.wall_ms},
                                  {"kind", event.kind},
                                  {"domain", event.domain},
                                  {"text", event.text}}));
    }
    const Settings& settings = services.settings;
    Json listen = Json::array();
    for (const net::Address& address : settings.listen)
        listen.push(address.text());
    Json out = TRY(status(services, Json()));
    Json own = Json::object({{"state", settings.state},
                             {"migrate_address", settings.migrate_address},
                             {"migrate_ports", settings.migrate_ports.text()},
                             {"spice_ports", settings.spice_ports.text()},
                             {"screen_wait_ms", to_ms(settings.screen_wait)},
                             {"allow_passthrough", settings.allow_passthrough}});
    own.set("listen", std::move(listen));
    out.set("settings", std::move(own));
    out.set("events", std::move(events));
    out.set("metrics", services.metrics.text());
    return out;
}

// What nobody can check for whoever says "it runs here".
std::string vouched(const DomainObject& domain, const std::string& peer) {
    const std::string host = peer.empty() ? "the destination" : "'" + peer + "'";
    return fmt::format(
        "you have vouched that the copy of '{0}' on {1} is dead. If {1} had taken the guest and "
        "comes back with it running, there are two copies, on the same disks: before {1} gets "
        "back to network and storage, end the copy there (`segue destroy {0}` on it, or cut its "
        "power)",
        domain.name, host);
}

void resolve(const Services& services, const Json& arguments, Answer<Json> answer) {
    const auto domain = services.domains.find(std::string(arguments.text("domain")));
    if (!domain) return answer(tl::unexpected(domain.error()));
    const std::string_view runs = arguments.text("runs");
    if (runs != "here" && runs != "there") {
        return answer(fail(ErrorCode::invalid_argument, "say \"runs\": \"here\" or \"there\""));
    }
    if (!(*domain)->source) {
        return answer(fail(ErrorCode::operation_invalid,
                           "domain '{}' has no migration whose outcome is open", (*domain)->name));
    }
    const bool here = runs == "here";
    const std::string warning =
        here ? vouched(**domain, (*domain)->source->machine().record().peer_host) : "";
    (*domain)->source->resolve(here, [answer, here, warning](Result<> done) {
        answer(done.map([&] {
            Json said = Json::object({{"outcome", here ? "it runs here" : "it runs there"}});
            return warning.empty() ? said : said.set("warning", warning);
        }));
        if (done && !warning.empty()) log_warning("daemon", "resolve: {}", warning);
    });
}

// Whether this host finds another by that name, as its QEMU would have to.
void lookup(const Services& services, const Json& arguments, Answer<Json> answer) {
    constexpr std::size_t kLongest = 253;  // RFC 1035, as text
    const std::string host(arguments.text("host"));
    if (host.empty() || host.size() > kLongest) {
        return answer(fail(ErrorCode::invalid_argument,
                           "'host' has {} characters: a name has 1 to {}", host.size(), kLongest));
    }
    const auto question = std::make_shared<std::shared_ptr<void>>();
    *question = services.resolver.resolve(host, 0, [question, answer](auto found) {
        answer(found.map([](const std::vector<net::SocketAddress>& addresses) {
            Json said = Json::array();
            for (const net::SocketAddress& address : addresses) {
                const std::string text = address.text();
                said.push(text.substr(0, text.rfind(':')));  // without the port
            }
            return Json::object({{"addresses", std::move(said)}});
        }));
        question->reset();
    });
}

void query(const Services& services, const std::string& name, const Json& arguments,
           Answer<Json> answer) {
    if (name == "status") return answer(status(services, arguments));
    if (name == "timeline") return answer(timeline(services, arguments));
    if (name == "report") return answer(report(services));
    answer(fail(ErrorCode::no_support, "no question is called '{}'", name.substr(0, 64)));
}

void command(const Services& services, const std::string& name, const Json& arguments,
             Answer<Json> answer) {
    if (protection_command(services, name, arguments, answer)) return;
    if (name == "resolve") return resolve(services, arguments, std::move(answer));
    // Nothing is taken; but an emulator is started to be asked, and files are looked at, as root.
    if (name == "arrival") return check_arrival(services, arguments, std::move(answer));
    if (name == "lookup") return lookup(services, arguments, std::move(answer));
    answer(fail(ErrorCode::no_support, "no command is called '{}'", name.substr(0, 64)));
}

template <class P, class Function>
void serve(rpc::Dispatcher& calls, const Services& services, Function function) {
    calls.on<P>([&services, function](Session&, extension::AskCall call, rpc::Reply<P> reply) {
        const auto arguments =
            call.arguments.empty() ? Result<Json>(Json::object()) : Json::parse(call.arguments);
        if (!arguments) return reply(tl::unexpected(arguments.error()));
        function(services, call.name, *arguments, [reply](Result<Json> value) {
            reply(value.map([](const Json& said) { return extension::AskReply{said.dump()}; }));
        });
    });
}

}  // namespace

void add_extension_calls(rpc::Dispatcher& calls, const Services& services) {
    serve<extension::Query>(calls, services, query);
    serve<extension::Command>(calls, services, command);
}

}  // namespace segue
