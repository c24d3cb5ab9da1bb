// SPDX-License-Identifier: LGPL-2.1-or-later
#include "qemu/probe.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "base/log.h"

namespace segue {
namespace {

constexpr Duration kProbeBound = 20s;
// linux/kvm.h: KVM_GET_API_VERSION, which has been 12 since Linux 2.6.22.
constexpr unsigned long kKvmGetApiVersion = 0xAE00;
constexpr int kKvmApiVersion = 12;

std::optional<std::string> fingerprint_of(const std::string& path) {
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0) return std::nullopt;
    return fmt::format("{}:{}:{}:{}.{}", info.st_dev, info.st_ino, info.st_size,
                       info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
}

std::vector<MachineType> machines_of(const Json& reply) {
    std::vector<MachineType> machines;
    for (const Json& item : reply.items()) {
        MachineType machine;
        machine.name = item.text("name");
        if (const auto alias = item["alias"].as_text()) machine.alias = std::string(*alias);
        machine.max_cpus = static_cast<std::uint32_t>(item.u64("cpu-max"));
        if (!machine.name.empty()) machines.push_back(std::move(machine));
    }
    return machines;
}

ProcessStart probe_start(const std::string& emulator, const std::string& directory) {
    ProcessStart start;
    start.directory = directory;
    start.log_path = directory + "/log";
    start.pid_file = directory + "/pid";
    start.line.monitor_path = directory + "/monitor.sock";
    start.line.inherited = {
        {InheritedFile::Kind::listen, start.line.monitor_path, kFirstInherited}};
    start.line.arguments = {
        emulator,
        "-S",
        "-no-user-config",
        "-nodefaults",
        "-display",
        "none",
        "-machine",
        "none,accel=tcg",
        "-chardev",
        fmt::format("socket,id=charmonitor,fd={},server=on,wait=off", kFirstInherited),
        "-mon",
        "chardev=charmonitor,id=monitor,mode=control"};
    return start;
}

}  // namespace

struct EmulatorProbe::Running {
    std::string fingerprint;
    std::string directory;
    std::vector<Callback> callbacks;
    EmulatorCapabilities capabilities;
    std::unique_ptr<QemuProcess> process;
    std::unique_ptr<QmpConnection> monitor;

    ~Running() {
        if (process) process->kill();
        std::error_code ignored;
        std::filesystem::remove_all(directory, ignored);
    }
};

EmulatorProbe::EmulatorProbe(Loop& loop, std::string scratch)
    : loop_(loop), scratch_(std::move(scratch)) {}

EmulatorProbe::~EmulatorProbe() = default;

std::optional<std::string> EmulatorCapabilities::machine(std::string_view name) const {
    for (const MachineType& machine : machines) {
        if (machine.name == name || machine.alias == name) return machine.name;
    }
    return std::nullopt;
}

const EmulatorCapabilities* EmulatorProbe::known(const std::string& emulator) const {
    const auto found = known_.find(emulator);
    if (found == known_.end()) return nullptr;
    return fingerprint_of(emulator) == found->second.fingerprint ? &found->second.capabilities
                                                                 : nullptr;
}

void EmulatorProbe::ask(const std::string& emulator, Callback callback) {
    if (const EmulatorCapabilities* capabilities = known(emulator)) {
        return callback(*capabilities);
    }
    if (const auto running = running_.find(emulator); running != running_.end()) {
        running->second->callbacks.push_back(std::move(callback));
        return;
    }
    const auto fingerprint = fingerprint_of(emulator);
    if (!fingerprint) {
        return callback(
            fail(ErrorCode::config_unsupported, "emulator '{}' does not exist", emulator));
    }
    running_[emulator] = std::make_unique<Running>();
    running_[emulator]->callbacks.push_back(std::move(callback));
    begin(emulator, *fingerprint);
}

void EmulatorProbe::begin(const std::string& emulator, const std::string& fingerprint) {
    Running& running = *running_[emulator];
    running.fingerprint = fingerprint;
    running.directory = fmt::format("{}/probe-{}-{}", scratch_, ::getpid(), ++count_);
    auto process = QemuProcess::start(loop_, probe_start(emulator, running.directory));
    if (!process) return finish(emulator, tl::unexpected(process.error()));
    running.process = std::move(*process);
    // One that ends at once may leave a monitor that nobody can connect to any more.
    running.process->on_end([this, emulator](const QemuProcess::Ended& ended) {
        fail_with(emulator, {ErrorCode::connection_lost, "it " + ended.text()});
    });
    QmpConnection::Handlers handlers;
    handlers.ready = [&running](const QmpReady& ready) {
        running.capabilities.version = ready.version;
    };
    handlers.closed = [this, emulator](const Error& error) { fail_with(emulator, error); };
    running.monitor = std::make_unique<QmpConnection>(
        loop_, running.directory + "/monitor.sock", std::move(handlers),
        QmpConnection::Options{.connect_bound = kProbeBound});
    running.monitor->execute(
        "query-machines", {},
        [this, emulator, &running](Result<Json> reply) {
            if (!reply) return fail_with(emulator, reply.error());
            running.capabilities.machines = machines_of(*reply);
            finish(emulator, running.capabilities);
        },
        kProbeBound);
}

void EmulatorProbe::fail_with(const std::string& emulator, const Error& error) {
    const auto running = running_.find(emulator);
    if (running == running_.end()) return;
    const std::string tail = in_one_line(log_tail(running->second->directory + "/log"));
    finish(emulator, fail(ErrorCode::config_unsupported,
                          "emulator '{}' cannot be asked what it can do (is it a QEMU?): {}",
                          emulator, tail.empty() ? error.message : tail));
}

void EmulatorProbe::finish(const std::string& emulator, Result<EmulatorCapabilities> result) {
    const auto found = running_.find(emulator);
    if (found == running_.end()) return;
    std::unique_ptr<Running> running = std::move(found->second);
    running_.erase(found);
    const std::vector<Callback> callbacks = std::move(running->callbacks);
    if (result) {
        log_info("qemu", "emulator '{}' is QEMU {}.{}.{} with {} machine types", emulator,
                 result->version.major, result->version.minor, result->version.micro,
                 result->machines.size());
        known_[emulator] = {running->fingerprint, *result};
    }
    retire(std::move(running));
    for (const Callback& callback : callbacks)
        callback(result);
}

void EmulatorProbe::retire(std::unique_ptr<Running> running) {
    if (!running->process) return;
    Running* retired = running.get();
    retiring_.push_back(std::move(running));
    retired->process->kill();
    retired->process->on_end([this, retired](const QemuProcess::Ended&) {
        // Not in its own callback.
        loop_.post([this, retired, alive = std::weak_ptr<bool>(alive_)] {
            if (alive.expired()) return;
            std::erase_if(retiring_, [&](const auto& one) { return one.get() == retired; });
        });
    });
}

bool kvm_works(const std::string& device) {
    const int kvm = ::open(device.c_str(), O_RDWR | O_CLOEXEC);
    const bool works = kvm >= 0 && ::ioctl(kvm, kKvmGetApiVersion, 0) == kKvmApiVersion;
    if (kvm >= 0) ::close(kvm);
    return works;
}

ChildProbe::ChildProbe(Loop& loop, const std::function<bool()>& question, Duration bound,
                       std::function<void(bool)> callback)
    : callback_(std::move(callback)) {
    bound_ = loop.make_timer([this] { done(false); });
    pid_ = ::fork();
    if (pid_ == 0) ::_exit(question() ? 0 : 1);
    pidfd_ = pid_ > 0 ? static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)) : -1;
    if (pidfd_ < 0) {
        bound_->start(Duration{0});
        return;
    }
    watch_ = loop.watch(pidfd_, [this](Loop::Ready) {
        int status = 1;
        const bool ended = ::waitpid(pid_, &status, WNOHANG) == pid_;
        if (ended) pid_ = -1;
        done(ended && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    });
    watch_->set_interest(true, false);
    bound_->start(bound);
}

ChildProbe::~ChildProbe() {
    watch_.reset();
    if (pid_ > 0) {
        // It may be stuck in the kernel: never waited for.
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, WNOHANG);
    }
    if (pidfd_ >= 0) ::close(pidfd_);
}

void ChildProbe::done(bool works) {
    bound_->cancel();
    if (watch_) watch_->set_interest(false, false);
    const auto call = std::exchange(callback_, nullptr);
    if (call) call(works);
}

}  // namespace segue
