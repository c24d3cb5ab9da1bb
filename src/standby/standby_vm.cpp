// SPDX-License-Identifier: LGPL-2.1-or-later
#include "standby/standby_vm.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <iterator>

#include "base/log.h"
#include "net/address.h"
#include "qemu/sleep_waker.h"

extern char** environ;

namespace segue::standby {
namespace {

Result<net::Descriptor> connect_unix(const std::string& path, Duration write_bound) {
    const auto address = TRY(net::SocketAddress::of_unix(path));
    net::Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!socket) return fail_errno("make a socket for", path, errno);
    const auto us = to_us(write_bound);
    const timeval bound{.tv_sec = us / 1'000'000, .tv_usec = us % 1'000'000};
    (void)::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &bound, sizeof bound);
    if (::connect(socket.get(), address.get(), address.size) != 0) {
        return fail_errno("connect to", path, errno);
    }
    return socket;
}

Result<> write_all(int socket, std::vector<ByteView> pieces) {
    std::size_t first = 0;
    while (first < pieces.size()) {
        std::vector<iovec> parts;
        for (std::size_t at = first; at < pieces.size(); ++at)
            parts.push_back({const_cast<std::uint8_t*>(pieces[at].data()), pieces[at].size()});
        ssize_t written = ::writev(socket, parts.data(), static_cast<int>(parts.size()));
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return fail_errno("write", "the stream of the promotion", errno);
        while (first < pieces.size() && static_cast<std::size_t>(written) >= pieces[first].size())
            written -= static_cast<ssize_t>(pieces[first++].size());
        if (written > 0) pieces[first] = pieces[first].subspan(static_cast<std::size_t>(written));
    }
    return {};
}

std::string how_it_ended(int status) {
    if (WIFEXITED(status)) return fmt::format("exit status {}", WEXITSTATUS(status));
    if (WIFSIGNALED(status)) return fmt::format("signal {}", WTERMSIG(status));
    return "unknown";
}

}  // namespace

StandbyVm::StandbyVm(Loop& loop, VmCommand command, Files files, OnExit on_exit,
                     Duration answer_bound)
    : loop_(loop),
      command_(std::move(command)),
      files_(std::move(files)),
      on_exit_(std::move(on_exit)),
      answer_bound_(answer_bound) {}

StandbyVm::~StandbyVm() {
    if (!running_ && !let_go_) stop();
}

Result<> StandbyVm::start() {
    std::vector<char*> words;
    for (std::string& word : command_.words)
        words.push_back(word.data());
    words.push_back(nullptr);
    for (const std::string& path : {files_.own_qmp, files_.incoming})
        (void)::unlink(path.c_str());

    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, 1, files_.log.c_str(), O_WRONLY | O_CREAT | O_APPEND,
                                     0600);
    posix_spawn_file_actions_adddup2(&files, 1, 2);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(
        &attributes,
        static_cast<short>(POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF));
    const int error =
        ::posix_spawnp(&process_, words[0], &files, &attributes, words.data(), environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    if (error != 0) {
        process_ = -1;
        return fail_errno("start", command_.words[0], error);
    }
    std::ofstream(files_.pid) << process_ << '\n';
    watch_exit();
    prepare();
    return {};
}

void StandbyVm::watch_exit() {
    process_handle_.reset(static_cast<int>(::syscall(SYS_pidfd_open, process_, 0)));
    if (!process_handle_) return;
    exit_watch_ = loop_.watch(process_handle_.get(), [this](Loop::Ready) {
        int status = 0;
        if (::waitpid(process_, &status, WNOHANG) != process_) return;
        const std::string how = how_it_ended(status);
        forget_process();
        fail_promotion({ErrorCode::operation_failed,
                        fmt::format("QEMU ended ({}): see '{}'", how, files_.log)});
        on_exit_(how);
    });
    exit_watch_->set_interest(true, false);
}

void StandbyVm::prepare() {
    QmpConnection::Handlers handlers;
    handlers.event = [this](const QmpEvent& event) { on_event(event); };
    handlers.closed = [this](const Error& error) {
        if (!running_) fail_promotion(error);
    };
    qmp_ = std::make_shared<QmpConnection>(loop_, files_.own_qmp, std::move(handlers));
    Json capabilities = Json::array();
    const auto add = [&capabilities](const char* name) {
        capabilities.push(Json::object({{"capability", name}, {"state", true}}));
    };
    add("events");
    if (!command_.shared.empty()) add("x-ignore-shared");
    if (command_.is_cold) return prepare_cold();
    const auto or_fail = [this](Result<Json> result, std::function<void()> next) {
        if (!result) {
            log_error("standby", "QEMU is not prepared: {}", result.error().message);
            return fail_promotion(result.error());
        }
        next();
    };
    qmp_->execute(
        "migrate-set-capabilities", Json::object({{"capabilities", capabilities}}),
        [this, or_fail](Result<Json> set) {
            or_fail(std::move(set), [this, or_fail] {
                qmp_->execute(
                    "migrate-incoming", Json::object({{"uri", "unix:" + files_.incoming}}),
                    [this, or_fail](Result<Json> listening) {
                        or_fail(std::move(listening), [this] {
                            prepared_ = true;
                            if (make_stream_) feed();
                        });
                    },
                    answer_bound_);
            });
        },
        answer_bound_);
}

// A question that it answers when its devices are there and its images are open.
void StandbyVm::prepare_cold() {
    qmp_->execute(
        "query-status", Json(),
        [this](Result<Json> said) {
            if (!said) return fail_promotion(said.error());
            prepared_ = true;
            if (make_stream_) feed();
        },
        answer_bound_);
}

void StandbyVm::promote(std::function<std::unique_ptr<FailoverStream>()> make_stream,
                        std::function<Result<>(bool)> mark_ran,
                        std::function<void(Result<>)> outcome) {
    make_stream_ = std::move(make_stream);
    mark_ran_ = std::move(mark_ran);
    outcome_ = std::move(outcome);
    if (!is_started()) {
        const auto started = start();
        if (!started) return fail_promotion(started.error());
    }
    if (prepared_) feed();
}

void StandbyVm::feed() {
    if (fed_) return;
    fed_ = true;
    if (command_.is_cold) return let_run();
    const auto stream = make_stream_();
    const auto written = write_stream(*stream);
    if (!written) fail_promotion(written.error());
}

Result<> StandbyVm::write_stream(FailoverStream& stream) {
    const auto socket = TRY(connect_unix(files_.incoming, write_bound_));
    for (auto pieces = stream.next(); !pieces.empty(); pieces = stream.next())
        TRY(write_all(socket.get(), std::move(pieces)));
    return {};
}

void StandbyVm::on_event(const QmpEvent& event) {
    if (event.name != "MIGRATION" || !outcome_) return;
    const std::string_view status = event.data.text("status");
    if (status == "failed") {
        return fail_promotion({ErrorCode::operation_failed,
                               fmt::format("QEMU refused the state: see '{}'", files_.log)});
    }
    if (status == "completed") let_run();
}

void StandbyVm::let_run() {
    const auto marked = mark_ran_(true);
    if (!marked) return fail_promotion(marked.error());
    let_go_ = true;
    if (!stays_paused_) return ask_to_run();
    running_ = true;
    if (outcome_) std::exchange(outcome_, nullptr)({});
}

void StandbyVm::go_on(std::function<void(Result<>)> outcome) {
    stays_paused_ = running_ = false;
    outcome_ = std::move(outcome);
    ask_to_run();
}

// Until QEMU answers, or ends. Without an answer the guest may run, and to end it would end its
// only copy; to ask a guest that runs once more changes nothing.
void StandbyVm::ask_to_run() {
    qmp_->execute(
        "cont", Json(),
        [this](Result<Json> resumed) {
            if (!resumed && resumed.error().code == ErrorCode::timeout) {
                log_warning("standby", "QEMU {} has not said whether the guest runs: asked again",
                            process_);
                return ask_to_run();
            }
            if (!resumed) {
                // An answer of QEMU's. Without one the guest may have run.
                const bool refused = resumed.error().code == ErrorCode::operation_failed;
                if (refused && mark_ran_(false)) let_go_ = false;
                return fail_promotion(resumed.error());
            }
            running_ = true;
            if (outcome_) std::exchange(outcome_, nullptr)({});
        },
        answer_bound_);
}

void StandbyVm::wake_half_asleep() {
    const auto ask = [weak = std::weak_ptr<QmpConnection>(qmp_)](
                         const char* command, const Json& arguments, SleepWaker::Said said) {
        const auto qmp = weak.lock();
        if (!qmp) return said(fail(ErrorCode::no_domain, "it is gone"));
        qmp->execute(command, arguments, std::move(said));
    };
    SleepWaker::wake_half_asleep(loop_, {"promoted", ask}, [](const Result<>& done) {
        if (!done) log_error("standby", "{}", done.error().message);
    });
}

void StandbyVm::fail_promotion(const Error& error) {
    if (outcome_) std::exchange(outcome_, nullptr)(tl::make_unexpected(error));
}

void StandbyVm::stop() {
    outcome_ = nullptr;
    if (process_ <= 0) return forget_process();
    (void)::kill(process_, SIGKILL);
    int status = 0;
    (void)::waitpid(process_, &status, 0);
    forget_process();
}

void StandbyVm::end_soon() {
    outcome_ = nullptr;
    make_stream_ = nullptr;
    if (process_ <= 0) return;
    (void)::kill(process_, SIGKILL);
    // Another one may get these places before it is reaped.
    (void)::unlink(files_.pid.c_str());
    files_.pid.clear();
    if (qmp_) loop_.post([gone = std::shared_ptr<QmpConnection>(std::move(qmp_))] {});
}

// What a next process begins with.
void StandbyVm::forget_process() {
    if (process_ > 0) (void)::unlink(files_.pid.c_str());
    exit_watch_.reset();
    process_handle_.reset();
    process_ = -1;
    prepared_ = running_ = let_go_ = fed_ = false;
    make_stream_ = nullptr;
    // One of its callbacks may be running.
    if (qmp_) loop_.post([gone = std::move(qmp_)] {});
}

pid_t StandbyVm::living(const Files& files) {
    std::ifstream pid_file(files.pid);
    long process = 0;
    if (!(pid_file >> process) || process <= 1) return 0;
    std::ifstream command(fmt::format("/proc/{}/cmdline", process), std::ios::binary);
    const std::string words{std::istreambuf_iterator<char>(command),
                            std::istreambuf_iterator<char>()};
    const bool is_ours = words.find(files.own_qmp) != std::string::npos;
    return is_ours ? static_cast<pid_t>(process) : 0;
}

void StandbyVm::end_leftover(const Files& files) {
    if (const pid_t process = living(files); process != 0) {
        log_warning("standby", "ending QEMU {} that an earlier standby started", process);
        (void)::kill(process, SIGKILL);
    }
    (void)::unlink(files.pid.c_str());
}

}  // namespace segue::standby
