// SPDX-License-Identifier: LGPL-2.1-or-later
// Who a process is, whom it may run as, and which programs may be run.
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cstdlib>

#include "qemu/plain_file.h"
#include "qemu/process.h"

namespace segue {
namespace {

constexpr std::size_t kMaxStatBytes = 4096;
constexpr std::size_t kMaxPidFileBytes = 64;

// The next number of `text`, which is shortened; nothing where there is none.
template <class T>
std::optional<T> take_number(std::string_view& text) {
    while (!text.empty() && text.front() == ' ')
        text.remove_prefix(1);
    T value{};
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
    if (parsed.ec != std::errc()) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(parsed.ptr - text.data()));
    return value;
}

Result<> check_owner(const std::string& path, bool is_program) {
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0) return fail_errno("emulator", path, errno);
    if (is_program && (!S_ISREG(info.st_mode) || !(info.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)))) {
        return fail(ErrorCode::config_unsupported, "emulator '{}' is not an executable file", path);
    }
    const bool ours = info.st_uid == 0 || info.st_uid == ::geteuid();
    // In a sticky folder nobody can replace what is another's.
    const bool sticky = !is_program && (info.st_mode & S_ISVTX);
    if (!ours || ((info.st_mode & (S_IWGRP | S_IWOTH)) && !sticky)) {
        return fail(ErrorCode::denied,
                    "emulator: '{}' is not owned by root, or others may write to it: chown root "
                    "and chmod go-w",
                    path);
    }
    return {};
}

}  // namespace

std::optional<ProcessIdentity> identify(std::int32_t pid) {
    const auto stat = read_plain(fmt::format("/proc/{}/stat", pid), kMaxStatBytes);
    if (!stat) return std::nullopt;
    // The name, in parentheses, may hold anything: fields count from behind the last one.
    const std::size_t name_end = stat->rfind(") ");
    if (name_end == std::string::npos || name_end + 2 >= stat->size()) return std::nullopt;
    std::string_view rest = std::string_view(*stat).substr(name_end + 2);
    const char state = rest.front();
    if (state == 'Z' || state == 'X') return std::nullopt;
    rest.remove_prefix(1);
    constexpr int kBetweenStateAndStart = 18;  // fields 4 to 21
    for (int field = 0; field < kBetweenStateAndStart; ++field) {
        if (!take_number<std::int64_t>(rest)) return std::nullopt;
    }
    const auto start = take_number<std::uint64_t>(rest);
    if (!start) return std::nullopt;
    return ProcessIdentity{pid, *start};
}

Result<> write_pid_file(const std::string& path, const ProcessIdentity& identity) {
    const std::string fresh = path + ".new";
    const int file = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0) return fail_errno("open", fresh, errno);
    const std::string text = fmt::format("{} {}\n", identity.pid, identity.start_ticks);
    const bool written =
        ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
        ::fsync(file) == 0;
    const int error = errno;
    ::close(file);
    if (!written) return fail_errno("write", fresh, error);
    if (::rename(fresh.c_str(), path.c_str()) != 0) return fail_errno("rename", path, errno);
    return {};
}

Result<ProcessIdentity> read_pid_file(const std::string& path) {
    const std::string text = TRY(read_plain(path, kMaxPidFileBytes));
    std::string_view rest = text;
    const auto pid = take_number<std::int32_t>(rest);
    const auto start = take_number<std::uint64_t>(rest);
    if (!pid || *pid <= 1 || !start || rest != "\n") {
        return fail(ErrorCode::internal, "pid file '{}' is damaged", path);
    }
    return ProcessIdentity{*pid, *start};
}

Result<ProcessUser> find_user(const std::string& name) {
    std::string_view rest = name;
    const auto uid = take_number<std::uint32_t>(rest);
    if (uid && !rest.empty() && rest.front() == ':') {
        rest.remove_prefix(1);
        const auto gid = take_number<std::uint32_t>(rest);
        if (gid && rest.empty()) return ProcessUser{*uid, *gid};
    }
    std::array<char, 16384> buffer;
    passwd entry{};
    passwd* found = nullptr;
    if (::getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found) != 0 || !found) {
        return fail(ErrorCode::config_unsupported,
                    "user '{}' for QEMU does not exist: create it, or name UID:GID", name);
    }
    return ProcessUser{found->pw_uid, found->pw_gid};
}

Result<> check_emulator(const std::string& path) {
    std::array<char, PATH_MAX> resolved;
    if (path.empty() || path[0] != '/') {
        return fail(ErrorCode::config_unsupported, "emulator '{}' is not an absolute path", path);
    }
    if (!::realpath(path.c_str(), resolved.data())) return fail_errno("emulator", path, errno);
    std::string part = resolved.data();
    TRY(check_owner(part, true));
    while (part.size() > 1) {
        part.resize(part.rfind('/'));
        if (part.empty()) part.push_back('/');
        TRY(check_owner(part, false));
    }
    return {};
}

std::string log_tail(const std::string& path, std::size_t most) {
    std::string text = read_plain_tail(path, most);
    while (!text.empty() && text.back() == '\n')
        text.pop_back();
    return text;
}

std::string in_one_line(std::string_view words) {
    // "2026-11-21T19:07:38.489022Z qemu-system-x86_64: what happened" (error_report of QEMU).
    const auto bare = [](std::string_view line) {
        const std::size_t time = line.find("Z ");
        if (time != line.npos &&
            line.substr(0, time).find_first_not_of("0123456789-:.T") == line.npos) {
            line.remove_prefix(time + 2);
        }
        const std::size_t name = line.find(": ");
        if (name != line.npos && line.substr(0, name).find("qemu-system") != line.npos &&
            line.substr(0, name).find(' ') == line.npos) {
            line.remove_prefix(name + 2);
        }
        return line;
    };
    std::string all, without_warnings;
    while (!words.empty()) {
        const std::size_t end = std::min(words.find('\n'), words.size());
        const std::string_view line = bare(words.substr(0, end));
        words.remove_prefix(std::min(end + 1, words.size()));
        if (line.empty()) continue;
        all.append(all.empty() ? "" : "; ").append(line);
        if (line.starts_with("warning:")) continue;
        without_warnings.append(without_warnings.empty() ? "" : "; ").append(line);
    }
    return without_warnings.empty() ? all : without_warnings;
}

}  // namespace segue
