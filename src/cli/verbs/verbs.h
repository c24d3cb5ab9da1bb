// SPDX-License-Identifier: LGPL-2.1-or-later
// One function a verb. Each prints its own answer; an error goes back to main, which prints it
// once.
#pragma once

#include "cli/connection.h"
#include "cli/exit_code.h"
#include "cli/invocation.h"
#include "rpc/remote_types.schema.h"

namespace segue::cli {

// What every verb gets: the daemon, and how the user wants answers.
struct Context {
    Connection& daemon;
    const Invocation& invocation;

    bool as_json() const { return invocation.output == Output::json; }
};

using VerbResult = Result<ExitCode>;

// life.cpp
VerbResult run_verb(Context& context, const DefineDomain& verb);
VerbResult run_verb(Context& context, const ChangeLife& verb);
// query.cpp
VerbResult run_verb(Context& context, const ListDomains& verb);
VerbResult run_verb(Context& context, const DumpXml& verb);
VerbResult run_verb(Context& context, const ShowInfo& verb);
VerbResult run_verb(Context& context, const ShowDisplay& verb);
// console.cpp
VerbResult run_verb(Context& context, const OpenConsole& verb);
// migrate.cpp
VerbResult run_verb(Context& context, const Migrate& verb);
// What the options say as libvirt's typed parameters; an error where a file of them cannot be read.
Result<std::vector<rpc::remote::TypedParameter>> migration_parameters(const Migrate& verb);
std::uint32_t migration_flags(const Migrate& verb);
// migrate_check.cpp
VerbResult check_migration(Context& context, const Migrate& verb);
// job.cpp
VerbResult run_verb(Context& context, const ShowJob& verb);
VerbResult run_verb(Context& context, const AbortJob& verb);
VerbResult run_verb(Context& context, const Resolve& verb);
// protection.cpp
VerbResult run_verb(Context& context, const Protect& verb);
VerbResult run_verb(Context& context, const Unprotect& verb);
VerbResult run_verb(Context& context, const Failover& verb);
// status.cpp
VerbResult run_verb(Context& context, const ShowStatus& verb);
// events.cpp
VerbResult run_verb(Context& context, const FollowEvents& verb);
// report.cpp
VerbResult run_verb(Context& context, const Report& verb);

// A whole file; "-" is standard input. Limit: 4 MiB, what a message of the protocol may carry.
Result<std::string> read_text(const std::string& file);

}  // namespace segue::cli
