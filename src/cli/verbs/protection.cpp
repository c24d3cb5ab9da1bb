// SPDX-License-Identifier: LGPL-2.1-or-later
// protect, unprotect, failover.
#include "cli/print.h"
#include "cli/verbs/verbs.h"

namespace segue::cli {
namespace {

VerbResult tell(Context& context, const std::string& command, const Json& arguments) {
    const Json answer = TRY(context.daemon.command(command, arguments));
    if (context.as_json()) {
        print_json(answer);
    } else if (!context.invocation.quiet) {
        print(fmt::format("Domain '{}': {}\n", arguments.text("domain"),
                          answer.text("outcome", "done")));
    }
    return ExitCode::ok;
}

}  // namespace

VerbResult run_verb(Context& context, const Protect& verb) {
    const auto domain = TRY(context.daemon.find_domain(verb.domain));
    Json arguments = Json::object({{"domain", domain.name},
                                   {"standby", verb.standby},
                                   {"on_loss", verb.on_loss},
                                   {"gate", verb.gate},
                                   {"screen", verb.screen},
                                   {"shared_storage", verb.shared_storage},
                                   {"mode", verb.mode},
                                   {"allow_tcg", verb.allow_tcg}});
    if (!verb.witness.empty()) arguments.set("witness", verb.witness);
    if (verb.interval_ms != 0) arguments.set("interval_ms", verb.interval_ms);
    return tell(context, "protect", arguments);
}

VerbResult run_verb(Context& context, const Unprotect& verb) {
    const auto domain = TRY(context.daemon.find_domain(verb.domain));
    return tell(context, "unprotect", Json::object({{"domain", domain.name}}));
}

VerbResult run_verb(Context& context, const Failover& verb) {
    const auto domain = TRY(context.daemon.find_domain(verb.domain));
    return tell(
        context, "failover",
        Json::object({{"domain", domain.name}, {"planned", verb.planned}, {"force", verb.force}}));
}

}  // namespace segue::cli
