// SPDX-License-Identifier: LGPL-2.1-or-later
// What a client asked for, whichever of the three protocols it spoke: calls/migrate_* make these of
// their calls, conduct/ carries them out.
#pragma once

#include <optional>
#include <string>

#include "migrate/cookie.h"
#include "migrate/options.h"

namespace segue {

struct PrepareRequest {
    migrate::MigrateOptions options;
    migrate::Protocol protocol = migrate::Protocol::version3;
    std::string xml;
    std::optional<migrate::Cookie> cookie;  // none in v2
};
struct PrepareResult {
    Bytes cookie;
    std::string uri;
};

struct PerformRequest {
    std::string uri;  // where the destination's QEMU listens
    std::optional<migrate::Cookie> cookie;
};

struct FinishRequest {
    migrate::MigrateOptions options;
    Bytes cookie;  // not parsed yet: what it must be is known to the job alone
    bool cancelled = false;
};
struct FinishResult {
    Bytes cookie;
};

}  // namespace segue
