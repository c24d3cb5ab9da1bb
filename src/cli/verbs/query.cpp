// SPDX-License-Identifier: LGPL-2.1-or-later
// list, dumpxml, info, display.
#include <map>
#include <set>

#include "cli/print.h"
#include "cli/verbs/verbs.h"
#include "cli/words.h"
#include "rpc/remote.schema.h"

namespace segue::cli {
namespace {

using namespace rpc::remote;

constexpr std::uint32_t kListActive = 1;     // VIR_CONNECT_LIST_DOMAINS_ACTIVE
constexpr std::uint32_t kListInactive = 2;   // VIR_CONNECT_LIST_DOMAINS_INACTIVE
constexpr std::uint32_t kXmlSecure = 1;      // VIR_DOMAIN_XML_SECURE
constexpr std::uint32_t kXmlInactive = 2;    // VIR_DOMAIN_XML_INACTIVE
constexpr std::uint32_t kXmlMigratable = 8;  // VIR_DOMAIN_XML_MIGRATABLE

// "standby", where a domain of ours waits on this host for its primary to be lost; else empty.
std::string standby_word(Connection& daemon, const std::string& name) {
    const auto status = daemon.query("status", Json::object({{"domain", name}}));
    if (!status) return {};
    return (*status)["protection"].text("role") == "standby" ? "standby" : "";
}

// State and reason of every domain, in one question: a host may have a thousand.
Result<std::map<Uuid, std::pair<int, int>>> states_of_all(Connection& daemon) {
    constexpr std::uint32_t kState = 1;  // VIR_DOMAIN_STATS_STATE
    std::map<Uuid, std::pair<int, int>> states;
    const auto reply = TRY(daemon.call<ConnectGetAllDomainStats>({{}, kState, 0}));
    for (const StatisticsRecord& record : reply.records) {
        auto& state = states[record.domain.uuid];
        for (const TypedParameter& parameter : record.parameters) {
            const auto* number = std::get_if<std::int32_t>(&parameter.value);
            if (number != nullptr && parameter.name == "state.state") state.first = *number;
            if (number != nullptr && parameter.name == "state.reason") state.second = *number;
        }
    }
    return states;
}

// Names of the domains that wait on this host for their primary to be lost; none, where the daemon
// does not know the question.
std::set<std::string> standbys_of_all(Connection& daemon) {
    std::set<std::string> names;
    const auto status = daemon.query("status", Json::object());
    if (!status) return names;
    for (const Json& domain : (*status)["domains"].items()) {
        if (domain["protection"].text("role") == "standby") names.emplace(domain.text("domain"));
    }
    return names;
}

// The text of attribute `name` in the first <graphics type='spice' …> of the XML: the daemon wrote
// it, so attributes are quoted and escaped.
std::string graphics_attribute(const std::string& xml, std::string_view type,
                               std::string_view name) {
    for (const char quote : {'\'', '"'}) {
        const std::string start = fmt::format("<graphics type={0}{1}{0}", quote, type);
        const std::size_t at = xml.find(start);
        if (at == std::string::npos) continue;
        const std::string element = xml.substr(at, xml.find('>', at) - at);
        const std::string wanted = fmt::format(" {}={}", name, quote);
        const std::size_t from = element.find(wanted);
        if (from == std::string::npos) return {};
        const std::size_t begin = from + wanted.size();
        return element.substr(begin, element.find(quote, begin) - begin);
    }
    return {};
}

std::string display_of(const std::string& xml) {
    for (const char* type : {"spice", "vnc"}) {
        const std::string port = graphics_attribute(xml, type, "port");
        const std::string tls_port = graphics_attribute(xml, type, "tlsPort");
        std::string host = graphics_attribute(xml, type, "listen");
        if (host.empty() || host == "0.0.0.0" || host == "::") host = "localhost";
        if (host.find(':') != std::string::npos) host = "[" + host + "]";
        const bool has_port = !port.empty() && port != "-1";
        const bool has_tls = !tls_port.empty() && tls_port != "-1";
        if (has_port && has_tls) {
            return fmt::format("{}://{}:{}?tls-port={}", type, host, port, tls_port);
        }
        if (has_port) return fmt::format("{}://{}:{}", type, host, port);
        if (has_tls) return fmt::format("{}://{}?tls-port={}", type, host, tls_port);
    }
    return {};
}

}  // namespace

VerbResult run_verb(Context& context, const ListDomains& verb) {
    const std::uint32_t flags = kListActive | (verb.all ? kListInactive : 0);
    const auto reply = TRY(context.daemon.call<ConnectListAllDomains>({true, flags}));
    const auto states = TRY(states_of_all(context.daemon));
    const auto standbys = standbys_of_all(context.daemon);
    Json list = Json::array();
    Table table{{"Id", "Name", "State"}, {}};
    for (const rpc::DomainRef& domain : reply.domains) {
        const auto state = states.find(domain.uuid);
        if (state == states.end()) continue;  // it went away meanwhile
        const auto [number, reason] = state->second;
        const std::string word(standbys.count(domain.name) != 0 ? "standby" : state_word(number));
        list.push(Json::object({{"id", domain.id},
                                {"name", domain.name},
                                {"uuid", domain.uuid.text()},
                                {"state", word},
                                {"reason", reason_word(number, reason)}}));
        table.rows.push_back({domain.id < 0 ? "-" : std::to_string(domain.id), domain.name, word});
    }
    if (context.as_json()) {
        print_json(list);
    } else {
        print(table.text());
    }
    return ExitCode::ok;
}

VerbResult run_verb(Context& context, const DumpXml& verb) {
    const auto domain = TRY(context.daemon.find_domain(verb.domain));
    const std::uint32_t flags = (verb.secure ? kXmlSecure : 0) |
                                (verb.inactive ? kXmlInactive : 0) |
                                (verb.migratable ? kXmlMigratable : 0);
    const auto reply = TRY(context.daemon.call<DomainGetXmlDesc>({domain, flags}));
    if (context.as_json()) {
        print_json(Json::object({{"domain", domain.name}, {"xml", reply.text}}));
    } else {
        print(reply.text);
    }
    return ExitCode::ok;
}

VerbResult run_verb(Context& context, const ShowInfo& verb) {
    Connection& daemon = context.daemon;
    const auto domain = TRY(daemon.find_domain(verb.domain));
    const auto info = TRY(daemon.call<DomainGetInfo>({domain}));
    const auto state = TRY(daemon.call<DomainGetState>({domain, 0}));
    const auto persistent = TRY(daemon.call<DomainIsPersistent>({domain}));
    std::string state_text =
        fmt::format("{} ({})", state_word(state.state), reason_word(state.state, state.reason));
    if (const std::string role = standby_word(daemon, domain.name); !role.empty()) {
        state_text = role;
    }
    if (context.as_json()) {
        print_json(Json::object({{"id", domain.id},
                                 {"name", domain.name},
                                 {"uuid", domain.uuid.text()},
                                 {"state", state_text},
                                 {"vcpus", info.vcpus},
                                 {"cpu_time_ns", info.cpu_time_ns},
                                 {"memory_bytes", info.memory * 1024},
                                 {"maximum_memory_bytes", info.maximum_memory * 1024},
                                 {"persistent", persistent.value}}));
        return ExitCode::ok;
    }
    const Table table{{},
                      {{"Id", domain.id < 0 ? "-" : std::to_string(domain.id)},
                       {"Name", domain.name},
                       {"UUID", domain.uuid.text()},
                       {"State", state_text},
                       {"CPUs", std::to_string(info.vcpus)},
                       {"CPU time", duration_text(info.cpu_time_ns / 1'000'000)},
                       {"Memory", size_text(info.memory * 1024)},
                       {"Persistent", persistent.value ? "yes" : "no"}}};
    print(table.text());
    return ExitCode::ok;
}

VerbResult run_verb(Context& context, const ShowDisplay& verb) {
    const auto domain = TRY(context.daemon.find_domain(verb.domain));
    const auto reply = TRY(context.daemon.call<DomainGetXmlDesc>({domain, 0}));
    const std::string uri = domain.id < 0 ? "" : display_of(reply.text);
    if (uri.empty()) {
        return fail(ErrorCode::operation_invalid, "'{}' has no display now: is it running?",
                    domain.name);
    }
    if (context.as_json()) {
        print_json(Json::object({{"domain", domain.name}, {"uri", uri}}));
    } else {
        print(uri + "\n");
    }
    return ExitCode::ok;
}

}  // namespace segue::cli
