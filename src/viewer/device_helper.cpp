// SPDX-License-Identifier: LGPL-2.1-or-later
#include "viewer/device_helper.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>

extern char** environ;

namespace segue::viewer {
namespace {

// A helper has no business with the password.
std::vector<char*> environment_without_secrets() {
    constexpr std::string_view kSecret = "SEGUE_VIEW_PASSWORD=";
    std::vector<char*> result;
    for (char** each = environ; *each != nullptr; ++each) {
        if (!std::string_view(*each).starts_with(kSecret)) result.push_back(*each);
    }
    result.push_back(nullptr);
    return result;
}

Result<> spawn(const std::string& path, std::vector<std::string>& arguments, int socket) {
    // Ended helpers are nobody's zombies: each ends when its socket does.
    std::signal(SIGCHLD, SIG_IGN);
    std::vector<char*> words{const_cast<char*>(path.c_str())};
    for (std::string& argument : arguments)
        words.push_back(argument.data());
    words.push_back(nullptr);
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, socket, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&files, STDERR_FILENO, STDOUT_FILENO);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t all;
    sigfillset(&all);
    posix_spawnattr_setsigdefault(&attributes, &all);
    // Ctrl+C is for the viewer, which ends its helpers by itself.
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    pid_t pid = 0;
    const int error = ::posix_spawn(&pid, path.c_str(), &files, &attributes, words.data(),
                                    environment_without_secrets().data());
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    if (error == ENOENT) {
        return fail(ErrorCode::no_support, "'{}' is not installed: it shares this kind of device",
                    path);
    }
    if (error != 0) return fail_errno("start", path, error);
    return {};
}

}  // namespace

Result<std::unique_ptr<DeviceHelper>> DeviceHelper::start(Loop& loop, const std::string& program,
                                                          std::vector<std::string> arguments,
                                                          Handlers handlers) {
    std::error_code ignored;
    const auto self = std::filesystem::read_symlink("/proc/self/exe", ignored);
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return fail_errno("make a socket for", program, errno);
    net::Descriptor ours(ends[0]), theirs(ends[1]);
    ::fcntl(ours.get(), F_SETFL, O_NONBLOCK);
    TRY(spawn(self.parent_path() / program, arguments, theirs.get()));
    std::unique_ptr<DeviceHelper> helper(new DeviceHelper);
    net::Connection::Handlers events;
    events.on_input = std::move(handlers.on_bytes);
    events.on_drained = std::move(handlers.on_drained);
    events.on_closed = [on_over = std::move(handlers.on_over)](const Error&) {
        const auto keep = on_over;
        keep();
    };
    helper->connection_ =
        std::make_unique<net::Connection>(loop, std::move(ours), std::move(events));
    helper->connection_->start();
    return helper;
}

}  // namespace segue::viewer
