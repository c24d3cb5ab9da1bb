// SPDX-License-Identifier: LGPL-2.1-or-later
#include "cli/words.h"

#include <fmt/format.h>

namespace segue::cli {
namespace {

// libvirt-domain.h of 9.0; the index is the number.
constexpr std::string_view kStates[] = {"no state",    "running",  "idle",    "paused",
                                        "in shutdown", "shut off", "crashed", "pmsuspended"};
constexpr std::string_view kRunning[] = {
    "unknown",       "booted",   "migrated",           "restored",
    "from snapshot", "unpaused", "migration canceled", "save canceled",
    "event wakeup",  "crashed",  "post-copy",          "post-copy failed"};
constexpr std::string_view kPaused[] = {
    "unknown",   "user",        "migrating",     "saving",           "dumping",
    "I/O error", "watchdog",    "from snapshot", "shutting down",    "creating snapshot",
    "crashed",   "starting up", "post-copy",     "post-copy failed", "api error"};
constexpr std::string_view kShutOff[] = {"unknown", "shutdown",      "destroyed",
                                         "crashed", "migrated",      "saved",
                                         "failed",  "from snapshot", "daemon"};
constexpr std::string_view kJobs[] = {"none",      "bounded", "unbounded",
                                      "completed", "failed",  "cancelled"};
constexpr std::string_view kEvents[] = {"Defined",   "Undefined",   "Started",
                                        "Suspended", "Resumed",     "Stopped",
                                        "Shutdown",  "PMSuspended", "Crashed"};
constexpr std::string_view kDefinedDetails[] = {"Added", "Updated", "Renamed", "Snapshot"};
constexpr std::string_view kUndefinedDetails[] = {"Removed", "Renamed"};
constexpr std::string_view kStartedDetails[] = {"Booted", "Migrated", "Restored", "Snapshot",
                                                "Event wakeup"};
constexpr std::string_view kSuspendedDetails[] = {"Paused",    "Migrated",  "I/O Error",
                                                  "Watchdog",  "Restored",  "Snapshot",
                                                  "API error", "Post-copy", "Post-copy Error"};
constexpr std::string_view kResumedDetails[] = {"Unpaused", "Migrated", "Snapshot", "Post-copy"};
constexpr std::string_view kStoppedDetails[] = {"Shutdown", "Destroyed", "Crashed", "Migrated",
                                                "Saved",    "Failed",    "Snapshot"};
constexpr std::string_view kShutdownDetails[] = {"Finished after guest request",
                                                 "Finished after host request"};

using Words = std::span<const std::string_view>;

std::string_view word_at(Words words, int number) {
    const bool known = number >= 0 && static_cast<std::size_t>(number) < words.size();
    return known ? words[static_cast<std::size_t>(number)] : std::string_view("unknown");
}

Words details_of(int event) {
    static constexpr Words kDetails[] = {kDefinedDetails,   kUndefinedDetails, kStartedDetails,
                                         kSuspendedDetails, kResumedDetails,   kStoppedDetails,
                                         kShutdownDetails};
    const bool known = event >= 0 && static_cast<std::size_t>(event) < std::size(kDetails);
    return known ? kDetails[event] : Words();
}

}  // namespace

std::string_view state_word(int state) {
    return word_at(kStates, state);
}

std::string_view reason_word(int state, int reason) {
    switch (state) {
        case 1: return word_at(kRunning, reason);
        case 3: return word_at(kPaused, reason);
        case 5: return word_at(kShutOff, reason);
        default: return "unknown";
    }
}

std::string_view job_word(int type) {
    return word_at(kJobs, type);
}

std::string event_words(int event, int detail) {
    return fmt::format("{} {}", word_at(kEvents, event), word_at(details_of(event), detail));
}

Json to_json(std::span<const rpc::remote::TypedParameter> parameters) {
    Json object = Json::object();
    for (const auto& parameter : parameters) {
        std::visit(
            [&](const auto& value) {
                if constexpr (!std::is_same_v<std::decay_t<decltype(value)>, std::monostate>) {
                    object.set(parameter.name, Json(value));
                }
            },
            parameter.value);
    }
    return object;
}

}  // namespace segue::cli
