// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/state_directory.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

namespace segue {
namespace {

constexpr mode_t kMode = 0711;
constexpr mode_t kOthersPass = S_IXGRP | S_IXOTH;

// "/domains/", the name of an incarnation (a UUID), "/monitor.sock"; see sockaddr_un.
constexpr std::size_t kLongestPath = 107 - 9 - 36 - 13;

Result<> check_owner(const std::string& path, const struct stat& found) {
    if (!S_ISDIR(found.st_mode)) {
        return fail(ErrorCode::system, "the state directory '{}' is not a directory", path);
    }
    if (found.st_uid != ::geteuid() && found.st_uid != 0) {
        return fail(ErrorCode::denied,
                    "the state directory '{}' belongs to user {}: chown it, or name another one "
                    "with --state",
                    path, found.st_uid);
    }
    if ((found.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        return fail(ErrorCode::denied,
                    "others may write to the state directory '{}' (mode {:o}): chmod go-w, or name "
                    "another one with --state",
                    path, found.st_mode & 07777);
    }
    return {};
}

Result<> make_one(const std::string& path, bool may_be_link) {
    struct stat found {};
    if ((may_be_link ? ::stat : ::lstat)(path.c_str(), &found) == 0) {
        TRY(check_owner(path, found));
        const bool add = ::geteuid() == 0 && (found.st_mode & kOthersPass) != kOthersPass;
        if (add && ::chmod(path.c_str(), (found.st_mode & 07777) | kOthersPass) != 0) {
            return fail_errno("chmod", path, errno);
        }
        return {};
    }
    std::error_code code;
    std::filesystem::create_directories(path, code);
    if (code) {
        return fail(ErrorCode::system, "make the state directory '{}': {}", path, code.message());
    }
    if (::chmod(path.c_str(), kMode) != 0) return fail_errno("chmod", path, errno);
    return {};
}

}  // namespace

Result<> make_state_directory(const std::string& path) {
    if (path.size() > kLongestPath) {
        return fail(ErrorCode::invalid_argument,
                    "the state directory '{}' has {} characters: at most {} are possible, because "
                    "the paths of sockets are short",
                    path, path.size(), kLongestPath);
    }
    TRY(make_one(path, true));
    return make_one(path + "/domains", false);
}

}  // namespace segue
