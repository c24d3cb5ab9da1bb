// SPDX-License-Identifier: LGPL-2.1-or-later
#include "qemu/process_record.h"

#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <limits>
#include <string_view>

#include "base/log.h"
#include "qemu/plain_file.h"

namespace segue {
namespace {

constexpr std::size_t kMaxStatusBytes = 64U << 10;
// Linux allows 6 MiB of arguments and environment; ours have some ten thousand bytes.
constexpr std::size_t kMaxCommandBytes = 1U << 20;

std::optional<std::uint32_t> owner_of(const std::string& directory) {
    struct stat facts {};
    if (::lstat(directory.c_str(), &facts) != 0 || !S_ISDIR(facts.st_mode)) return std::nullopt;
    return facts.st_uid;
}

// Real, effective, saved and file system user, in /proc/PID/status.
bool runs_as(std::int32_t pid, std::uint32_t user) {
    const auto status = read_plain(fmt::format("/proc/{}/status", pid), kMaxStatusBytes);
    const std::string wanted = fmt::format("\nUid:\t{0}\t{0}\t{0}\t{0}\n", user);
    return status && status->find(wanted) != std::string::npos;
}

bool works_in(std::int32_t pid, const std::string& directory) {
    // Only the last part is its own: the folders above it may have been reached through links.
    const std::string name = directory.substr(directory.rfind('/'));
    std::array<char, PATH_MAX> place;
    const ssize_t size =
        ::readlink(fmt::format("/proc/{}/cwd", pid).c_str(), place.data(), place.size());
    if (size > 0 && std::string_view(place.data(), static_cast<std::size_t>(size)).ends_with(name))
        return true;
    const auto words = read_plain(fmt::format("/proc/{}/cmdline", pid), kMaxCommandBytes);
    return words && words->find(name + "/") != std::string::npos;
}

Result<ProcessIdentity> process_of_earlier_release(const std::string& directory) {
    const std::string path = directory + "/pid";
    const ProcessIdentity said = TRY(read_pid_file(path));
    const auto owner = owner_of(directory);
    // A directory of our own has a file of our own: of a standby's QEMU that has taken over.
    if (owner == ::geteuid() && identify(said.pid) == said) return said;
    if (identify_in(said.pid, directory) == said) return said;
    return fail(ErrorCode::no_domain, "'{}' names pid {}, which is no QEMU of this directory", path,
                said.pid);
}

}  // namespace

std::string pid_file_beside(const std::string& directory) {
    return directory + ".pid";
}

Result<ProcessIdentity> process_of(const std::string& directory) {
    const std::string path = pid_file_beside(directory);
    struct stat facts {};
    if (::lstat(path.c_str(), &facts) == 0 || errno != ENOENT) return read_pid_file(path);
    const ProcessIdentity found = TRY(process_of_earlier_release(directory));
    // It lives, whether or not it can be noted: the next start finds it the same way.
    if (const auto noted = write_pid_file(path, found); !noted) {
        log_warning("qemu", "{}", noted.error().message);
    }
    return found;
}

std::optional<ProcessIdentity> identify_in(std::int64_t pid, const std::string& directory) {
    if (pid <= 1 || pid > std::numeric_limits<std::int32_t>::max()) return std::nullopt;
    const auto number = static_cast<std::int32_t>(pid);
    const auto identity = identify(number);
    const auto owner = owner_of(directory);
    if (!identity || !owner || !runs_as(number, *owner) || !works_in(number, directory)) {
        return std::nullopt;
    }
    // What was looked at is still the same process.
    return identify(number) == identity ? identity : std::nullopt;
}

void forget_process(const std::string& directory) {
    const std::string path = pid_file_beside(directory);
    // The second one of a daemon that died while it wrote.
    for (const std::string& file : {path, path + ".new"})
        (void)::unlink(file.c_str());
}

bool kill_process(const ProcessIdentity& identity) {
    // The pidfd first: what is identified afterwards is what it names.
    const int handle = static_cast<int>(::syscall(SYS_pidfd_open, identity.pid, 0));
    if (handle < 0) return false;
    const bool is_it = identify(identity.pid) == identity;
    if (is_it) ::syscall(SYS_pidfd_send_signal, handle, SIGKILL, nullptr, 0U);
    ::close(handle);
    return is_it;
}

}  // namespace segue
