// SPDX-License-Identifier: LGPL-2.1-or-later
// Figures as people read them: what is a number of milliseconds, microseconds or bytes in JSON is a
// duration or a size in a table.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"

namespace segue::cli {

// The unit is told by the name: ours end in it ("interval_ms", "pause_us.p50", "backlog_bytes"),
// libvirt's job statistics have theirs by libvirt-domain.h (VIR_DOMAIN_JOB_*). Everything else, and
// what is no number, stands as it is.
std::string figure_text(std::string_view name, const Json& value);

// The name without the unit that the text says: "interval", "pause.p50".
std::string figure_name(std::string_view name);

}  // namespace segue::cli
