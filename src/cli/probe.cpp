// SPDX-License-Identifier: LGPL-2.1-or-later
#include "cli/probe.h"

#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

namespace segue::cli {
namespace {

constexpr std::size_t kOutputBytes = 1 << 20;

// Waits for the end of the child until the deadline, then kills it. A child that hangs in the
// kernel cannot be reaped: it is left to init, and the answer is `timeout` all the same.
Result<int> reap(pid_t child, Instant deadline, std::string_view what) {
    const SystemClock clock;
    int status = 0;
    while (true) {
        const pid_t done = waitpid(child, &status, WNOHANG);
        if (done == child) break;
        if (done < 0 && errno != EINTR) return fail_errno("wait for", what, errno);
        if (clock.now() >= deadline) {
            kill(child, SIGKILL);
            usleep(20'000);
            waitpid(child, &status, WNOHANG);
            return fail(ErrorCode::timeout, "'{}' did not answer in time", what);
        }
        usleep(2'000);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// Until the end of the pipe, the bound of bytes, or the deadline.
std::string read_all(int pipe_end, Instant deadline) {
    const SystemClock clock;
    std::string output;
    char buffer[4096];
    while (output.size() < kOutputBytes) {
        const std::int64_t left_ms = to_ms(deadline - clock.now());
        pollfd ready{pipe_end, POLLIN, 0};
        if (left_ms <= 0 || poll(&ready, 1, static_cast<int>(left_ms)) <= 0) break;
        const ssize_t got = read(pipe_end, buffer, sizeof buffer);
        if (got <= 0) break;
        output.append(buffer, static_cast<std::size_t>(got));
    }
    return output;
}

}  // namespace

Result<ProbeAnswer> probe(const std::vector<std::string>& command, Duration bound) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return fail_errno("make a pipe for", command[0], errno);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    std::vector<char*> arguments;
    for (const std::string& word : command)
        arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);

    pid_t child = -1;
    const int failed =
        posix_spawnp(&child, arguments[0], &actions, nullptr, arguments.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    if (failed != 0) {
        close(ends[0]);
        return fail_errno("run", command[0], failed);
    }
    const Instant deadline = SystemClock().now() + bound;
    ProbeAnswer answer;
    answer.output = read_all(ends[0], deadline);
    close(ends[0]);
    answer.exit_code = TRY(reap(child, deadline, command[0]));
    return answer;
}

Result<> probe_kvm(Duration bound) {
    if (access("/dev/kvm", R_OK | W_OK) != 0) return fail_errno("open", "/dev/kvm", errno);
    const pid_t child = fork();
    if (child < 0) return fail_errno("fork for", "/dev/kvm", errno);
    if (child == 0) {
        const int device = open("/dev/kvm", O_RDWR | O_CLOEXEC);
        if (device < 0 || ioctl(device, KVM_GET_API_VERSION, 0) != KVM_API_VERSION) _exit(1);
        _exit(ioctl(device, KVM_CREATE_VM, 0) < 0 ? 2 : 0);
    }
    const int code = TRY(reap(child, SystemClock().now() + bound, "/dev/kvm"));
    if (code != 0) return fail(ErrorCode::operation_unsupported, "/dev/kvm does not work here");
    return {};
}

}  // namespace segue::cli
