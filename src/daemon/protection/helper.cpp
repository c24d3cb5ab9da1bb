// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/protection/helper.h"

#include <unistd.h>

#include <filesystem>

#include "base/log.h"
#include "daemon/life_steps.h"
#include "protect/memory_directory.h"
#include "qemu/process_record.h"

namespace segue {
namespace {

// Beside the daemon's own program.
Result<std::string> path_of(const std::string& program) {
    std::error_code code;
    const auto own = std::filesystem::read_symlink("/proc/self/exe", code);
    const std::string path = (own.parent_path() / program).string();
    if (code || ::access(path.c_str(), X_OK) != 0) {
        return fail(ErrorCode::config_unsupported, "'{}' is missing: install segue-daemon whole",
                    path);
    }
    return path;
}

}  // namespace

Result<std::unique_ptr<QemuProcess>> start_helper(const Services& services,
                                                  const HelperStart& start) {
    ProcessStart process;
    process.is_own_program = true;
    process.directory = start.directory;
    process.log_path = start.directory + "/log";
    process.pid_file = pid_file_beside(start.directory);
    process.user = TRY(qemu_user(services.settings));
    process.environment = start.environment;
    process.line.arguments = {TRY(path_of(start.program))};
    process.line.arguments.insert(process.line.arguments.end(), start.arguments.begin(),
                                  start.arguments.end());
    process.line.inherited = start.inherited;
    return QemuProcess::start(services.loop, process);
}

Result<std::unique_ptr<QemuProcess>> adopt_helper(const Services& services,
                                                  const std::string& directory) {
    return QemuProcess::adopt(services.loop, TRY(process_of(directory)));
}

void sweep_memory_of_standbys(const Services& services) {
    const auto user = qemu_user(services.settings);
    if (!user) return;
    const int count = sweep_memory(*user ? (*user)->uid : ::geteuid());
    if (count > 0) log_info("daemon", "removed the memory that {} killed standbys left", count);
}

}  // namespace segue
