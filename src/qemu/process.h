// SPDX-License-Identifier: LGPL-2.1-or-later
// The life of a QEMU process: start, adopt after a restart of the daemon, watch for its end, kill.
//
// QEMU is the daemon's child, but does not depend on it: it runs in a session of its own, and a
// daemon that comes back finds it by its pid file. A recycled pid is never touched: identity is pid
// and start time, and signals go through a pidfd.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/loop.h"
#include "base/result.h"
#include "qemu/command_line.h"

namespace segue {

// One process on this host, for as long as the host is up.
struct ProcessIdentity {
    std::int32_t pid = 0;
    // Field 22 of /proc/PID/stat: clock ticks after boot.
    std::uint64_t start_ticks = 0;

    friend bool operator==(const ProcessIdentity&, const ProcessIdentity&) = default;
};

// Nothing when no such process exists (a zombie counts as gone).
std::optional<ProcessIdentity> identify(std::int32_t pid);

// "PID START_TICKS\n"; QEMU's own pid files have only the first word, and are not accepted.
Result<> write_pid_file(const std::string& path, const ProcessIdentity& identity);
Result<ProcessIdentity> read_pid_file(const std::string& path);

// Whom QEMU runs as. Nothing: as the daemon itself.
struct ProcessUser {
    std::uint32_t uid = 0, gid = 0;
};
// "segue-qemu", or "1001:1001".
Result<ProcessUser> find_user(const std::string& name);

struct ProcessStart {
    CommandLine line;
    // Made here with mode 0700, owned by `user`; QEMU's working directory and HOME.
    std::string directory;
    std::string log_path;  // stdout and stderr, appended, mode 0600
    // Written before the program runs (write_pid_file), so that a starter that dies at any moment
    // leaves no process that its successor cannot find. Empty: none.
    std::string pid_file;
    std::optional<ProcessUser> user;
    // A helper of ours, not an emulator that a definition names: taken as it is.
    bool is_own_program = false;
    // Beside PATH, HOME, LC_ALL and the XDG folders; for example LD_LIBRARY_PATH.
    std::vector<std::pair<std::string, std::string>> environment;
};

// Is this file one that a daemon may run as an emulator? It must be an executable regular file,
// owned by root (or by the daemon's own user where that is not root), and neither it nor a folder
// above it may be writable by others. Symbolic links are followed first.
Result<> check_emulator(const std::string& path);

class QemuProcess {
  public:
    struct Ended {
        // As of waitpid; nothing where the process was not our child (adopted).
        std::optional<int> wait_status;
        std::string text() const;
    };

    // Opens what is inherited, forks, and returns when QEMU's program runs (exec succeeded), in
    // about a millisecond. The monitor socket already listens: connecting needs no retries. One
    // that fails on its command line ends soon: watch on_end beside the monitor, and show log_tail.
    static Result<std::unique_ptr<QemuProcess>> start(Loop& loop, const ProcessStart& start);
    // Takes over a process that an earlier daemon started. no_domain when it is gone or the pid is
    // another process's by now.
    static Result<std::unique_ptr<QemuProcess>> adopt(Loop& loop, const ProcessIdentity& identity);

    // Leaves the process running.
    ~QemuProcess();
    QemuProcess(const QemuProcess&) = delete;
    QemuProcess& operator=(const QemuProcess&) = delete;

    const ProcessIdentity& identity() const { return identity_; }
    bool running() const { return !ended_; }
    // Runs once, when the process has ended; at once (in the next turn) if it has ended already.
    void on_end(std::function<void(const Ended&)> callback);
    // SIGTERM now, SIGKILL after `grace` if it still runs.
    void terminate(Duration grace);
    void kill();

  private:
    QemuProcess(Loop& loop, ProcessIdentity identity, int pidfd, bool child);
    void reap();
    void signal(int number);

    Loop& loop_;
    ProcessIdentity identity_;
    int pidfd_;
    bool child_;
    std::optional<Ended> ended_;
    std::function<void(const Ended&)> on_end_;
    std::unique_ptr<Watch> watch_;
    std::unique_ptr<Timer> grace_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

// The last lines of QEMU's log, at most `most` bytes: what a failed start has to say.
std::string log_tail(const std::string& path, std::size_t most = 1024);

// What QEMU wrote to its standard error, as one line: without times and program names, and without
// warnings where something worse follows them.
std::string in_one_line(std::string_view words);

}  // namespace segue
