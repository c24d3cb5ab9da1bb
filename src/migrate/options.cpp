// SPDX-License-Identifier: LGPL-2.1-or-later
#include "migrate/options.h"

#include <bit>
#include <set>

namespace segue::migrate {
namespace {

using rpc::remote::TypedParameter;

// virTypedParameterTypeToString.
constexpr std::string_view kKindNames[] = {"unknown", "int",    "uint",    "llong",
                                           "ullong",  "double", "boolean", "string"};

// In MiB/s: what fits in 63 bits of bytes per second (qemu_driver.c).
constexpr std::uint64_t kBandwidthEnd = 8796093022208;

constexpr std::size_t kMostNameBytes = 255;

// A guest whose viewers do not come is not held back longer than this.
constexpr std::uint64_t kMostScreenWaitMs = 600'000;

Result<> wrong(ErrorCode code, std::string_view why) {
    return fail(code, "{}", why);
}

Result<> check_parameter(const TypedParameter& parameter, std::set<std::string_view>& seen) {
    const ParameterInfo* known = nullptr;
    for (const ParameterInfo& info : migrate_parameters()) {
        if (info.name == parameter.name) known = &info;
    }
    if (known == nullptr) {
        return fail(ErrorCode::argument_unsupported, "parameter '{}' not supported",
                    parameter.name.substr(0, kMostNameBytes));
    }
    if (!seen.insert(known->name).second && !known->repeatable) {
        return fail(ErrorCode::invalid_argument, "parameter '{}' occurs multiple times",
                    known->name);
    }
    // The generated variant holds the kinds in the order of their numbers, from 1.
    if (parameter.value.index() != static_cast<std::size_t>(known->kind)) {
        return fail(ErrorCode::invalid_argument,
                    "invalid type '{}' for parameter '{}', expected '{}'",
                    kKindNames[parameter.value.index()], known->name,
                    kKindNames[static_cast<std::size_t>(known->kind)]);
    }
    if (!known->refusal.empty()) {
        return fail(ErrorCode::argument_unsupported, "parameter '{}': {}", known->name,
                    known->refusal);
    }
    return {};
}

Result<> add_compression(const std::string& method, MigrateOptions& options) {
    bool* chosen = method == "xbzrle" ? &options.compress_xbzrle
                   : method == "mt"   ? &options.compress_mt
                                      : nullptr;
    if (chosen == nullptr) {
        return fail(ErrorCode::invalid_argument, "Unsupported compression method '{}'", method);
    }
    if (*chosen) {
        return fail(ErrorCode::invalid_argument, "Compression method '{}' is specified twice",
                    method);
    }
    *chosen = true;
    return {};
}

std::string* text_of(MigrateOptions& options, std::string_view name) {
    if (name == "migrate_uri") return &options.migrate_uri;
    if (name == "destination_name") return &options.destination_name;
    if (name == "destination_xml") return &options.destination_xml;
    if (name == "persistent_xml") return &options.persistent_xml;
    if (name == "graphics_uri") return &options.graphics_uri;
    if (name == "listen_address") return &options.listen_address;
    if (name == "tls.destination") return &options.tls_destination;
    return nullptr;
}

std::optional<std::int32_t>* number_of(MigrateOptions& options, std::string_view name) {
    if (name == "compression.mt.level") return &options.mt_level;
    if (name == "compression.mt.threads") return &options.mt_threads;
    if (name == "compression.mt.dthreads") return &options.mt_decompress_threads;
    if (name == "auto_converge.initial") return &options.throttle_initial;
    if (name == "auto_converge.increment") return &options.throttle_increment;
    if (name == "parallel.connections") return &options.parallel_connections;
    return nullptr;
}

Result<> take(const TypedParameter& parameter, MigrateOptions& options) {
    if (parameter.name == "compression") {
        return add_compression(std::get<std::string>(parameter.value), options);
    }
    if (std::string* text = text_of(options, parameter.name)) {
        *text = std::get<std::string>(parameter.value);
        if (text->empty() && parameter.name.ends_with("_xml")) {
            return fail(ErrorCode::xml_invalid, "parameter '{}': Document is empty",
                        parameter.name);
        }
    } else if (auto* number = number_of(options, parameter.name)) {
        *number = std::get<std::int32_t>(parameter.value);
    } else if (parameter.name == "bandwidth") {
        options.bandwidth_mib = std::get<std::uint64_t>(parameter.value);
    } else if (parameter.name == "compression.xbzrle.cache") {
        options.xbzrle_cache = std::get<std::uint64_t>(parameter.value);
    } else if (parameter.name == "segue.max_downtime") {
        options.max_downtime_ms = std::get<std::uint64_t>(parameter.value);
    } else if (parameter.name == "segue.screen_wait") {
        options.screen_wait_ms = std::get<std::uint64_t>(parameter.value);
    }
    return {};
}

// QEMU says the same, but late, and quoting its own monitor (qapi/migration.json).
Result<> check_range(std::string_view name, const std::optional<std::int32_t>& value, int low,
                     int high) {
    if (!value || (*value >= low && *value <= high)) return {};
    return fail(ErrorCode::invalid_argument, "parameter '{}' is {}: it must be {} to {}", name,
                *value, low, high);
}

Result<> check_tuning(const MigrateOptions& options) {
    const bool mt_tuned = options.mt_level || options.mt_threads || options.mt_decompress_threads;
    if (mt_tuned && !options.compress_mt) {
        return wrong(ErrorCode::invalid_argument, "Turn multithread compression on to tune it");
    }
    if (options.xbzrle_cache && !options.compress_xbzrle && !options.has(kCompressed)) {
        return wrong(ErrorCode::invalid_argument, "Turn xbzrle compression on to tune it");
    }
    if ((options.throttle_initial || options.throttle_increment) && !options.has(kAutoConverge)) {
        return wrong(ErrorCode::invalid_argument, "Turn auto convergence on to tune it");
    }
    if (options.parallel_connections && !options.has(kParallel)) {
        return wrong(ErrorCode::invalid_argument, "Turn parallel migration on to tune it");
    }
    return {};
}

Result<> check_values(const MigrateOptions& options) {
    TRY(check_range("compression.mt.level", options.mt_level, 0, 9));
    TRY(check_range("compression.mt.threads", options.mt_threads, 1, 255));
    TRY(check_range("compression.mt.dthreads", options.mt_decompress_threads, 1, 255));
    TRY(check_range("auto_converge.initial", options.throttle_initial, 1, 99));
    TRY(check_range("auto_converge.increment", options.throttle_increment, 1, 99));
    TRY(check_range("parallel.connections", options.parallel_connections, 1, 255));
    if (options.xbzrle_cache && (!std::has_single_bit(*options.xbzrle_cache) ||
                                 *options.xbzrle_cache < kSmallestXbzrleCache)) {
        return fail(ErrorCode::invalid_argument,
                    "parameter 'compression.xbzrle.cache' is {}: it must be a power of two and at "
                    "least {}",
                    *options.xbzrle_cache, kSmallestXbzrleCache);
    }
    if (options.bandwidth_mib && *options.bandwidth_mib >= kBandwidthEnd) {
        return fail(ErrorCode::overflow, "bandwidth must be less than {}", kBandwidthEnd);
    }
    if (options.screen_wait_ms && *options.screen_wait_ms > kMostScreenWaitMs) {
        return fail(ErrorCode::invalid_argument,
                    "parameter 'segue.screen_wait' is {} ms: it must be 0 to {}",
                    *options.screen_wait_ms, kMostScreenWaitMs);
    }
    if (options.max_downtime_ms && *options.max_downtime_ms > kMaxDowntimeMs) {
        return fail(ErrorCode::invalid_argument,
                    "parameter 'segue.max_downtime' is {} ms: it must be 0 to {}",
                    *options.max_downtime_ms, kMaxDowntimeMs);
    }
    const std::string& name = options.destination_name;
    if (name.find('/') != std::string::npos || name == "." || name == ".." ||
        name.size() > kMostNameBytes) {
        return fail(ErrorCode::invalid_argument,
                    "destination name '{}' must be of at most {} bytes and without '/'",
                    name.substr(0, kMostNameBytes), kMostNameBytes);
    }
    if (std::any_of(name.begin(), name.end(), [](unsigned char byte) { return byte < 0x20; })) {
        return fail(ErrorCode::invalid_argument, "the destination name has control characters");
    }
    const std::string& listen = options.listen_address;
    constexpr std::string_view kAddressLetters =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:%_-";
    if (listen.find_first_not_of(kAddressLetters) != std::string::npos) {
        return fail(ErrorCode::invalid_argument,
                    "listen address '{}' must be an address or a host name", listen);
    }
    if (!options.migrate_uri.empty()) TRY(parse_migrate_uri(options.migrate_uri));
    return {};
}

}  // namespace

Result<> check_flags(std::uint64_t flags, std::string_view function) {
    std::uint64_t known = 0;
    for (const FlagInfo& info : migrate_flags())
        known |= info.flag;
    if ((flags & ~known) == 0) return {};
    return fail(ErrorCode::invalid_argument, "unsupported flags (0x{:x}) in function {}",
                flags & ~known, function);
}

Result<MigrateOptions> parse_options(std::span<const TypedParameter> parameters,
                                     std::uint64_t flags) {
    MigrateOptions options;
    options.flags = flags;
    std::set<std::string_view> seen;
    for (const TypedParameter& parameter : parameters) {
        TRY(check_parameter(parameter, seen));
        TRY(take(parameter, options));
    }
    return options;
}

Result<> check_options(const MigrateOptions& options) {
    for (const FlagRule& rule : flag_rules()) {
        const bool holds =
            (options.flags & rule.all_of) == rule.all_of && (options.flags & rule.none_of) == 0;
        if (holds) return wrong(rule.code, rule.why);
    }
    for (const FlagInfo& info : migrate_flags()) {
        if (!options.has(info.flag) || info.refusal.empty()) continue;
        return wrong(ErrorCode::argument_unsupported, info.refusal);
    }
    TRY(check_tuning(options));
    if (!options.graphics_uri.empty()) TRY(parse_graphics_uri(options.graphics_uri));
    return check_values(options);
}

}  // namespace segue::migrate
