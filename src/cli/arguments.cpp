// SPDX-License-Identifier: LGPL-2.1-or-later
// The command line of `segue`. CLI11 stays in this file.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>

#include "cli/exit_code.h"
#include "cli/invocation.h"
#include "cli/print.h"
#include "migrate/options.h"

namespace segue::cli {
namespace {

constexpr const char* kDefaultUri = "qemu+unix:///system?socket=/run/segue/segue.sock";

std::string default_uri() {
    for (const char* name : {"SEGUE_URI", "LIBVIRT_DEFAULT_URI"}) {
        const char* value = std::getenv(name);
        if (value != nullptr && *value != '\0') return value;
    }
    return kDefaultUri;
}

// What is wrong with it, or nothing: the library's own reading takes "-1" as the largest number.
std::string whole_number(const std::string& text, std::uint64_t most) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc{} && end == text.data() + text.size() && value <= most) return {};
    return fmt::format("{:?} is not a number from 0 to {}", text, most);
}

// What each flag of libvirt does, in a line.
std::string help_of(const migrate::FlagInfo& flag) {
    static constexpr std::pair<std::uint64_t, const char*> kHelp[] = {
        {migrate::kLive, "The guest runs on while its memory moves (always so with segue)"},
        {migrate::kPeerToPeer, "The daemons drive it (always so here)"},
        {migrate::kTunnelled, "Send the memory through the daemons' own connection"},
        {migrate::kPersistDestination, "Keep the definition on the other host"},
        {migrate::kUndefineSource, "Forget the definition on this host"},
        {migrate::kPaused, "Leave the guest paused on the other host"},
        {migrate::kChangeProtection, "Refuse changes of the domain meanwhile"},
        {migrate::kUnsafe, "Also where the disks do not look shared"},
        {migrate::kOffline, "Move the definition of a domain that does not run"},
        {migrate::kCompressed, "Send differences of pages that were sent before (XBZRLE)"},
        {migrate::kAbortOnError, "Give up when a disk fails meanwhile"},
        {migrate::kAutoConverge, "Slow the guest down until the migration can end"},
        {migrate::kTls, "Encrypt the memory, with the daemons' certificates"},
        {migrate::kParallel, "Send over several connections"},
    };
    for (const auto& [bit, help] : kHelp) {
        if (bit == flag.flag) return help;
    }
    return fmt::format("As in virsh: VIR_MIGRATE_{}", flag.name);
}

// Declares the verbs on `app`; the one that is parsed leaves itself in `chosen`.
class Verbs {
  public:
    Verbs(CLI::App& app, Verb& chosen) : app_(app), chosen_(chosen) {}

    void declare_all() {
        declare_life();
        declare_queries();
        declare_migrate();
        declare_jobs();
        declare_protection();
        declare_host();
    }

  private:
    template <class T>
    CLI::App* verb(const char* name, const char* help, std::shared_ptr<T> value) {
        CLI::App* command = app_.add_subcommand(name, help);
        command->callback([&chosen = chosen_, value] { chosen = *value; });
        return command;
    }
    static CLI::Option* domain_of(CLI::App* command, std::string& domain) {
        return command->add_option("domain", domain, "Name, UUID or id")->required();
    }

    void declare_life() {
        for (const bool start : {false, true}) {
            auto define = std::make_shared<DefineDomain>();
            define->start = start;
            verb(start ? "create" : "define",
                 start ? "Start a domain from XML, without keeping its definition"
                       : "Keep the definition of a domain",
                 define)
                ->add_option("file", define->file, "Domain XML; - is standard input")
                ->required();
        }
        using Act = ChangeLife::Act;
        const std::pair<Act, std::pair<const char*, const char*>> acts[] = {
            {Act::start, {"start", "Start a defined domain"}},
            {Act::shutdown, {"shutdown", "Ask the guest to shut down"}},
            {Act::reboot, {"reboot", "Ask the guest to reboot"}},
            {Act::suspend, {"suspend", "Stop the guest's processors"}},
            {Act::resume, {"resume", "Let them run again"}},
            {Act::destroy, {"destroy", "End the domain at once"}},
            {Act::undefine, {"undefine", "Forget the definition"}},
        };
        for (const auto& [act, text] : acts) {
            auto change = std::make_shared<ChangeLife>();
            change->act = act;
            CLI::App* command = verb(text.first, text.second, change);
            domain_of(command, change->domain);
            if (act == Act::start) command->add_flag("--paused", change->paused, "Do not run yet");
        }
    }

    void declare_queries() {
        auto list = std::make_shared<ListDomains>();
        verb("list", "The domains of the host", list)
            ->add_flag("--all", list->all, "Also those that are shut off");
        auto dump = std::make_shared<DumpXml>();
        CLI::App* dump_command = verb("dumpxml", "The domain's XML", dump);
        domain_of(dump_command, dump->domain);
        dump_command->add_flag("--inactive", dump->inactive, "As it will be at the next start");
        dump_command->add_flag("--security-info", dump->secure, "With passwords");
        dump_command->add_flag("--migratable", dump->migratable, "As a migration sends it");
        auto info = std::make_shared<ShowInfo>();
        domain_of(verb("info", "What the domain is and does", info), info->domain);
        auto display = std::make_shared<ShowDisplay>();
        domain_of(verb("display", "Where a viewer connects", display), display->domain);
        auto console = std::make_shared<OpenConsole>();
        CLI::App* console_command = verb("console", "The serial console; ^] leaves it", console);
        domain_of(console_command, console->domain);
        console_command->add_option("--devname", console->device, "Alias of the device");
    }

    void declare_migrate() {
        auto wanted = std::make_shared<Migrate>();
        CLI::App* command = verb("migrate", "Move a running domain to another host", wanted);
        domain_of(command, wanted->domain);
        command->add_option("destination", wanted->destination, "URI of the other daemon")
            ->required();
        for (const migrate::FlagInfo& flag : migrate::migrate_flags()) {
            if (!flag.refusal.empty()) continue;
            command->add_flag_callback(
                std::string(flag.option), [wanted, bit = flag.flag] { wanted->flags |= bit; },
                help_of(flag));
        }
        command->add_option("--dname", wanted->new_name, "Its name on the other host");
        command->add_option("--xml", wanted->new_xml_file, "Its XML on the other host");
        command->add_option("--persistent-xml", wanted->persistent_xml_file,
                            "The definition that is kept there");
        command->add_option("--migrateuri", wanted->migrate_uri, "tcp://HOST[:PORT] for the data");
        command->add_option("--graphicsuri", wanted->graphics_uri, "spice://HOST:PORT for viewers");
        command->add_option("--listen-address", wanted->listen_address, "Where the target listens");
        command->add_option("--bandwidth", wanted->bandwidth_mib_s, "At most so many MiB/s");
        command->add_option("--max-downtime", wanted->max_downtime_ms, "At most so many ms");
        command
            ->add_option("--parallel-connections", wanted->parallel_connections, "For --parallel")
            ->check(CLI::Range(1, 255));
        command->add_option("--timeout", wanted->timeout_s, "Suspend the guest after so many s");
        command->add_option("--screen-wait", wanted->screen_wait_ms,
                            "Wait at most so many ms for viewers to link to the target");
        command->add_flag("--check", wanted->check_only,
                          "Only print each precondition, with its remedy");
        declare_more(*command, wanted);
    }

    // Those of virsh that nothing here has to know.
    static void declare_more(CLI::App& command, const std::shared_ptr<Migrate>& wanted) {
        for (const migrate::ParameterInfo& parameter : migrate::migrate_parameters()) {
            const std::string option(parameter.option);
            const bool known = option.empty() || command.get_option_no_throw(option) != nullptr;
            if (known || !parameter.refusal.empty()) continue;
            const auto keep = [wanted, name = std::string(parameter.name)](const auto& value) {
                wanted->more.emplace_back(name, value);
            };
            if (parameter.kind == rpc::remote::ParameterKind::text) {
                command.add_option_function<std::string>(option, keep, "As of virsh");
                continue;
            }
            const bool narrow = parameter.kind == rpc::remote::ParameterKind::int32;
            const std::uint64_t most = narrow ? INT32_MAX : UINT64_MAX;
            command.add_option_function<std::uint64_t>(option, keep, "As of virsh")
                ->check([most](const std::string& text) { return whole_number(text, most); });
        }
    }

    void declare_jobs() {
        auto job = std::make_shared<ShowJob>();
        CLI::App* job_command = verb("job", "The domain's job and its figures", job);
        domain_of(job_command, job->domain);
        job_command->add_flag("--completed", job->completed, "Of the last one that ended");
        auto abort = std::make_shared<AbortJob>();
        domain_of(verb("abort", "Cancel the domain's job", abort), abort->domain);
        auto resolve = std::make_shared<Resolve>();
        CLI::App* resolve_command =
            verb("resolve", "Decide where a domain runs whose migration was torn apart", resolve);
        domain_of(resolve_command, resolve->domain);
        auto* where = resolve_command->add_option_group("where")->require_option(1);
        where->add_flag("--runs-here", resolve->runs_here,
                        "You vouch: the other host's copy is dead and stays dead");
        where->add_flag("--runs-there")
            ->description("The other host's copy is; this one is given up");
    }

    void declare_protection() {
        auto protect = std::make_shared<Protect>();
        CLI::App* command = verb("protect", "Keep a standby of a running domain", protect);
        domain_of(command, protect->domain);
        command->add_option("--standby", protect->standby, "URI of the standby's daemon")
            ->required();
        command->add_option("--witness", protect->witness,
                            "URI of a third daemon that decides, or etcd://HOST");
        command->add_option("--interval", protect->interval_ms, "Milliseconds between checkpoints");
        command->add_option("--on-loss", protect->on_loss, "What the standby does")
            ->check(CLI::IsMember({"promote", "hold"}));
        command->add_option("--gate", protect->gate, "Where output is held")
            ->check(CLI::IsMember({"standby", "primary"}));
        command->add_option("--screen", protect->screen, "When clients see what the guest shows")
            ->check(CLI::IsMember({"early", "held"}));
        command->add_flag("--shared-storage", protect->shared_storage,
                          "Copy no disk: a guest that is taken over starts anew");
        command
            ->add_option("--mode", protect->mode,
                         "hybrid: the standby's guest runs too, and what both say leaves at once")
            ->check(CLI::IsMember({"periodic", "hybrid"}));
        command->add_flag("--allow-tcg", protect->allow_tcg,
                          "Accept a QEMU whose emulation loses dirty pages");
        auto unprotect = std::make_shared<Unprotect>();
        domain_of(verb("unprotect", "Give the standby up", unprotect), unprotect->domain);
        auto failover = std::make_shared<Failover>();
        CLI::App* failover_command = verb("failover", "Let the standby take over", failover);
        domain_of(failover_command, failover->domain);
        auto* planned = failover_command->add_flag("--planned", failover->planned, "Without loss");
        failover_command->add_flag("--force", failover->force, "The primary is known to be dead")
            ->excludes(planned);
    }

    void declare_host() {
        auto status = std::make_shared<ShowStatus>();
        verb("status", "Migration and protection of a domain, or of all", status)
            ->add_option("domain", status->domain, "Name, UUID or id");
        auto events = std::make_shared<FollowEvents>();
        CLI::App* events_command = verb("events", "What happens, as it happens", events);
        events_command->add_option("domain", events->domain, "Name, UUID or id");
        events_command->add_option("--count", events->count, "End after so many")
            ->check(CLI::Range(1u, 1'000'000'000u));
        verb("doctor", "Name what is missing on this host, and the remedy",
             std::make_shared<Doctor>());
        verb("report", "Everything a bug report needs, without secrets",
             std::make_shared<Report>());
    }

    CLI::App& app_;
    Verb& chosen_;
};

void declare_globals(CLI::App& app, Invocation& invocation) {
    app.require_subcommand(1);
    app.fallthrough();
    app.set_version_flag("--version", "segue " SEGUE_VERSION);
    app.add_option("-c,--connect", invocation.uri, "The daemon")
        ->type_name("URI")
        ->capture_default_str();
    app.add_flag("-q,--quiet", invocation.quiet, "No progress, no chatter");
    app.add_option_function<std::string>(
           "--output",
           [&invocation](const std::string& word) {
               invocation.output = word == "json" ? Output::json : Output::table;
           },
           "What is printed [table]")
        ->type_name("table|json")
        ->check([](const std::string& word) {
            return word == "table" || word == "json" ? std::string()
                                                     : "must be table or json, not " + word;
        });
}

// Asked of the words themselves: they could not be parsed.
bool asks_for_json(int argc, const char* const* argv) {
    for (int at = 1; at < argc; ++at) {
        const std::string_view word = argv[at];
        if (word == "--output=json") return true;
        if (word == "--output" && at + 1 < argc) return std::string_view(argv[at + 1]) == "json";
    }
    return false;
}

// The first word where a verb must stand, if it is none.
std::string unknown_verb(const CLI::App& app, int argc, const char* const* argv) {
    for (int at = 1; at < argc; ++at) {
        const std::string word = argv[at];
        const bool takes_value = word == "-c" || word == "--connect" || word == "--output";
        if (takes_value) ++at;
        if (word.empty() || word.front() == '-') continue;
        const auto verbs = app.get_subcommands([&](const CLI::App* verb) {  //
            return verb->get_name() == word;
        });
        return verbs.empty() ? word : "";
    }
    return {};
}

}  // namespace

Parsed parse_arguments(int argc, const char* const* argv) {
    CLI::App app("segue: lists, moves and protects virtual machines");
    Invocation invocation;
    invocation.uri = default_uri();
    declare_globals(app, invocation);
    Verbs(app, invocation.verb).declare_all();
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        const bool is_usage_error = error.get_exit_code() != 0;
        // CLI11 would only say that a subcommand is required.
        if (!is_usage_error) {
            app.exit(error);
            return {std::nullopt, 0};
        }
        const std::string unknown = unknown_verb(app, argc, argv);
        print_error(
            {ErrorCode::invalid_argument,
             unknown.empty() ? std::string(error.what()) + "; `segue --help` explains"
                             : "there is no verb '" + unknown + "'; `segue --help` names them"},
            asks_for_json(argc, argv));
        return {std::nullopt, static_cast<int>(ExitCode::usage)};
    }
    return {std::move(invocation), 0};
}

std::vector<std::string> verb_names() {
    CLI::App app;
    Verb chosen;
    Verbs(app, chosen).declare_all();
    std::vector<std::string> names;
    for (const CLI::App* command : app.get_subcommands({}))
        names.push_back(command->get_name());
    return names;
}

}  // namespace segue::cli
