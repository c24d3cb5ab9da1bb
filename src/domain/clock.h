// SPDX-License-Identifier: LGPL-2.1-or-later
// <clock>: the guest's idea of the time, and its timers.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "domain/xml_cursor.h"

namespace segue {

struct GuestTimer {
    std::string name;  // rtc, pit, hpet, kvmclock, …
    std::optional<bool> present;
    std::optional<std::string> tick_policy;  // delay, catchup, merge, discard
    std::optional<std::string> track;
    XmlElement unknown;
};

struct GuestClock {
    std::string offset = "utc";  // utc, localtime
    std::vector<GuestTimer> timers;
    XmlElement unknown;
};

Result<GuestClock> parse_clock(XmlCursor& from);
XmlElement format_clock(const GuestClock& clock);

}  // namespace segue
