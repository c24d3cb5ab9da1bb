// SPDX-License-Identifier: LGPL-2.1-or-later
// status: where a domain runs, what its migration and its protection do, and the way on when
// somebody has to decide.
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
        const auto text = value.as_text();
        table.rows.push_back({name, text ? std::string(*text) : value.dump()});
    }
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
    Table table;
    flatten(answer, "", table);
    print(table.text());
    return ExitCode::ok;
}

}  // namespace segue::cli
