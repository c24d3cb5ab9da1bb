// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/fault.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>

#include "base/log.h"

namespace segue {

namespace {

Result<Fault> parse_fault(std::string_view text) {
    const std::size_t colon = text.find(':');
    const bool bare = colon == std::string_view::npos;
    const std::string_view action = bare ? "stop" : text.substr(colon + 1);
    Fault fault{std::string(text.substr(0, colon)), FaultAction::stop};
    if (action == "kill") fault.action = FaultAction::kill;
    if (!fault.point.empty() && (action == "stop" || action == "kill")) return fault;
    return fail(ErrorCode::invalid_argument,
                "fault '{}' is no POINT, POINT:stop or POINT:kill: see HACKING.md", text);
}

std::vector<Fault> faults_of_environment() {
    const char* text = std::getenv("SEGUE_FAULT");
    if (text == nullptr) return {};
    auto faults = parse_faults(text);
    if (faults) return std::move(*faults);
    log_warning("daemon", "SEGUE_FAULT is ignored: {}", faults.error().message);
    return {};
}

}  // namespace

Result<std::vector<Fault>> parse_faults(std::string_view text) {
    std::vector<Fault> faults;
    for (bool more = true; more;) {
        const std::size_t comma = text.find(',');
        faults.push_back(TRY(parse_fault(text.substr(0, comma))));
        more = comma != std::string_view::npos;
        if (more) text.remove_prefix(comma + 1);
    }
    return faults;
}

void fault_point(std::initializer_list<std::string_view> words) {
    static std::vector<Fault> planned = faults_of_environment();
    if (planned.empty()) return;
    const std::string name = fmt::format("{}", fmt::join(words, "."));
    const auto found = std::find_if(planned.begin(), planned.end(),
                                    [&](const Fault& fault) { return fault.point == name; });
    if (found == planned.end()) return;
    const bool stops = found->action == FaultAction::stop;
    planned.erase(found);
    log_warning("daemon", "fault point {}: {}", name, stops ? "stopped" : "killed");
    std::raise(stops ? SIGSTOP : SIGKILL);
}

}  // namespace segue
