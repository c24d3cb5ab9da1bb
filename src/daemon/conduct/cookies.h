// SPDX-License-Identifier: LGPL-2.1-or-later
// What this daemon puts into cookies, and reads out of them for its own use.
#pragma once

#include "daemon/conduct/screen_move.h"
#include "daemon/domain_object.h"
#include "daemon/services.h"
#include "migrate/cookie.h"
#include "migrate/options.h"

namespace segue {

// Name, uuid and host: the mandatory part of each cookie, with the name the domain has here.
migrate::Cookie base_cookie(const Services& services, const DomainObject& domain);
// Begin's: what this source knows and can.
migrate::Cookie begin_cookie(const Services& services, const DomainObject& domain,
                             const migrate::MigrateOptions& options);

// QEMU's capabilities that both ends of ours have (stock libvirt insists on the element).
std::vector<migrate::CookieCapability> cookie_capabilities();

// The screen's address for the source's viewers: what the target listens on, or, where that is
// every address, the migration address of this host.
std::optional<migrate::CookieGraphics> cookie_graphics(const Services& services,
                                                       const Domain& live);

// Where the viewers are sent: --graphicsuri, else the cookie of Prepare, whose wildcard addresses
// mean the destination's host name.
ScreenTarget screen_target(const migrate::MigrateOptions& options, const migrate::Cookie& cookie);
bool has_spice(const Domain& domain);

void add_statistics(migrate::Cookie& cookie, const Services& services,
                    const TransferStatistics& transfer, std::uint64_t elapsed_ms,
                    std::int64_t started_wall_ms);
TransferStatistics statistics_of(const migrate::CookieStatistics& cookie);

// With PERSIST_DEST: the definition that the destination keeps.
void add_persistent(migrate::Cookie& cookie, const DomainObject& domain,
                    const migrate::MigrateOptions& options);

}  // namespace segue
