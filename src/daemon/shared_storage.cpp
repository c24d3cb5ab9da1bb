// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/shared_storage.h"

#include <algorithm>
#include <fstream>
#include <iterator>

namespace segue {
namespace {

// Magic numbers of statfs(2) whose file systems several hosts can have mounted at once.
constexpr std::uint64_t kShared[] = {
    0x6969,      // NFS
    0x01161970,  // GFS2
    0x7461636f,  // OCFS2
    0x5346414f,  // AFS
    0xff534d42,  // CIFS
    0xfe534d42,  // SMB2
    0x47504653,  // GPFS
    0x00c36400,  // Ceph
    0x0bd00bd0,  // Lustre
    0x7c7c6673,  // PrlFS
};
constexpr std::uint64_t kFuse = 0x65735546;
// What of FUSE is shared, by the type in the mount table.
constexpr std::string_view kSharedFuse[] = {"fuse.glusterfs", "fuse.quobyte", "fuse.ceph-fuse"};

// The type of the mount that this path lies on: the longest mount point that is a prefix.
std::string mount_type_of(const std::string& path) {
    std::ifstream mounts("/proc/self/mounts");
    std::string device, place, type, rest, best_type;
    std::size_t best = 0;
    while (mounts >> device >> place >> type && std::getline(mounts, rest)) {
        const bool below =
            path.starts_with(place) &&
            (place == "/" || path.size() == place.size() || path[place.size()] == '/');
        if (below && place.size() >= best) {
            best = place.size();
            best_type = type;
        }
    }
    return best_type;
}

bool is_shared(const std::string& path, const FactsOfFiles& facts) {
    const auto known = facts.find(path);
    if (known == facts.end()) return false;
    const std::uint64_t type = known->second.file_system;
    if (type == kFuse) {
        const std::string mounted = mount_type_of(path);
        return std::find(std::begin(kSharedFuse), std::end(kSharedFuse), mounted) !=
               std::end(kSharedFuse);
    }
    return std::find(std::begin(kShared), std::end(kShared), type) != std::end(kShared);
}

}  // namespace

Result<> check_shared_storage(const Domain& domain, const FactsOfFiles& facts) {
    for (const Disk& disk : domain.disks) {
        const bool writable = disk.kind == DiskKind::disk && !disk.read_only;
        if (!writable || disk.source.empty() || disk.block || is_shared(disk.source, facts))
            continue;
        return fail(ErrorCode::migrate_unsafe,
                    "Migration without shared storage is unsafe: disk '{}' ({}) is on a file "
                    "system of this host; put it on a shared one, or say --unsafe",
                    disk.target, disk.source);
    }
    return {};
}

}  // namespace segue
