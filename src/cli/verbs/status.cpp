// SPDX-License-Identifier: LGPL-2.1-or-later
// status: where a domain runs, what its migration and its protection do, and the way on when
// somebody has to decide.
#include "cli/figures.h"
#include "cli/print.h"
#include "cli/verbs/verbs.h"

namespace segue::cli {
namespace {

// Nested objects as "protection.role", one line each.
void flatten(const Json& value, const std::string& name, Table& table) {
    if (value.is_object()) {
        for (const auto& [key, member] : value.members()) {
            flatten(member, name.empty() ? key : name + "." + key, table);
        }
    } else if (value.is_array()) {
        std::size_t number = 0;
        for (const Json& item : value.items()) {
            flatten(item, fmt::format("{}[{}]", name, number++), table);
        }
    } else if (!value.is_null()) {
        table.rows.push_back({figure_name(name), figure_text(name, value)});
    }
}

std::string or_dash(std::string_view text) {
    return text.empty() || text == "none" ? "-" : std::string(text);
}

// The host, a line for each domain, and what somebody must decide.
std::string host_text(const Json& answer) {
    const Table host{{},
                     {{"Host", std::string(answer.text("host"))},
                      {"UUID", std::string(answer.text("uuid"))},
                      {"segued", std::string(answer.text("version"))}}};
    Table domains{{"Name", "State", "Migration", "Protection"}, {}};
    std::string decisions;
    for (const Json& domain : answer["domains"].items()) {
        const Json& migration = domain["migration"];
        const std::string phase =
            fmt::format("{} {}", migration.text("side"), migration.text("phase"));
        domains.rows.push_back({std::string(domain.text("domain")),
                                fmt::format("{} ({})", domain.text("state"), domain.text("reason")),
                                migration.is_object() ? phase : "-",
                                or_dash(domain["protection"].text("state"))});
        for (const char* const what : {"unresolved", "recovering"}) {
            const auto said = domain.text(what);
            if (!said.empty()) decisions += fmt::format("\n{}: {}\n", domain.text("domain"), said);
        }
    }
    const bool empty = domains.rows.empty();
    return host.text() + "\n" + (empty ? "No domains.\n" : domains.text()) + decisions;
}

}  // namespace

VerbResult run_verb(Context& context, const ShowStatus& verb) {
    Json arguments = Json::object();
    if (!verb.domain.empty()) {
        arguments.set("domain", TRY(context.daemon.find_domain(verb.domain)).name);
    }
    const Json answer = TRY(context.daemon.query("status", arguments));
    if (context.as_json()) {
        print_json(answer);
        return ExitCode::ok;
    }
    if (verb.domain.empty()) {
        print(host_text(answer));
        return ExitCode::ok;
    }
    Table table;
    flatten(answer, "", table);
    print(table.text());
    return ExitCode::ok;
}

}  // namespace segue::cli
