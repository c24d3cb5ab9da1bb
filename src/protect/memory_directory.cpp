// SPDX-License-Identifier: LGPL-2.1-or-later
#include "protect/memory_directory.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <filesystem>
#include <vector>

#include "base/bytes.h"
#include "protect/stored_head.h"

namespace segue {
namespace {

constexpr const char* kRoot = "/dev/shm";
constexpr const char* kLock = ".lock";
// Holds the path of the state directory.
constexpr const char* kOwner = ".owner";

std::string prefix_of(uid_t owner) {
    return fmt::format("segue-standby-{}-", owner);
}

// A name that stays the same for the same state directory.
std::uint64_t hash_of(std::string_view text) {
    std::uint64_t hash = 0xcbf29ce484222325;
    for (const char letter : text)
        hash = (hash ^ static_cast<unsigned char>(letter)) * 0x100000001b3;
    return hash;
}

Result<> make_own(const std::string& path) {
    if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
        return fail_errno("make directory", path, errno);
    }
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0) return fail_errno("look at", path, errno);
    if (!S_ISDIR(status.st_mode) || status.st_uid != ::geteuid() || (status.st_mode & 022) != 0) {
        return fail(ErrorCode::denied,
                    "'{}' is not a directory of our own that nobody else may write", path);
    }
    return {};
}

// The names in an open directory, without "." and "..".
std::vector<std::string> names_in(int directory) {
    std::vector<std::string> names;
    std::error_code ignored;
    const std::string path = fmt::format("/proc/self/fd/{}", directory);
    for (const auto& entry : std::filesystem::directory_iterator(path, ignored))
        names.push_back(entry.path().filename().string());
    return names;
}

// Relative to the open directory: whoever exchanges it by another one moves nothing of ours.
bool remove_below(int root, const std::string& name, int directory) {
    for (const std::string& file : names_in(directory))
        (void)::unlinkat(directory, file.c_str(), 0);
    return ::unlinkat(root, name.c_str(), AT_REMOVEDIR) == 0;
}

std::string read_owner(int directory) {
    const net::Descriptor file(::openat(directory, kOwner, O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    std::array<char, PATH_MAX> text;
    const ssize_t size = file ? ::read(file.get(), text.data(), text.size()) : -1;
    return size > 0 ? std::string(text.data(), static_cast<std::size_t>(size)) : std::string();
}

bool is_gone(const std::string& path) {
    struct stat status {};
    return !path.empty() && path[0] == '/' && ::lstat(path.c_str(), &status) != 0 &&
           errno == ENOENT;
}

// True when it was left, and is removed. One that does not say whose it is may be starting.
bool sweep(int root, const std::string& name, uid_t owner) {
    const net::Descriptor directory(
        ::openat(root, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    struct stat status {};
    if (!directory || ::fstat(directory.get(), &status) != 0 || status.st_uid != owner) {
        return false;
    }
    const net::Descriptor lock(::openat(directory.get(), kLock, O_RDWR | O_CLOEXEC | O_NOFOLLOW));
    if (!lock || ::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) return false;
    return is_gone(read_owner(directory.get())) && remove_below(root, name, directory.get());
}

}  // namespace

Result<MemoryDirectory> MemoryDirectory::open(const std::string& state) {
    struct statfs system {};
    if (::statfs(state.c_str(), &system) != 0) return fail_errno("look at", state, errno);
    if (system.f_type == TMPFS_MAGIC) return open_at(state + "/memory", state);
    return open_at(fmt::format("{}/{}{:016x}", kRoot, prefix_of(::geteuid()), hash_of(state)),
                   state);
}

Result<MemoryDirectory> MemoryDirectory::open_at(const std::string& path,
                                                 const std::string& state) {
    MemoryDirectory directory;
    directory.path_ = path;
    TRY(make_own(directory.path_));
    const std::string lock = fmt::format("{}/{}", directory.path_, kLock);
    directory.lock_.reset(::open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!directory.lock_) return fail_errno("open", lock, errno);
    // A sweep that looks at it holds this for a moment, and the state directory is there.
    if (::flock(directory.lock_.get(), LOCK_EX) != 0) return fail_errno("lock", lock, errno);
    TRY(save_bytes(fmt::format("{}/{}", directory.path_, kOwner), as_bytes(state)));
    return directory;
}

void MemoryDirectory::remove() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

int sweep_memory(uid_t owner, const std::string& root) {
    const net::Descriptor directory(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory) return 0;
    const std::string prefix = prefix_of(owner);
    int count = 0;
    for (const std::string& name : names_in(directory.get()))
        if (name.starts_with(prefix) && sweep(directory.get(), name, owner)) ++count;
    return count;
}

}  // namespace segue
