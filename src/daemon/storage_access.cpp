// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/storage_access.h"

namespace segue {
namespace {

Result<> check_file(const FactsOfFiles& facts, std::string_view what, const std::string& path,
                    std::string_view remedy) {
    const auto found = facts.find(path);
    if (path.empty() || found == facts.end() || found->second.error == 0) return {};
    return fail(ErrorCode::system, "Cannot access {} '{}': {}; {}", what, path,
                reason_of(found->second), remedy);
}

// QEMU would wait for somebody at the other end of a FIFO, and say nothing meanwhile.
Result<> check_is_disk(const FactsOfFiles& facts, const Disk& disk) {
    const auto found = facts.find(disk.source);
    if (found == facts.end() || !found->second.is_no_storage) return {};
    return fail(ErrorCode::config_unsupported,
                "'{}' is neither a file nor a block device; change the source of disk '{}'",
                disk.source, disk.target);
}

}  // namespace

std::vector<std::string> disk_files_of(const Domain& domain) {
    std::vector<std::string> files;
    for (const Disk& disk : domain.disks)
        if (!disk.source.empty()) files.push_back(disk.source);
    return files;
}

std::vector<std::string> files_of(const Domain& domain) {
    std::vector<std::string> files = disk_files_of(domain);
    for (const std::string& file : {domain.os.kernel, domain.os.initrd})
        if (!file.empty()) files.push_back(file);
    return files;
}

Result<> check_storage_access(const Domain& domain, const FactsOfFiles& facts) {
    for (const Disk& disk : domain.disks) {
        TRY(check_file(facts, "storage file", disk.source,
                       fmt::format("restore it, or change the source of disk '{}'", disk.target)));
        TRY(check_is_disk(facts, disk));
    }
    TRY(check_file(facts, "kernel", domain.os.kernel, "restore it, or change <kernel>"));
    return check_file(facts, "initrd", domain.os.initrd, "restore it, or change <initrd>");
}

}  // namespace segue
