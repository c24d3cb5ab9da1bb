// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/control/screen_word.h"

#include <limits>
#include <nlohmann/json.hpp>

#include "spice/control/messages.h"

namespace segue::spice::control {
namespace {

using Json = nlohmann::json;
using Kind = ScreenWord::Kind;

constexpr const char* kName = "screen";
constexpr const char* kPicture = "picture";
constexpr const char* kPasses = "passes";
constexpr std::size_t kMostErrorText = 200;

const char* name_of(Kind kind) {
    switch (kind) {
        case Kind::hold: return "hold";
        case Kind::release: return "release";
        case Kind::pass: return "pass";
    }
    return "unknown";
}

Json object_in(std::string_view line) {
    if (line.size() > kMostLine) return Json::object();
    Json json = Json::parse(line, nullptr, false);
    return json.is_object() ? json : Json::object();
}

std::optional<std::uint64_t> number_of(const Json& json, const char* name) {
    const auto found = json.find(name);
    if (found == json.end() || !found->is_number_unsigned()) return std::nullopt;
    return found->get<std::uint64_t>();
}

}  // namespace

Result<std::optional<ScreenWord>> parse_screen_word(std::string_view line) {
    const Json json = object_in(line);
    if (json.value("cmd", Json()) != kName) return std::nullopt;
    const Json what = json.value("do", Json());
    for (const Kind kind : {Kind::hold, Kind::release, Kind::pass}) {
        if (what != name_of(kind)) continue;
        ScreenWord word{kind, {}};
        if (kind == Kind::hold) word.picture_passes = json.value(kPicture, Json()) == kPasses;
        if (kind != Kind::release) return word;
        const auto until = number_of(json, "until_ns");
        if (!until || *until > std::uint64_t{std::numeric_limits<std::int64_t>::max()}) {
            return fail(ErrorCode::invalid_argument,
                        "control: release needs until_ns, a time of this host's monotonic clock");
        }
        word.until = {Duration(static_cast<std::int64_t>(*until))};
        return word;
    }
    return fail(ErrorCode::invalid_argument,
                "control: what the screen is to do is one of hold, release, pass");
}

std::string to_line(const ScreenWord& word) {
    Json json{{"cmd", kName}, {"do", name_of(word.kind)}};
    if (word.kind == Kind::release)
        json["until_ns"] = static_cast<std::uint64_t>(word.until.since_start.count());
    if (word.kind == Kind::hold && word.picture_passes) json[kPicture] = kPasses;
    return json.dump();
}

Result<std::optional<ScreenAnswer>> parse_screen_answer(std::string_view line) {
    const Json json = object_in(line);
    if (const auto error = json.find("error"); error != json.end()) {
        const std::string text = error->is_string() ? error->get<std::string>() : error->dump();
        return fail(ErrorCode::operation_failed, "{}", text.substr(0, kMostErrorText));
    }
    if (json.value("event", Json()) != kName) return std::nullopt;
    return ScreenAnswer{json.value("holds", Json()) == true,
                        number_of(json, "waiting").value_or(0)};
}

std::string to_line(const ScreenAnswer& answer) {
    return Json{{"event", kName}, {"holds", answer.holds}, {"waiting", answer.waiting}}.dump();
}

}  // namespace segue::spice::control
