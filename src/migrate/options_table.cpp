// SPDX-License-Identifier: LGPL-2.1-or-later
#include "migrate/options.h"

namespace segue::migrate {
namespace {

using Kind = rpc::remote::ParameterKind;

constexpr std::string_view kNoPostCopy = "post-copy migration is not supported by this daemon";
constexpr std::string_view kNoStorage =
    "migration of non-shared storage is not supported by this daemon: share the disks, or copy "
    "them first";
constexpr std::string_view kNoRdma = "RDMA migration is not supported by this daemon";
constexpr std::string_view kNoZeroCopy = "zero-copy migration is not supported by this daemon";

const FlagInfo kFlags[] = {
    {kLive, "LIVE", "--live", ""},
    {kPeerToPeer, "PEER2PEER", "--p2p", ""},
    {kTunnelled, "TUNNELLED", "--tunnelled", ""},
    {kPersistDestination, "PERSIST_DEST", "--persistent", ""},
    {kUndefineSource, "UNDEFINE_SOURCE", "--undefinesource", ""},
    {kPaused, "PAUSED", "--suspend", ""},
    {kNonSharedDisk, "NON_SHARED_DISK", "--copy-storage-all", kNoStorage},
    {kNonSharedIncremental, "NON_SHARED_INC", "--copy-storage-inc", kNoStorage},
    {kChangeProtection, "CHANGE_PROTECTION", "--change-protection", ""},
    {kUnsafe, "UNSAFE", "--unsafe", ""},
    {kOffline, "OFFLINE", "--offline", ""},
    {kCompressed, "COMPRESSED", "--compressed", ""},
    {kAbortOnError, "ABORT_ON_ERROR", "--abort-on-error", ""},
    {kAutoConverge, "AUTO_CONVERGE", "--auto-converge", ""},
    {kRdmaPinAll, "RDMA_PIN_ALL", "--rdma-pin-all", kNoRdma},
    {kPostCopy, "POSTCOPY", "--postcopy", kNoPostCopy},
    {kTls, "TLS", "--tls", ""},
    {kParallel, "PARALLEL", "--parallel", ""},
    {kNonSharedSynchronousWrites, "NON_SHARED_SYNCHRONOUS_WRITES",
     "--copy-storage-synchronous-writes", kNoStorage},
    {kPostCopyResume, "POSTCOPY_RESUME", "--postcopy-resume", kNoPostCopy},
    {kZeroCopy, "ZEROCOPY", "--zerocopy", kNoZeroCopy},
};

// The words and codes of qemuMigrationSrcBeginPhase, qemuMigrationParamsFromFlags and the client
// library.
const FlagRule kRules[] = {
    {kNonSharedDisk | kNonSharedIncremental, 0, ErrorCode::invalid_argument,
     "flags 'VIR_MIGRATE_NON_SHARED_DISK' and 'VIR_MIGRATE_NON_SHARED_INC' are mutually exclusive"},
    {kTunnelled | kParallel, 0, ErrorCode::invalid_argument,
     "flags 'VIR_MIGRATE_TUNNELLED' and 'VIR_MIGRATE_PARALLEL' are mutually exclusive"},
    {kTunnelled | kTls, 0, ErrorCode::invalid_argument,
     "flags 'VIR_MIGRATE_TUNNELLED' and 'VIR_MIGRATE_TLS' are mutually exclusive: a tunnel is as "
     "safe as its connection, use qemu+tls://"},
    {kTunnelled, kPeerToPeer, ErrorCode::invalid_argument,
     "cannot perform tunnelled migration without using peer2peer flag"},
    {kPostCopy, kLive, ErrorCode::argument_unsupported,
     "post-copy migration is not supported with non-live or paused migration"},
    {kPostCopy | kPaused, 0, ErrorCode::argument_unsupported,
     "post-copy migration is not supported with non-live or paused migration"},
    {kPostCopy | kTunnelled, 0, ErrorCode::argument_unsupported,
     "post-copy is not supported with tunnelled migration"},
    {kOffline | kNonSharedDisk, 0, ErrorCode::operation_invalid,
     "offline migration cannot handle non-shared storage"},
    {kOffline | kNonSharedIncremental, 0, ErrorCode::operation_invalid,
     "offline migration cannot handle non-shared storage"},
    {kOffline, kPersistDestination, ErrorCode::operation_invalid,
     "offline migration must be specified with the persistent flag set"},
    {kOffline | kTunnelled, 0, ErrorCode::operation_invalid,
     "tunnelled offline migration does not make sense"},
    {kZeroCopy, kParallel, ErrorCode::operation_invalid,
     "zero-copy is only available for parallel migration"},
    {kPostCopyResume, kPostCopy, ErrorCode::argument_unsupported,
     "resuming failed post-copy migration requires post-copy to be enabled"},
};

const ParameterInfo kParameters[] = {
    {"migrate_uri", Kind::text, false, "--migrateuri", ""},
    {"destination_name", Kind::text, false, "--dname", ""},
    {"destination_xml", Kind::text, false, "--xml", ""},
    {"persistent_xml", Kind::text, false, "--persistent-xml", ""},
    {"bandwidth", Kind::uint64, false, "--bandwidth", ""},
    {"graphics_uri", Kind::text, false, "--graphicsuri", ""},
    {"listen_address", Kind::text, false, "--listen-address", ""},
    {"migrate_disks", Kind::text, true, "--migrate-disks", kNoStorage},
    {"disks_port", Kind::int32, false, "--disks-port", kNoStorage},
    {"disks_uri", Kind::text, false, "--disks-uri", kNoStorage},
    {"compression", Kind::text, true, "--comp-methods", ""},
    {"compression.mt.level", Kind::int32, false, "--comp-mt-level", ""},
    {"compression.mt.threads", Kind::int32, false, "--comp-mt-threads", ""},
    {"compression.mt.dthreads", Kind::int32, false, "--comp-mt-dthreads", ""},
    {"compression.xbzrle.cache", Kind::uint64, false, "--comp-xbzrle-cache", ""},
    {"auto_converge.initial", Kind::int32, false, "--auto-converge-initial", ""},
    {"auto_converge.increment", Kind::int32, false, "--auto-converge-increment", ""},
    {"bandwidth.postcopy", Kind::uint64, false, "--postcopy-bandwidth", kNoPostCopy},
    {"parallel.connections", Kind::int32, false, "--parallel-connections", ""},
    {"tls.destination", Kind::text, false, "--tls-destination", ""},
    // Ours: of `segue migrate`.
    {"segue.screen_wait", Kind::uint64, false, "", ""},
    {"segue.max_downtime", Kind::uint64, false, "", ""},
};

}  // namespace

std::span<const FlagInfo> migrate_flags() {
    return kFlags;
}
std::span<const FlagRule> flag_rules() {
    return kRules;
}
std::span<const ParameterInfo> migrate_parameters() {
    return kParameters;
}

}  // namespace segue::migrate
