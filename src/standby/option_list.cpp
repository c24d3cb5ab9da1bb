// SPDX-License-Identifier: LGPL-2.1-or-later
#include "standby/option_list.h"

#include <algorithm>

namespace segue::standby {
namespace {

std::string escaped(std::string_view value) {
    std::string out;
    for (const char letter : value) {
        out += letter;
        if (letter == ',') out += ',';
    }
    return out;
}

std::vector<std::string> split(std::string_view text) {
    std::vector<std::string> parts(1);
    for (std::size_t at = 0; at < text.size(); ++at) {
        const bool comma = text[at] == ',';
        if (comma && at + 1 < text.size() && text[at + 1] == ',') {
            parts.back() += ',';
            ++at;
        } else if (comma) {
            parts.emplace_back();
        } else {
            parts.back() += text[at];
        }
    }
    return parts;
}

}  // namespace

OptionList OptionList::parse(std::string_view text) {
    OptionList list;
    bool is_first = true;
    for (const std::string& part : split(text)) {
        const std::size_t equals = part.find('=');
        if (equals != std::string::npos) {
            list.parts_.push_back({part.substr(0, equals), part.substr(equals + 1)});
        } else if (is_first) {
            list.first_ = part;
        } else if (!part.empty()) {
            list.parts_.push_back({part, "on"});
        }
        is_first = false;
    }
    return list;
}

std::string OptionList::text() const {
    std::string out = escaped(first_);
    for (const Part& part : parts_) {
        if (!out.empty()) out += ',';
        out += part.key + '=' + escaped(part.value);
    }
    return out;
}

bool OptionList::has(std::string_view key) const {
    return std::any_of(parts_.begin(), parts_.end(),
                       [key](const Part& part) { return part.key == key; });
}

std::string OptionList::get(std::string_view key) const {
    for (const Part& part : parts_)
        if (part.key == key) return part.value;
    return {};
}

void OptionList::set(std::string_view key, std::string_view value) {
    for (Part& part : parts_) {
        if (part.key != key) continue;
        part.value = value;
        return;
    }
    parts_.push_back({std::string(key), std::string(value)});
}

void OptionList::erase(std::string_view key) {
    parts_.erase(std::remove_if(parts_.begin(), parts_.end(),
                                [key](const Part& part) { return part.key == key; }),
                 parts_.end());
}

std::vector<std::string> OptionList::keys() const {
    std::vector<std::string> keys;
    for (const Part& part : parts_)
        keys.push_back(part.key);
    return keys;
}

}  // namespace segue::standby
