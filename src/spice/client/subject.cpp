// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/client/subject.h"

namespace segue::spice::client {
namespace {

Result<> add_field(SubjectFields& fields, const std::string& name, bool has_value,
                   const std::string& value, std::string_view whole) {
    if (name.empty() || !has_value) {
        return fail(ErrorCode::invalid_argument,
                    "certificate subject '{}': each field is NAME=VALUE", whole);
    }
    fields.emplace_back(name, value);
    return {};
}

}  // namespace

Result<SubjectFields> parse_subject(std::string_view text) {
    SubjectFields fields;
    std::string name, value;
    bool in_value = false, begun = false;
    for (std::size_t at = 0; at < text.size(); ++at) {
        char character = text[at];
        if (character == ',') {
            TRY(add_field(fields, name, in_value, value, text));
            name.clear();
            value.clear();
            in_value = begun = false;
            continue;
        }
        if (character == ' ' && !begun) continue;  // after a comma
        begun = true;
        if (character == '=' && !in_value) {
            in_value = true;
            continue;
        }
        if (character == '\\' && at + 1 < text.size()) character = text[++at];
        (in_value ? value : name) += character;
    }
    if (begun || fields.empty()) TRY(add_field(fields, name, in_value, value, text));
    return fields;
}

}  // namespace segue::spice::client
