// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/calls/migrate_options.h"

namespace segue {

Result<migrate::MigrateOptions> plain_options(std::uint64_t flags,
                                              const std::optional<std::string>& name,
                                              std::uint64_t bandwidth,
                                              const std::optional<std::string>& xml,
                                              const std::optional<std::string>& uri,
                                              std::string_view function) {
    TRY(migrate::check_flags(flags, function));
    migrate::MigrateOptions options;
    options.flags = flags;
    options.destination_name = name.value_or("");
    if (bandwidth != 0) options.bandwidth_mib = bandwidth;
    options.destination_xml = xml.value_or("");
    options.migrate_uri = uri.value_or("");
    return options;
}

Result<migrate::MigrateOptions> options_of(
    std::uint64_t flags, const std::vector<rpc::remote::TypedParameter>& parameters,
    std::string_view function) {
    TRY(migrate::check_flags(flags, function));
    return migrate::parse_options(parameters, flags);
}

}  // namespace segue
