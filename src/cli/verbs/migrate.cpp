// SPDX-License-Identifier: LGPL-2.1-or-later
// migrate: asks the source's daemon to move the domain peer to peer, so that nothing depends on
// this process: the first Ctrl-C asks to cancel, the second leaves the migration to the daemons.
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <optional>
#include <sstream>

#include "cli/print.h"
#include "cli/verbs/verbs.h"
#include "cli/words.h"
#include "migrate/options.h"
#include "rpc/extension.schema.h"
#include "rpc/migration.schema.h"
#include "rpc/remote.schema.h"

namespace segue::cli {
namespace {

using namespace rpc::migration;
using rpc::remote::TypedParameter;

constexpr Duration kPollEvery = 250ms;

// Several texts stand in one value, as in virsh. Numbers are within their kind already.
void add_parameter(std::vector<TypedParameter>& list, const std::string& name,
                   const std::variant<std::uint64_t, std::string>& value) {
    const auto known = migrate::migrate_parameters();
    const auto found =
        std::find_if(known.begin(), known.end(), [&](const auto& one) { return one.name == name; });
    if (found == known.end()) return;
    if (const auto* number = std::get_if<std::uint64_t>(&value)) {
        const bool narrow = found->kind == rpc::remote::ParameterKind::int32;
        if (narrow) return list.push_back({name, static_cast<std::int32_t>(*number)});
        return list.push_back({name, *number});
    }
    const auto& text = std::get<std::string>(value);
    if (!found->repeatable) return list.push_back({name, text});
    std::istringstream words(text);
    for (std::string word; std::getline(words, word, ',');)
        list.push_back({name, word});
}

}  // namespace

Result<std::vector<TypedParameter>> migration_parameters(const Migrate& verb) {
    std::vector<TypedParameter> list;
    const auto text = [&](const char* name, const std::string& value) {
        if (!value.empty()) list.push_back({name, value});
    };
    text("destination_name", verb.new_name);
    text("migrate_uri", verb.migrate_uri);
    text("graphics_uri", verb.graphics_uri);
    text("listen_address", verb.listen_address);
    if (!verb.new_xml_file.empty()) {
        text("destination_xml", TRY(read_text(verb.new_xml_file)));
    }
    if (!verb.persistent_xml_file.empty()) {
        text("persistent_xml", TRY(read_text(verb.persistent_xml_file)));
    }
    if (verb.bandwidth_mib_s != 0) list.push_back({"bandwidth", verb.bandwidth_mib_s});
    if (verb.parallel_connections != 0) {
        list.push_back(
            {"parallel.connections", static_cast<std::int32_t>(verb.parallel_connections)});
    }
    if (verb.screen_wait_ms) {
        list.push_back({"segue.screen_wait", std::uint64_t{*verb.screen_wait_ms}});
    }
    if (verb.max_downtime_ms != 0) list.push_back({"segue.max_downtime", verb.max_downtime_ms});
    for (const auto& [name, value] : verb.more)
        add_parameter(list, name, value);
    return list;
}

// The source's daemon drives it.
std::uint32_t migration_flags(const Migrate& verb) {
    const std::uint64_t live =
        (verb.flags & migrate::kOffline) != 0 ? std::uint64_t{0} : migrate::kLive;
    return static_cast<std::uint32_t>(verb.flags | migrate::kPeerToPeer | live);
}

namespace {

// One migration, watched until its reply comes.
class Watched {
  public:
    Watched(Context& context, const Migrate& verb, rpc::DomainRef domain)
        : context_(context), verb_(verb), domain_(std::move(domain)) {}

    VerbResult run() {
        Perform3ParamsCall call;
        call.domain = domain_;
        call.connection_uri = verb_.destination;
        call.parameters = TRY(migration_parameters(verb_));
        call.flags = migration_flags(verb_);
        RunLoop& loop = context_.daemon.loop();
        started_ = loop.now();
        loop.on_signal(SIGINT, [this] { interrupted(); });
        poll_ = loop.make_timer([this] { poll(); });
        poll_->start(kPollEvery);
        context_.daemon.client().call<DomainMigratePerform3Params>(
            call, [this](rpc::Outcome<DomainMigratePerform3Params> outcome) {
                outcome_ = std::move(outcome);
                context_.daemon.loop().stop();
            });
        while (!outcome_ && !detached_)
            loop.run();
        poll_.reset();
        clear_line();
        return detached_ ? leave() : conclude();
    }

  private:
    void interrupted() {
        if (++interrupts_ > 1) {
            detached_ = true;
            context_.daemon.loop().stop();
            return;
        }
        note("cancelling; once more leaves the migration to the daemons");
        context_.daemon.client().call<DomainAbortJob>({domain_},
                                                      [](rpc::Outcome<DomainAbortJob>) {});
    }

    void poll() {
        poll_->start(kPollEvery);
        suspend_in_time();
        ask_phase();
        context_.daemon.client().call<DomainGetJobStats>(
            {domain_, 0}, [this](rpc::Outcome<DomainGetJobStats> stats) {
                if (stats && !outcome_) show(to_json(stats->parameters));
            });
    }

    void suspend_in_time() {
        const auto elapsed = context_.daemon.loop().now() - started_;
        if (verb_.timeout_s != 0 && !suspended_ && elapsed > verb_.timeout_s * 1s) {
            suspended_ = true;
            note("the time is up: the guest is suspended, so that the migration ends");
            context_.daemon.client().call<rpc::remote::DomainSuspend>({domain_}, [](auto) {});
        }
    }

    void ask_phase() {
        const Json who = Json::object({{"domain", domain_.name}});
        context_.daemon.client().call<rpc::extension::Query>(
            {"status", who.dump()}, [this](rpc::Outcome<rpc::extension::Query> answer) {
                if (!answer) return;
                const auto status = Json::parse(answer->value);
                if (status) phase_ = std::string((*status)["migration"].text("phase"));
            });
    }

    void show(const Json& figures) {
        if (context_.invocation.quiet) return;
        if (context_.as_json()) {
            Json line = Json::object({{"event", "progress"}, {"domain", domain_.name}});
            if (!phase_.empty()) line.set("phase", phase_);
            print_json(line.set("figures", figures));
            return;
        }
        if (isatty(STDERR_FILENO) == 0) return;
        const std::uint64_t total = figures.u64("memory_total");
        const std::uint64_t remaining = figures.u64("memory_remaining");
        const std::uint64_t done = total > remaining ? total - remaining : 0;
        const int percent = total == 0 ? 0 : static_cast<int>(done * 100 / total);
        const std::string bar(static_cast<std::size_t>(percent) / 5, '#');
        std::fprintf(stderr, "\r\033[K%s: %s [%-20s] %3d %%  %s left  %s/s  downtime %s",
                     domain_.name.c_str(), phase_.c_str(), bar.c_str(), percent,
                     size_text(remaining).c_str(), size_text(figures.u64("memory_bps")).c_str(),
                     duration_text(figures.u64("downtime")).c_str());
        std::fflush(stderr);
        has_line_ = true;
    }

    void note(const std::string& text) {
        clear_line();
        std::fprintf(stderr, "segue: %s\n", text.c_str());
    }
    void clear_line() {
        if (has_line_) std::fprintf(stderr, "\r\033[K");
        has_line_ = false;
    }

    VerbResult leave() {
        note("left: the daemons go on; `segue job` tells how");
        return ExitCode::cancelled;
    }

    VerbResult conclude() {
        if (!*outcome_) return tl::make_unexpected(outcome_->error());
        Json answer = Json::object({{"event", "migrated"}, {"domain", domain_.name}});
        answer.set("destination", verb_.destination);
        answer.set("wall_ms", to_ms(context_.daemon.loop().now() - started_));
        if (const auto job = context_.daemon.call<DomainGetJobStats>({domain_, kJobCompleted})) {
            answer.set("figures", to_json(job->parameters));
        }
        const Json who = Json::object({{"domain", domain_.name}});
        if (const auto timeline = context_.daemon.query("timeline", who)) {
            answer.set("timeline", *timeline);
        }
        if (context_.as_json()) {
            print_json(answer);
        } else if (!context_.invocation.quiet) {
            // A domain that left for good took its figures along.
            const Json& figures = answer["figures"];
            const std::string downtime =
                figures.find("downtime") == nullptr
                    ? ""
                    : ", downtime " + duration_text(figures.u64("downtime"));
            print(fmt::format("Domain '{}' runs on {} ({}{})\n", domain_.name, verb_.destination,
                              duration_text(answer.u64("wall_ms")), downtime));
        }
        return ExitCode::ok;
    }

    Context& context_;
    const Migrate& verb_;
    rpc::DomainRef domain_;
    std::optional<rpc::Outcome<DomainMigratePerform3Params>> outcome_;
    std::unique_ptr<Timer> poll_;
    Instant started_;
    int interrupts_ = 0;
    bool detached_ = false;
    std::string phase_;  // libvirt's name of it; empty until it is known
    bool suspended_ = false;
    bool has_line_ = false;
};

}  // namespace

VerbResult run_verb(Context& context, const Migrate& verb) {
    if (verb.check_only) return check_migration(context, verb);
    auto domain = TRY(context.daemon.find_domain(verb.domain));
    return Watched(context, verb, std::move(domain)).run();
}

}  // namespace segue::cli
