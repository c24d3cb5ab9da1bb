// SPDX-License-Identifier: LGPL-2.1-or-later
// migrate --check: each precondition of a migration with what was found and the fix, before any
// data moves. It asks both daemons and changes nothing.
#include <algorithm>

#include "cli/print.h"
#include "cli/verbs/verbs.h"
#include "cli/words.h"
#include "migrate/options.h"
#include "rpc/connection_features.h"
#include "rpc/migration.schema.h"
#include "rpc/remote.schema.h"

namespace segue::cli {
namespace {

using namespace rpc::remote;

struct Check {
    bool passed = false;
    std::string what, found, fix;
};

// The text between <tag> and </tag>, first occurrence: of XML that a daemon wrote.
std::string element_text(const std::string& xml, const std::string& tag) {
    const std::size_t open = xml.find("<" + tag + ">");
    if (open == std::string::npos) return {};
    const std::size_t begin = open + tag.size() + 2;
    return xml.substr(begin, xml.find("</" + tag + ">", begin) - begin);
}

class Checks {
  public:
    Checks(Context& context, const Migrate& verb, rpc::DomainRef domain)
        : source_(context.daemon), verb_(verb), domain_(std::move(domain)) {}

    std::vector<Check> run() {
        check_source();
        if (check_destination_reached()) {
            check_hosts_differ();
            check_names();
            check_versions();
            check_address();
            check_arrival();
        }
        return std::move(checks_);
    }

  private:
    void add(bool passed, std::string what, std::string found, std::string fix) {
        checks_.push_back(
            {passed, std::move(what), std::move(found), passed ? "" : std::move(fix)});
    }

    void check_source() {
        const auto state = source_.call<DomainGetState>({domain_, 0});
        const int number = state ? state->state : 0;
        const bool offline = (verb_.flags & migrate::kOffline) != 0;
        add((number == 1 || number == 3) != offline, "domain",
            std::string(state_word(number)) + (offline ? ", --offline" : ""),
            offline ? "shut it down, or leave --offline out" : "start it, or use --offline");
        const auto job = source_.call<rpc::migration::DomainGetJobInfo>({domain_});
        const bool idle = job && job->type == 0;
        add(idle, "no other job",
            idle  ? "none"
            : job ? std::string(job_word(job->type))
                  : "unknown",
            "wait for it, or `segue abort`");
        check_leave();
    }

    // What the source's daemon itself says: Begin looks at disks, flags and parameters,
    // certificates and an outcome that is open, and without change protection it starts nothing.
    void check_leave() {
        const auto parameters = migration_parameters(verb_);
        if (!parameters) return add(false, "options", parameters.error().message, "correct them");
        const auto begin = [&](const std::vector<TypedParameter>& with, std::uint32_t flags) {
            return source_.call<rpc::migration::DomainMigrateBegin3Params>({domain_, with, flags});
        };
        // Alone, since another reason would be said before it.
        const auto plain = begin({}, migrate::kLive | migrate::kPeerToPeer);
        const bool unsafe = !plain && plain.error().code == ErrorCode::migrate_unsafe;
        const bool is_told = (verb_.flags & migrate::kUnsafe) != 0;
        add(is_told || !unsafe, "disks",
            is_told  ? "not looked at: --unsafe"
            : unsafe ? plain.error().message
            : plain  ? "shared, or none that is written to"
                     : "not looked at",
            "put them on shared storage, or say --unsafe where the storage is shared");
        const std::uint32_t protection = migrate::kChangeProtection;
        const auto begun =
            begin(*parameters, (migration_flags(verb_) & ~protection) | migrate::kUnsafe);
        if (begun) leaving_xml_ = begun->xml;
        add(begun.has_value(), "may leave", begun ? "yes" : begun.error().message,
            "do what the daemon says, or leave the option out");
    }

    bool check_destination_reached() {
        auto opened = Connection::open(verb_.destination);
        add(opened.has_value(), "destination", opened ? verb_.destination : opened.error().message,
            "start segued there with --listen tcp:ADDR:PORT or tls:ADDR:PORT, and open the port");
        if (!opened) return false;
        destination_ = std::move(*opened);
        return true;
    }

    static std::string host_uuid(Connection& daemon) {
        const auto capabilities = daemon.call<ConnectGetCapabilities>({});
        return capabilities ? element_text(capabilities->text, "uuid") : "";
    }
    void check_hosts_differ() {
        const std::string here = host_uuid(source_), there = host_uuid(*destination_);
        add(!here.empty() && !there.empty() && here != there, "two hosts",
            here == there ? "both have the host UUID " + here : here + " → " + there,
            "start one segued with another --host-uuid");
        const auto params =
            destination_->call<ConnectSupportsFeature>({rpc::kFeatureMigrationParams});
        add(params && params->value == 1, "protocol",
            params && params->value == 1 ? "version 3 with parameters" : "older",
            "update the destination's daemon");
    }

    void check_names() {
        const std::string& name = verb_.new_name.empty() ? domain_.name : verb_.new_name;
        const auto found = destination_->call<DomainLookupByName>({name});
        const bool clash = found && found->domain.uuid != domain_.uuid;
        const bool running = found && found->domain.id >= 0;
        const auto same = destination_->call<DomainLookupByUuid>({domain_.uuid});
        const bool renamed = same && same->domain.name != name;
        add(!renamed, "UUID there",
            renamed ? "it is defined as '" + same->domain.name + "'" : "free",
            "undefine '" + (renamed ? same->domain.name : name) + "' there, or say --dname " +
                (renamed ? same->domain.name : name));
        add(!clash && !running, "name there",
            clash     ? "'" + name + "' is another domain"
            : running ? "'" + name + "' runs there"
                      : "free",
            "choose another name with --dname, or undefine the one that is there");
    }

    void check_versions() {
        const auto here = source_.call<ConnectGetVersion>({});
        const auto there = destination_->call<ConnectGetVersion>({});
        const auto text = [](std::uint64_t version) {
            return fmt::format("{}.{}.{}", version / 1'000'000, version / 1000 % 1000,
                               version % 1000);
        };
        if (!here || !there) return add(false, "QEMU", "unknown", "install QEMU on both hosts");
        add(there->value >= here->value, "QEMU", text(here->value) + " → " + text(there->value),
            "update QEMU on the destination: an older one may refuse the newer one's state");
    }

    void check_address() {
        const auto name = destination_->call<ConnectGetHostname>({});
        const bool is_local = name && name->text.rfind("localhost", 0) == 0;
        const bool given = !verb_.migrate_uri.empty();
        add(name && (!is_local || given), "host name there", name ? name->text : "unknown",
            "give the host a name, or say --migrateuri tcp://ADDRESS");
    }

    // The source's own resolver is the one that counts: this program may run on a third host.
    void check_source_finds(const std::string& host) {
        const auto found = source_.command("lookup", Json::object({{"host", host}}));
        if (!found && found.error().code == ErrorCode::no_support) return;
        const auto addresses = found ? (*found)["addresses"].items() : std::vector<Json>();
        const bool passed = !addresses.empty();
        const std::string first = passed ? std::string(addresses[0].as_text().value_or("")) : "";
        add(passed, "the way there", passed ? host + " → " + first : reason(found, host),
            "let the source resolve that name, set [migration] address there, or say "
            "--migrateuri tcp://ADDRESS");
    }

    static std::string reason(const Result<Json>& found, const std::string& host) {
        return found ? "'" + host + "' has no address" : found.error().message;
    }

    // What Prepare would look at, said by the destination itself. Another daemon than ours has no
    // such question, and a domain that may not leave has nothing to show.
    void check_arrival() {
        if (leaving_xml_.empty()) return;
        const auto said = destination_->command(
            "arrival", Json::object({{"xml", leaving_xml_},
                                     {"flags", verb_.flags},
                                     {"name", verb_.new_name},
                                     {"uri", verb_.migrate_uri},
                                     {"listen_address", verb_.listen_address}}));
        if (!said && said.error().code == ErrorCode::no_support) {
            return add(true, "what is there", "not asked: no segued", "");
        }
        if (!said) return add(false, "what is there", said.error().message, "update segued there");
        for (const Json& one : (*said)["findings"].items()) {
            add(one.flag("passed"), std::string(one.text("what")), std::string(one.text("found")),
                std::string(one.text("fix")));
        }
        if (const std::string host(said->text("host")); !host.empty()) check_source_finds(host);
    }

    Connection& source_;
    const Migrate& verb_;
    std::string leaving_xml_;
    rpc::DomainRef domain_;
    std::unique_ptr<Connection> destination_;
    std::vector<Check> checks_;
};

}  // namespace

VerbResult check_migration(Context& context, const Migrate& verb) {
    auto domain = TRY(context.daemon.find_domain(verb.domain));
    const auto checks = Checks(context, verb, std::move(domain)).run();
    Json list = Json::array();
    Table table;
    for (const Check& one : checks) {
        list.push(Json::object(
            {{"passed", one.passed}, {"what", one.what}, {"found", one.found}, {"fix", one.fix}}));
        table.rows.push_back({one.passed ? "pass" : "FAIL", one.what, one.found});
        if (!one.fix.empty()) table.rows.push_back({"", "", "→ " + one.fix});
    }
    if (context.as_json()) {
        print_json(list);
    } else {
        print(table.text());
    }
    const bool all =
        std::all_of(checks.begin(), checks.end(), [](const Check& one) { return one.passed; });
    return all ? ExitCode::ok : ExitCode::refused;
}

}  // namespace segue::cli
