// SPDX-License-Identifier: LGPL-2.1-or-later
// job, abort, resolve.
#include "cli/figures.h"
#include "cli/print.h"
#include "cli/verbs/verbs.h"
#include "cli/words.h"
#include "rpc/migration.schema.h"

namespace segue::cli {
namespace {

using namespace rpc::migration;

// How the last migration ended; null where none is remembered, or by a daemon that is not ours.
Json last_migration(Context& context, const std::string& domain) {
    const auto status = context.daemon.query("status", Json::object({{"domain", domain}}));
    return status ? (*status)["last_migration"] : Json();
}

void add_outcome(Table& table, const Json& last) {
    if (!last.is_object()) return;
    table.rows.push_back({"outcome", std::string(last.text("outcome"))});
    table.rows.push_back({"ended", figure_text("ended_ms", last["ended_ms"])});
    if (const auto cause = last.text("cause"); !cause.empty()) {
        table.rows.push_back({"cause", std::string(cause)});
    }
}

}  // namespace

VerbResult run_verb(Context& context, const ShowJob& verb) {
    const auto domain = TRY(context.daemon.find_domain(verb.domain));
    const std::uint32_t flags = verb.completed ? kJobCompleted | kJobKeepCompleted : 0;
    const auto job = TRY(context.daemon.call<DomainGetJobStats>({domain, flags}));
    const Json figures = to_json(job.parameters);
    const Json last = verb.completed ? last_migration(context, domain.name) : Json();
    if (context.as_json()) {
        Json said = Json::object({{"job", job_word(job.type)}, {"figures", figures}});
        if (verb.completed) said.set("last_migration", last);
        print_json(said);
        return ExitCode::ok;
    }
    Table table{{}, {{"Job", std::string(job_word(job.type))}}};
    add_outcome(table, last);
    for (const auto& [name, value] : figures.members())
        table.rows.push_back({figure_name(name), figure_text(name, value)});
    print(table.text());
    return ExitCode::ok;
}

VerbResult run_verb(Context& context, const AbortJob& verb) {
    const auto domain = TRY(context.daemon.find_domain(verb.domain));
    TRY(context.daemon.call<DomainAbortJob>({domain}));
    if (!context.invocation.quiet && !context.as_json()) {
        print(fmt::format("The job of domain '{}' is being cancelled\n", domain.name));
    }
    return ExitCode::ok;
}

VerbResult run_verb(Context& context, const Resolve& verb) {
    const auto domain = TRY(context.daemon.find_domain(verb.domain));
    const Json answer = TRY(context.daemon.command(
        "resolve",
        Json::object({{"domain", domain.name}, {"runs", verb.runs_here ? "here" : "there"}})));
    if (context.as_json()) {
        print_json(answer);
        return ExitCode::ok;
    }
    if (!context.invocation.quiet) {
        print(fmt::format("Domain '{}': {}\n", domain.name, answer.text("outcome", "resolved")));
    }
    // Also where nothing else is said: it is what keeps the disks whole.
    if (const auto warning = answer.text("warning"); !warning.empty()) {
        std::fprintf(stderr, "segue: WARNING: %s\n", std::string(warning).c_str());
    }
    return ExitCode::ok;
}

}  // namespace segue::cli
