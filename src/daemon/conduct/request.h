// SPDX-License-Identifier: LGPL-2.1-or-later
// What a client asked for, whichever of the three protocols it spoke: calls/migrate_* make these of
// their calls, conduct/ carries them out.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "migrate/cookie.h"
#include "migrate/options.h"
#include "rpc/stream.h"

namespace segue {

class TunnelIn;

struct PrepareRequest {
    migrate::MigrateOptions options;
    migrate::Protocol protocol = migrate::Protocol::version3;
    std::optional<migrate::Cookie> cookie;  // none in v2
};
struct PrepareResult {
    Bytes cookie;
    std::string uri;
    // Tunnelled: where the stream that the call opens is to go.
    std::shared_ptr<TunnelIn> tunnel;
};

struct PerformRequest {
    std::string uri;  // where the destination's QEMU listens
    // Tunnelled: the way to the destination, in place of the URI.
    std::shared_ptr<rpc::Stream> tunnel;
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
