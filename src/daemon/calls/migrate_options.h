// SPDX-License-Identifier: LGPL-2.1-or-later
// The options of a migration call, whichever way it brings them.
#pragma once

#include "daemon/conduct/managed.h"
#include "rpc/migration.schema.h"

namespace segue {

// Of a call without typed parameters.
Result<migrate::MigrateOptions> plain_options(std::uint64_t flags,
                                              const std::optional<std::string>& name,
                                              std::uint64_t bandwidth,
                                              const std::optional<std::string>& xml,
                                              const std::optional<std::string>& uri,
                                              std::string_view function);

Result<migrate::MigrateOptions> options_of(
    std::uint64_t flags, const std::vector<rpc::remote::TypedParameter>& parameters,
    std::string_view function);

// Calls `use` with the call, or answers with what is wrong with its options.
template <class Reply, class Use>
void with_options(Result<migrate::MigrateOptions> options, const Reply& reply, Use use) {
    if (!options) return reply(tl::unexpected(options.error()));
    MigrateCall call;
    call.options = std::move(*options);
    use(std::move(call));
}

}  // namespace segue
