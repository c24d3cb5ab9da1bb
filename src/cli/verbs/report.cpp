// SPDX-License-Identifier: LGPL-2.1-or-later
// report: one JSON value with what a bug report needs. The daemon leaves secrets out of its part;
// the XML is asked for without the secure flag.
#include "cli/print.h"
#include "cli/verbs/doctor.h"
#include "cli/verbs/verbs.h"
#include "rpc/remote.schema.h"

namespace segue::cli {
namespace {

using namespace rpc::remote;

Json host_part(const Invocation& invocation) {
    Json list = Json::array();
    for (const Finding& one : examine_host(invocation.uri)) {
        list.push(Json::object({{"what", one.what},
                                {"found", one.found},
                                {"good", one.grade == Finding::Grade::good}}));
    }
    return list;
}

Json domain_part(Connection& daemon) {
    constexpr std::uint32_t kEveryDomain = 0;
    Json list = Json::array();
    const auto domains = daemon.call<ConnectListAllDomains>({true, kEveryDomain});
    if (!domains) return list;
    for (const rpc::DomainRef& domain : domains->domains) {
        Json one = Json::object({{"name", domain.name}, {"id", domain.id}});
        if (const auto xml = daemon.call<DomainGetXmlDesc>({domain, 0})) one.set("xml", xml->text);
        const Json who = Json::object({{"domain", domain.name}});
        if (const auto status = daemon.query("status", who)) one.set("status", *status);
        if (const auto timeline = daemon.query("timeline", who)) one.set("timeline", *timeline);
        list.push(std::move(one));
    }
    return list;
}

}  // namespace

VerbResult run_verb(Context& context, const Report&) {
    Connection& daemon = context.daemon;
    Json report = Json::object({{"segue", SEGUE_VERSION}, {"uri", context.invocation.uri}});
    report.set("host", host_part(context.invocation));
    if (const auto version = daemon.call<ConnectGetVersion>({})) {
        report.set("hypervisor_version", version->value);
    }
    if (const auto part = daemon.query("report", Json::object())) report.set("daemon", *part);
    report.set("domains", domain_part(daemon));
    print_json(report);
    return ExitCode::ok;
}

}  // namespace segue::cli
