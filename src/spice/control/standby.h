// SPDX-License-Identifier: LGPL-2.1-or-later
// A word of segued's to our library (messages.h): where the machine goes on if its host dies, which
// the library tells its clients.
//
//   {"cmd":"standby","host":"h","port":5900,"tls_port":0,"subject":"","source":"runs"}
//
// No host: nowhere. `source` is what this machine does: it runs, or it stands still and perhaps the
// standby runs it (clients of ours look there), or it has left and the standby does run it (every
// client is sent there).
// Answered with {"event":"standby-told"} or {"error":…}.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace segue::spice::control {

// In the environment of a QEMU that waits as a standby: its server lets nobody in before the
// machine runs. Clients that come earlier wait in the kernel's queue.
inline constexpr const char* kWaitsVariable = "SEGUE_SPICE_WAITS";

enum class StandbySource : std::uint8_t { runs, stands_still, left };

struct StandbyPlace {
    std::string host;
    std::uint16_t port = 0, tls_port = 0;  // 0: none
    std::string subject;                   // of its certificate; empty: the host's name counts
    StandbySource source = StandbySource::runs;
    friend bool operator==(const StandbyPlace&, const StandbyPlace&) = default;
};

inline constexpr std::size_t kMostHost = 255;
inline constexpr std::size_t kMostSubject = 4095;

// Nothing: another command. Errors (limit_exceeded) name the member.
Result<std::optional<StandbyPlace>> parse_standby(std::string_view line);
std::string to_line(const StandbyPlace& place);
std::string_view name_of(StandbySource source);
std::string standby_told_line();

}  // namespace segue::spice::control
