// SPDX-License-Identifier: LGPL-2.1-or-later
// What a migration leaves behind for people: log lines, numbers, its timeline, the job's end.
#pragma once

#include "daemon/domain_object.h"
#include "daemon/services.h"
#include "migrate/timeline.h"

namespace segue {

enum class JobSide { source, destination };

// The machine's steps as phases of the timeline.
void take_spans(Timeline& timeline, const migrate::Timeline& steps, std::string_view where);

// Ends the job's story: closes the timeline and prints it to the log, counts, and tells clients
// that wait for job-completed.
FinishedJob finish_report(const Services& services, DomainObject& domain, Timeline& timeline,
                          const TransferStatistics& transfer, const std::optional<Error>& error,
                          JobSide side);

}  // namespace segue
