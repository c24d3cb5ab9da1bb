// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/control/standby.h"

#include <nlohmann/json.hpp>

#include "spice/control/messages.h"

namespace segue::spice::control {
namespace {

using Json = nlohmann::json;

constexpr const char* kCommand = "standby";
// 65535 is "none" on the wire.
constexpr std::uint64_t kMostPort = 65534;

Result<std::string> text(const Json& json, const char* name, std::size_t most) {
    const auto found = json.find(name);
    if (found == json.end() || !found->is_string()) return std::string();
    auto value = found->get<std::string>();
    if (value.size() > most) {
        return fail(ErrorCode::limit_exceeded, "control: a standby's {} of {} bytes, at most {}",
                    name, value.size(), most);
    }
    return value;
}

Result<std::uint16_t> port(const Json& json, const char* name) {
    const auto found = json.find(name);
    if (found == json.end() || !found->is_number_unsigned()) return std::uint16_t{0};
    const auto value = found->get<std::uint64_t>();
    if (value > kMostPort) {
        return fail(ErrorCode::limit_exceeded, "control: a standby's {} of {}, at most {}", name,
                    value, kMostPort);
    }
    return static_cast<std::uint16_t>(value);
}

Result<StandbySource> source(const Json& json) {
    const auto found = json.find("source");
    if (found == json.end()) return StandbySource::runs;
    for (const auto one : {StandbySource::runs, StandbySource::stands_still, StandbySource::left}) {
        if (*found == name_of(one)) return one;
    }
    return fail(ErrorCode::invalid_argument,
                "control: a standby's source is one of runs, stands-still, left");
}

}  // namespace

std::string_view name_of(StandbySource source) {
    switch (source) {
        case StandbySource::runs: return "runs";
        case StandbySource::stands_still: return "stands-still";
        case StandbySource::left: return "left";
    }
    return "unknown";
}

Result<std::optional<StandbyPlace>> parse_standby(std::string_view line) {
    if (line.size() > kMostLine) return std::nullopt;
    const Json json = Json::parse(line, nullptr, false);
    if (!json.is_object() || json.value("cmd", Json()) != kCommand) return std::nullopt;
    StandbyPlace place;
    place.host = TRY(text(json, "host", kMostHost));
    place.subject = TRY(text(json, "subject", kMostSubject));
    place.port = TRY(port(json, "port"));
    place.tls_port = TRY(port(json, "tls_port"));
    place.source = TRY(source(json));
    return place;
}

std::string to_line(const StandbyPlace& place) {
    return Json{{"cmd", kCommand},          {"host", place.host},
                {"port", place.port},       {"tls_port", place.tls_port},
                {"subject", place.subject}, {"source", name_of(place.source)}}
        .dump();
}

std::string standby_told_line() {
    return R"({"event":"standby-told"})";
}

}  // namespace segue::spice::control
