// SPDX-License-Identifier: LGPL-2.1-or-later
#include "standby/state_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/json.h"
#include "protect/stored_head.h"

namespace segue::standby {
namespace {

Result<> make_own_directory(const std::string& path) {
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

Result<> sync_file(const std::string& path) {
    const net::Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file || ::fsync(file.get()) != 0) return fail_errno("sync", path, errno);
    return {};
}

}  // namespace

Result<StateDirectory> StateDirectory::open(const std::string& path) {
    StateDirectory state;
    std::error_code error;
    std::filesystem::create_directories(std::filesystem::path(path).parent_path(), error);
    TRY(make_own_directory(path));
    state.path_ = std::filesystem::canonical(path, error).string();
    const std::string lock = state.file("lock");
    state.lock_.reset(::open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!state.lock_) return fail_errno("open", lock, errno);
    if (::flock(state.lock_.get(), LOCK_EX | LOCK_NB) != 0) {
        return fail(ErrorCode::exists, "'{}' belongs to another segue-standby that runs",
                    state.path_);
    }
    state.memory_ = TRY(MemoryDirectory::open(state.path_));

    std::ifstream file(state.file("state.json"), std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    if (!text.empty()) {
        const Json json = TRY(Json::parse(text));
        state.facts_.promoted = json.flag("promoted");
        // Older releases did not say: a guest that may run is not run a second time.
        state.facts_.ran = json.flag("ran", state.facts_.promoted);
        state.facts_.given_up = json.flag("given_up");
        state.facts_.paused = json.flag("paused");
        state.facts_.beyond_epoch = json.u64("beyond_epoch");
        state.facts_.seat = json.u64("seat");
        state.facts_.epoch = json.u64("epoch");
        state.facts_.lost_at_ms = json.i64("lost_at_ms");
    }
    return state;
}

std::string StateDirectory::file(std::string_view name) const {
    return fmt::format("{}/{}", path_, name);
}

Result<std::string> StateDirectory::make_directory(std::string_view name) const {
    const std::string path = file(name);
    TRY(make_own_directory(path));
    return path;
}

Result<> StateDirectory::save(const Facts& facts) {
    const Facts before = facts_;
    TRY(save_for_next_process(facts));
    Result<> synced = sync_file(file("state.json"));
    if (synced) synced = sync_file(path_);
    // A next process must not read what this one does not stand by. Where not even that can be
    // written, both keep what the file says.
    if (!synced) (void)save_for_next_process(before);
    return synced;
}

Result<> StateDirectory::save_for_next_process(const Facts& facts) {
    const Json json = Json::object({{"promoted", facts.promoted},
                                    {"ran", facts.ran},
                                    {"given_up", facts.given_up},
                                    {"paused", facts.paused},
                                    {"beyond_epoch", facts.beyond_epoch},
                                    {"seat", facts.seat},
                                    {"epoch", facts.epoch},
                                    {"lost_at_ms", facts.lost_at_ms}});
    const std::string text = json.dump() + '\n';
    TRY(save_bytes(file("state.json"), as_bytes(text)));
    facts_ = facts;
    return {};
}

}  // namespace segue::standby
