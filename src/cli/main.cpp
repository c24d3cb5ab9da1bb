// SPDX-License-Identifier: LGPL-2.1-or-later
#include <csignal>

#include "base/log.h"
#include "cli/print.h"
#include "cli/verbs/doctor.h"
#include "cli/verbs/verbs.h"

namespace segue::cli {
namespace {

// Doctor is the one verb that must work where no daemon does.
VerbResult run_verb(Context& context, const Doctor&) {
    return doctor(context.invocation);
}

VerbResult run(const Invocation& invocation) {
    if (std::holds_alternative<Doctor>(invocation.verb)) return doctor(invocation);
    auto daemon = TRY(Connection::open(invocation.uri));
    Context context{*daemon, invocation};
    return std::visit([&](const auto& verb) { return run_verb(context, verb); }, invocation.verb);
}

}  // namespace
}  // namespace segue::cli

int main(int argc, char** argv) {
    using namespace segue::cli;
    std::signal(SIGPIPE, SIG_IGN);
    segue::set_log_level(segue::LogLevel::warning);
    const Parsed parsed = parse_arguments(argc, argv);
    if (!parsed.invocation) return parsed.exit_code;
    const VerbResult outcome = run(*parsed.invocation);
    if (!outcome) {
        return static_cast<int>(
            print_error(outcome.error(), parsed.invocation->output == Output::json));
    }
    return static_cast<int>(print_failed() ? ExitCode::failed : *outcome);
}
