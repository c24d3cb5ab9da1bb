// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/storage_access.h"

#include <sys/stat.h>

#include <cerrno>
#include <system_error>

namespace segue {
namespace {

Result<> check_file(std::string_view what, const std::string& path, std::string_view remedy) {
    struct stat facts {};
    if (path.empty() || ::stat(path.c_str(), &facts) == 0) return {};
    return fail(ErrorCode::system, "Cannot access {} '{}': {}; {}", what, path,
                std::generic_category().message(errno), remedy);
}

}  // namespace

Result<> check_storage_access(const Domain& domain) {
    for (const Disk& disk : domain.disks) {
        TRY(check_file("storage file", disk.source,
                       fmt::format("restore it, or change the source of disk '{}'", disk.target)));
    }
    TRY(check_file("kernel", domain.os.kernel, "restore it, or change <kernel>"));
    return check_file("initrd", domain.os.initrd, "restore it, or change <initrd>");
}

}  // namespace segue
