// SPDX-License-Identifier: LGPL-2.1-or-later
// define, create, start, shutdown, reboot, suspend, resume, destroy, undefine.
#include <cerrno>
#include <cstdio>
#include <memory>

#include "cli/print.h"
#include "cli/verbs/verbs.h"
#include "rpc/remote.schema.h"

namespace segue::cli {
namespace {

using namespace rpc::remote;

constexpr std::size_t kTextBytes = 4 << 20;
constexpr std::uint32_t kStartPaused = 1;  // VIR_DOMAIN_START_PAUSED

void say(const Context& context, const std::string& name, std::string_view done) {
    if (context.as_json()) {
        print_json(Json::object({{"domain", name}, {"done", done}}));
    } else if (!context.invocation.quiet) {
        print(fmt::format("Domain '{}' {}\n", name, done));
    }
}

Result<std::string_view> carry_out(Connection& daemon, const rpc::DomainRef& domain,
                                   const ChangeLife& verb) {
    using Act = ChangeLife::Act;
    switch (verb.act) {
        case Act::start:
            TRY(daemon.call<DomainCreateWithFlags>({domain, verb.paused ? kStartPaused : 0}));
            return "started";
        case Act::shutdown: TRY(daemon.call<DomainShutdown>({domain})); return "is shutting down";
        case Act::reboot: TRY(daemon.call<DomainReboot>({domain, 0})); return "is rebooting";
        case Act::suspend: TRY(daemon.call<DomainSuspend>({domain})); return "suspended";
        case Act::resume: TRY(daemon.call<DomainResume>({domain})); return "resumed";
        case Act::destroy: TRY(daemon.call<DomainDestroy>({domain})); return "destroyed";
        case Act::undefine: TRY(daemon.call<DomainUndefine>({domain})); return "undefined";
    }
    return fail(ErrorCode::internal, "unknown act");
}

}  // namespace

Result<std::string> read_text(const std::string& file) {
    std::FILE* input = file == "-" ? stdin : std::fopen(file.c_str(), "re");
    if (input == nullptr) return fail_errno("open", file, errno);
    std::string text(kTextBytes + 1, '\0');
    text.resize(std::fread(text.data(), 1, text.size(), input));
    const bool failed = std::ferror(input) != 0;
    const int why = errno;
    if (input != stdin) std::fclose(input);
    if (failed) return fail_errno("read", file, why);
    if (text.size() > kTextBytes) {
        return fail(ErrorCode::limit_exceeded, "'{}' is larger than {} bytes", file, kTextBytes);
    }
    return text;
}

VerbResult run_verb(Context& context, const DefineDomain& verb) {
    const std::string xml = TRY(read_text(verb.file));
    if (verb.start) {
        const auto reply = TRY(context.daemon.call<DomainCreateXml>({xml, 0}));
        say(context, reply.domain.name, "created");
    } else {
        const auto reply = TRY(context.daemon.call<DomainDefineXml>({xml}));
        say(context, reply.domain.name, "defined");
    }
    return ExitCode::ok;
}

VerbResult run_verb(Context& context, const ChangeLife& verb) {
    const auto domain = TRY(context.daemon.find_domain(verb.domain));
    say(context, domain.name, TRY(carry_out(context.daemon, domain, verb)));
    return ExitCode::ok;
}

}  // namespace segue::cli
