// SPDX-License-Identifier: LGPL-2.1-or-later
#include "qemu/process.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "qemu/plain_file.h"

namespace segue {
namespace {

// Descriptors of the starter while it forks; closed again in any case.
class OpenFiles {
  public:
    ~OpenFiles() {
        for (const int file : files_)
            ::close(file);
    }
    // Above the numbers that QEMU inherits, so that dup2 never overwrites a source.
    Result<int> keep(int file, std::string_view what, const std::string& path) {
        if (file < 0) return fail_errno(what, path, errno);
        constexpr int kAboveInherited = 512;
        const int high = ::fcntl(file, F_DUPFD_CLOEXEC, kAboveInherited);
        const int error = errno;
        ::close(file);
        if (high < 0) return fail_errno(what, path, error);
        files_.push_back(high);
        return high;
    }

  private:
    std::vector<int> files_;
};

Result<int> listen_at(const std::string& path, const std::optional<ProcessUser>& user) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) {
        return fail(ErrorCode::config_unsupported,
                    "UNIX domain socket path '{}' too long: at most "
                    "{} bytes",
                    path, sizeof address.sun_path - 1);
    }
    std::memcpy(address.sun_path, path.data(), path.size());
    // Not blocking: QEMU 7.2 now and then looks for a second client behind the first, and would
    // wait for it in accept() with its main loop, for ever.
    const int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener < 0) return fail_errno("socket", path, errno);
    // A socket that a dead QEMU left; anything else stays, and bind fails.
    struct stat info {};
    if (::lstat(path.c_str(), &info) == 0 && S_ISSOCK(info.st_mode)) ::unlink(path.c_str());
    // The mode of the socket before it is bound is that of the file: no moment with another one.
    const bool listening =
        ::fchmod(listener, 0600) == 0 &&
        ::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
        ::listen(listener, 1) == 0;
    if (!listening) {
        const int error = errno;
        ::close(listener);
        return fail_errno("listen at", path, error);
    }
    if (user && ::lchown(path.c_str(), user->uid, user->gid) != 0) {
        const int failed = errno;
        ::close(listener);
        return fail_errno("chown", path, failed);
    }
    return listener;
}

Result<int> open_inherited(const InheritedFile& file, const std::optional<ProcessUser>& user) {
    if (file.kind == InheritedFile::Kind::listen) return listen_at(file.path, user);
    if (file.kind == InheritedFile::Kind::opened) {
        if (file.descriptor < 0) {
            return fail(ErrorCode::config_unsupported,
                        "network card '{}' needs a tap device, which this process is not given",
                        file.path);
        }
        const int copy = ::fcntl(file.descriptor, F_DUPFD_CLOEXEC, 0);
        if (copy < 0) return fail_errno("copy the tap device of", file.path, errno);
        return copy;
    }
    // Not blocking: a FIFO that nobody reads would hold the starter up until somebody does.
    int flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    if (file.kind == InheritedFile::Kind::append) flags |= O_APPEND;
    if (file.kind == InheritedFile::Kind::truncate) flags |= O_TRUNC;
    const int opened = ::open(file.path.c_str(), flags, 0600);
    if (opened < 0 && errno == ENXIO) {
        return fail(ErrorCode::config_unsupported,
                    "'{}' is a FIFO that nobody reads, or no file at all: start its reader first",
                    file.path);
    }
    if (opened < 0) return fail_errno("open", file.path, errno);
    // QEMU expects one that waits until it has taken everything.
    const int kept = ::fcntl(opened, F_GETFL);
    if (kept < 0 || ::fcntl(opened, F_SETFL, kept & ~O_NONBLOCK) != 0) {
        const int failed = errno;
        ::close(opened);
        return fail_errno("prepare", file.path, failed);
    }
    return opened;
}

Result<> make_directory(const ProcessStart& start) {
    const char* path = start.directory.c_str();
    if (::mkdir(path, 0700) != 0 && errno != EEXIST) {
        return fail_errno("mkdir", start.directory, errno);
    }
    struct stat info {};
    if (::lstat(path, &info) != 0 || !S_ISDIR(info.st_mode)) {
        return fail(ErrorCode::system, "'{}' is not a directory", start.directory);
    }
    const uid_t owner = start.user ? start.user->uid : ::geteuid();
    const gid_t group = start.user ? start.user->gid : ::getegid();
    if (::chmod(path, 0700) != 0) return fail_errno("chmod", start.directory, errno);
    if ((info.st_uid != owner || info.st_gid != group) && ::chown(path, owner, group) != 0) {
        return fail_errno("chown", start.directory, errno);
    }
    return {};
}

std::vector<std::string> environment_of(const ProcessStart& start) {
    std::vector<std::string> out = {
        "LC_ALL=C",
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME=" + start.directory,
        "XDG_DATA_HOME=" + start.directory + "/.local/share",
        "XDG_CACHE_HOME=" + start.directory + "/.cache",
        "XDG_CONFIG_HOME=" + start.directory + "/.config"};
    for (const auto* more : {&start.environment, &start.line.environment}) {
        for (const auto& [name, value] : *more)
            out.push_back(name + "=" + value);
    }
    return out;
}

std::vector<char*> pointers_to(std::vector<std::string>& words) {
    std::vector<char*> out;
    for (std::string& word : words)
        out.push_back(word.data());
    out.push_back(nullptr);
    return out;
}

// Everything the child needs, made before the fork: behind it only system calls are allowed.
struct ChildPlan {
    std::vector<char*> arguments, environment;
    std::vector<std::pair<int, int>> descriptors;  // from, to
    const char* directory = nullptr;
    const ProcessUser* user = nullptr;
    int report = -1;   // the child's end of a socket that exec closes: first "go", then a failure
    int starter = -1;  // the other end: a child that kept it would not see its starter die
};

enum class Step : int { descriptors, directory, user, program };

struct ChildFailure {
    int error = 0;
    Step step = Step::program;
};

[[noreturn]] void give_up(const ChildPlan& plan, Step step) {
    const ChildFailure failure{errno, step};
    if (::send(plan.report, &failure, sizeof failure, MSG_NOSIGNAL) < 0) ::_exit(126);
    ::_exit(127);
}

[[noreturn]] void run_child(const ChildPlan& plan) {
    char word;
    ::close(plan.starter);
    if (::recv(plan.report, &word, 1, 0) != 1) ::_exit(126);
    ::setsid();
    for (int number = 1; number < NSIG; ++number)
        ::signal(number, SIG_DFL);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    int last = 2;
    for (const auto& [from, to] : plan.descriptors) {
        if (::dup2(from, to) < 0) give_up(plan, Step::descriptors);
        last = std::max(last, to);
    }
    // Nothing of the daemon's reaches QEMU, whatever its flags say.
    const auto first_other = static_cast<unsigned>(last + 1);
    ::syscall(SYS_close_range, first_other, ~0U, 4U /* CLOSE_RANGE_CLOEXEC */);
    if (::chdir(plan.directory) != 0) give_up(plan, Step::directory);
    if (plan.user) {
        if (::setgroups(1, &plan.user->gid) != 0 ||
            ::setresgid(plan.user->gid, plan.user->gid, plan.user->gid) != 0 ||
            ::setresuid(plan.user->uid, plan.user->uid, plan.user->uid) != 0) {
            give_up(plan, Step::user);
        }
    }
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    ::umask(0077);
    ::execve(plan.arguments[0], plan.arguments.data(), plan.environment.data());
    give_up(plan, Step::program);
}

tl::unexpected<Error> child_error(const ChildFailure& failure, const ProcessStart& start) {
    switch (failure.step) {
        case Step::descriptors: return fail_errno("pass descriptors to", "QEMU", failure.error);
        case Step::directory: return fail_errno("chdir", start.directory, failure.error);
        case Step::user: return fail_errno("change the user of", "QEMU", failure.error);
        case Step::program: break;
    }
    return fail_errno("execute", start.line.arguments.front(), failure.error);
}

// Opens log, /dev/null and what is inherited. The working directory exists.
Result<> open_files(const ProcessStart& start, OpenFiles& files, ChildPlan& plan) {
    const int null =
        TRY(files.keep(::open("/dev/null", O_RDONLY | O_CLOEXEC), "open", "/dev/null"));
    // One of a helper that is started again lies in a directory that is not the daemon's any more.
    const int opened_log = TRY(open_plain(start.log_path, O_WRONLY | O_CREAT | O_APPEND));
    const int log = TRY(files.keep(opened_log, "open", start.log_path));
    plan.descriptors = {{null, 0}, {log, 1}, {log, 2}};
    for (const InheritedFile& file : start.line.inherited) {
        const int opened = TRY(open_inherited(file, start.user));
        plan.descriptors.emplace_back(TRY(files.keep(opened, "open", file.path)), file.number);
    }
    return {};
}

}  // namespace

std::string QemuProcess::Ended::text() const {
    if (!wait_status) return "ended (status not known: it was adopted)";
    if (WIFSIGNALED(*wait_status))
        return fmt::format("killed by signal {}", WTERMSIG(*wait_status));
    return fmt::format("exited with status {}", WEXITSTATUS(*wait_status));
}

Result<std::unique_ptr<QemuProcess>> QemuProcess::start(Loop& loop, const ProcessStart& start) {
    if (!start.is_own_program) TRY(check_emulator(start.line.arguments.front()));
    TRY(make_directory(start));
    OpenFiles files;
    ChildPlan plan;
    TRY(open_files(start, files, plan));
    std::vector<std::string> arguments = start.line.arguments;
    std::vector<std::string> environment = environment_of(start);
    plan.arguments = pointers_to(arguments);
    plan.environment = pointers_to(environment);
    plan.directory = start.directory.c_str();
    plan.user = start.user ? &*start.user : nullptr;
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        return fail_errno("socketpair for", "QEMU", errno);
    }
    const int parent_end = TRY(files.keep(ends[0], "socketpair for", "QEMU"));
    plan.report = TRY(files.keep(ends[1], "socketpair for", "QEMU"));
    plan.starter = parent_end;

    const pid_t pid = ::fork();
    if (pid < 0) return fail_errno("fork for", "QEMU", errno);
    if (pid == 0) run_child(plan);
    // The child waits for our word, so that it is still there to be identified.
    const auto identity = identify(pid);
    const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
    const int error = errno;
    // Our copy of the child's end would hide that the child's own is closed.
    ::dup2(parent_end, plan.report);
    const auto noted = identity && !start.pid_file.empty()
                           ? write_pid_file(start.pid_file, *identity)
                           : Result<>();
    ChildFailure failure;
    ssize_t got = -1;
    if (noted && identity && pidfd >= 0 && ::send(parent_end, "", 1, MSG_NOSIGNAL) == 1) {
        got = ::recv(parent_end, &failure, sizeof failure, 0);
    }
    if (got != 0) {
        ::kill(pid, SIGKILL);
        ::waitpid(pid, nullptr, 0);
        if (pidfd >= 0) ::close(pidfd);
        if (got == sizeof failure) return child_error(failure, start);
        if (!noted) return tl::unexpected(noted.error());
        return fail_errno("watch", "QEMU", error);
    }
    return std::unique_ptr<QemuProcess>(new QemuProcess(loop, *identity, pidfd, true));
}

Result<std::unique_ptr<QemuProcess>> QemuProcess::adopt(Loop& loop,
                                                        const ProcessIdentity& identity) {
    // The pidfd first: what is identified afterwards is what it names.
    const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, identity.pid, 0));
    if (pidfd < 0 || identify(identity.pid) != identity) {
        if (pidfd >= 0) ::close(pidfd);
        return fail(ErrorCode::no_domain, "the QEMU with pid {} is gone", identity.pid);
    }
    return std::unique_ptr<QemuProcess>(new QemuProcess(loop, identity, pidfd, false));
}

QemuProcess::QemuProcess(Loop& loop, ProcessIdentity identity, int pidfd, bool child)
    : loop_(loop), identity_(identity), pidfd_(pidfd), child_(child) {
    // A pidfd is readable when its process has ended.
    watch_ = loop_.watch(pidfd_, [this](Loop::Ready) { reap(); });
    watch_->set_interest(true, false);
    grace_ = loop_.make_timer([this] { kill(); });
}

QemuProcess::~QemuProcess() {
    watch_.reset();
    ::close(pidfd_);
}

void QemuProcess::on_end(std::function<void(const Ended&)> callback) {
    on_end_ = std::move(callback);
    if (!ended_) return;
    loop_.post([this, alive = std::weak_ptr<bool>(alive_)] {
        if (alive.expired() || !on_end_) return;
        const auto call = std::exchange(on_end_, nullptr);
        call(*ended_);
    });
}

void QemuProcess::terminate(Duration grace) {
    signal(SIGTERM);
    grace_->start(grace);
}

void QemuProcess::kill() {
    signal(SIGKILL);
}

// The loop may call for the descriptor that had this number before, in the same turn: a QEMU that
// starts when another has ended was taken for dead at once.
void QemuProcess::reap() {
    pollfd ready{pidfd_, POLLIN, 0};
    if (ended_ || ::poll(&ready, 1, 0) != 1) return;
    Ended ended;
    int status = 0;
    if (child_ && ::waitpid(identity_.pid, &status, WNOHANG) == identity_.pid) {
        ended.wait_status = status;
    }
    ended_ = ended;
    watch_->set_interest(false, false);
    grace_->cancel();
    const auto call = std::exchange(on_end_, nullptr);
    if (call) call(ended);
}

void QemuProcess::signal(int number) {
    if (ended_) return;
    ::syscall(SYS_pidfd_send_signal, pidfd_, number, nullptr, 0U);
}

}  // namespace segue
