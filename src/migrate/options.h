// SPDX-License-Identifier: LGPL-2.1-or-later
// Flags and typed parameters of a migration (libvirt/libvirt-domain.h: virDomainMigrateFlags,
// VIR_MIGRATE_PARAM_*), checked with libvirt's codes and words before anything is started.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/result.h"
#include "rpc/remote_types.schema.h"

namespace segue::migrate {

// QEMU's own bounds (migrate-set-parameters): downtime-limit; xbzrle-cache-size, a power of two, a
// page at least.
inline constexpr std::uint64_t kMaxDowntimeMs = 2'000'000;
inline constexpr std::uint64_t kSmallestXbzrleCache = 4096;

enum MigrateFlag : std::uint64_t {
    kLive = 1 << 0,
    kPeerToPeer = 1 << 1,
    kTunnelled = 1 << 2,
    kPersistDestination = 1 << 3,
    kUndefineSource = 1 << 4,
    kPaused = 1 << 5,
    kNonSharedDisk = 1 << 6,
    kNonSharedIncremental = 1 << 7,
    kChangeProtection = 1 << 8,
    kUnsafe = 1 << 9,
    kOffline = 1 << 10,
    kCompressed = 1 << 11,
    kAbortOnError = 1 << 12,
    kAutoConverge = 1 << 13,
    kRdmaPinAll = 1 << 14,
    kPostCopy = 1 << 15,
    kTls = 1 << 16,
    kParallel = 1 << 17,
    kNonSharedSynchronousWrites = 1 << 18,
    kPostCopyResume = 1 << 19,
    kZeroCopy = 1 << 20,
};

struct FlagInfo {
    MigrateFlag flag;
    std::string_view name;    // libvirt's, without VIR_MIGRATE_
    std::string_view option;  // of virsh
    // Empty: this daemon does it. Otherwise why it is refused (error 74).
    std::string_view refusal;
};
std::span<const FlagInfo> migrate_flags();

// Two flags that do not go together, or one that needs another.
struct FlagRule {
    std::uint64_t all_of;   // when all these are set
    std::uint64_t none_of;  // and none of these
    ErrorCode code;
    std::string_view why;
};
std::span<const FlagRule> flag_rules();

struct ParameterInfo {
    std::string_view name;
    rpc::remote::ParameterKind kind;
    bool repeatable;
    std::string_view option;   // of virsh
    std::string_view refusal;  // as in FlagInfo
};
std::span<const ParameterInfo> migrate_parameters();

// Everything that a call of a migration brings, with or without typed parameters.
struct MigrateOptions {
    std::uint64_t flags = 0;
    std::string migrate_uri;
    std::string destination_name;
    std::string destination_xml;
    std::string persistent_xml;
    std::string graphics_uri;
    std::string listen_address;
    std::string tls_destination;
    std::optional<std::uint64_t> bandwidth_mib;  // per second; absent or 0: no limit
    bool compress_xbzrle = false;
    bool compress_mt = false;
    std::optional<std::int32_t> mt_level;
    std::optional<std::int32_t> mt_threads;
    std::optional<std::int32_t> mt_decompress_threads;
    std::optional<std::uint64_t> xbzrle_cache;     // bytes
    std::optional<std::int32_t> throttle_initial;  // percent
    std::optional<std::int32_t> throttle_increment;
    std::optional<std::int32_t> parallel_connections;
    // Ours, and never passed on to another daemon. "segue.screen_wait": how long the source waits
    // for viewers to be linked; 0: no wait. "segue.max_downtime": of this migration alone.
    std::optional<std::uint64_t> screen_wait_ms;
    std::optional<std::uint64_t> max_downtime_ms;

    bool has(MigrateFlag flag) const { return (flags & flag) != 0; }
};

// Typed parameters of one call. Errors: 74 unknown name, 8 wrong type, repetition or value.
Result<MigrateOptions> parse_options(std::span<const rpc::remote::TypedParameter> parameters,
                                     std::uint64_t flags);

// Unknown bits: error 8, "unsupported flags (0x…) in function NAME".
Result<> check_flags(std::uint64_t flags, std::string_view function);

// What Begin (v2 and direct Perform too) checks before anything moves: pairs of flags, what this
// daemon does not do, ranges of the values. Prepare and Perform check the same again: each side
// believes only itself.
Result<> check_options(const MigrateOptions& options);

// "tcp:host", "tcp://host", "tcp://host:port", "tcp://[::1]:port". A port of 0: the destination
// chooses.
struct MigrateUri {
    std::string host;
    std::uint16_t port = 0;

    friend bool operator==(const MigrateUri&, const MigrateUri&) = default;
};
Result<MigrateUri> parse_migrate_uri(std::string_view text);
std::string migrate_uri_text(const MigrateUri& uri);

// --graphicsuri: "spice://host:port/?tlsPort=N&tlsSubject=S".
struct GraphicsUri {
    std::string scheme;
    std::string host;
    std::uint16_t port = 0;
    std::uint16_t tls_port = 0;
    std::string tls_subject;

    friend bool operator==(const GraphicsUri&, const GraphicsUri&) = default;
};
Result<GraphicsUri> parse_graphics_uri(std::string_view text);

}  // namespace segue::migrate
