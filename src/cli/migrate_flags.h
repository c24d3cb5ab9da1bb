// SPDX-License-Identifier: LGPL-2.1-or-later
// The options of `segue migrate` that are one bit of virDomainMigrateFlags (libvirt-domain.h),
// under the names that virsh gives them.
#pragma once

#include <cstdint>
#include <string_view>

namespace segue::cli {

struct MigrateFlag {
    std::string_view option;
    std::uint64_t bit;
    std::string_view help;
};

inline constexpr std::uint64_t kMigrateLive = 1;
inline constexpr std::uint64_t kMigratePeerToPeer = 2;
inline constexpr std::uint64_t kMigratePersistDestination = 8;
inline constexpr std::uint64_t kMigrateUndefineSource = 16;
inline constexpr std::uint64_t kMigrateOffline = 1024;
inline constexpr std::uint64_t kMigrateUnsafe = 512;

inline constexpr MigrateFlag kMigrateFlags[] = {
    {"live", kMigrateLive, "The default; kept for virsh's users"},
    {"p2p", kMigratePeerToPeer, "The default; kept for virsh's users"},
    {"tunnelled", 4, "The data goes through the daemons' connection"},
    {"persistent", kMigratePersistDestination, "Keep the definition on the other host"},
    {"undefinesource", kMigrateUndefineSource, "Forget it on this host"},
    {"suspend", 32, "Leave the guest paused on the other host"},
    {"change-protection", 256, "No change of the domain meanwhile"},
    {"unsafe", kMigrateUnsafe, "Even where a disk is not shared"},
    {"offline", kMigrateOffline, "Move the definition of a domain that is shut off"},
    {"compressed", 2048, "Compress repeated transfers of a page"},
    {"abort-on-error", 4096, "Cancel when the guest meets an I/O error"},
    {"auto-converge", 8192, "Slow the guest where it changes memory too fast"},
    {"tls", 65536, "Encrypt the data"},
    {"parallel", 131072, "Several connections"},
};

}  // namespace segue::cli
