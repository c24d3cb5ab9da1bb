// SPDX-License-Identifier: LGPL-2.1-or-later
#include "qemu/probe.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "base/log.h"
#include "qemu/cpu_model.h"

namespace segue {
namespace {

constexpr Duration kProbeBound = 20s;
constexpr std::size_t kMostGuestCpus = 256;

std::vector<MachineType> machines_of(const Json& reply) {
    std::vector<MachineType> machines;
    for (const Json& item : reply.items()) {
        MachineType machine;
        machine.name = item.text("name");
        if (const auto alias = item["alias"].as_text()) machine.alias = std::string(*alias);
        machine.max_cpus = static_cast<std::uint32_t>(item.u64("cpu-max"));
        if (machine.name.empty()) continue;
        // The default one first, as libvirt lists them: tools take the first.
        const auto place = item.flag("is-default") ? machines.begin() : machines.end();
        machines.insert(place, std::move(machine));
    }
    return machines;
}

ProcessStart probe_start(const std::string& emulator, const std::string& directory, bool kvm) {
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
        kvm ? "none,accel=kvm" : "none,accel=tcg",
        "-chardev",
        fmt::format("socket,id=charmonitor,fd={},server=on,wait=off", kFirstInherited),
        "-mon",
        "chardev=charmonitor,id=monitor,mode=control"};
    return start;
}

template <class Memory>
auto known_in(const Memory& memory, const std::string& question, const std::string& emulator)
    -> decltype(&memory.begin()->second.value) {
    const auto found = memory.find(question);
    if (found == memory.end()) return nullptr;
    return fingerprint_of(emulator) == found->second.fingerprint ? &found->second.value : nullptr;
}

// No path holds a line feed that anybody would use.
std::string question_of(const std::string& emulator, std::string_view name) {
    return fmt::format("{}\n{}", emulator, name);
}

// "Nehalem", not "Nehalem-v1": versions are aliases, or more of the same.
bool is_plain_model(const Json& definition) {
    const std::string_view name = definition.text("name");
    const std::size_t version = name.rfind("-v");
    const bool versioned = version != std::string_view::npos && version + 2 < name.size() &&
                           name.find_first_not_of("0123456789", version + 2) == name.npos;
    return !name.empty() && !versioned && !definition.flag("static") && name != "max" &&
           name != "host";
}

}  // namespace

struct EmulatorProbe::Running {
    std::string question, emulator, fingerprint, directory, everything;
    std::vector<Callback> callbacks;
    std::vector<CpuCallback> cpu_callbacks;
    EmulatorCapabilities capabilities;
    HostCpu cpu;
    std::vector<std::string> to_expand;
    std::unique_ptr<QemuProcess> process;
    std::unique_ptr<QmpConnection> monitor;

    ~Running() {
        if (process) process->kill();
        std::error_code ignored;
        std::filesystem::remove_all(directory, ignored);
    }
};

std::optional<std::string> fingerprint_of(const std::string& path) {
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0) return std::nullopt;
    return fmt::format("{}:{}:{}:{}.{}", info.st_dev, info.st_ino, info.st_size,
                       info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
}

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
    return known_in(known_, emulator, emulator);
}

const GuestCpu* EmulatorProbe::known_cpu(const std::string& emulator,
                                         const std::string& name) const {
    return known_in(guest_cpus_, question_of(emulator, name), emulator);
}

void EmulatorProbe::keep_cpu(const std::string& emulator, const std::string& name, GuestCpu cpu) {
    const auto fingerprint = fingerprint_of(emulator);
    if (!fingerprint) return;
    if (guest_cpus_.size() >= kMostGuestCpus) guest_cpus_.clear();
    guest_cpus_[question_of(emulator, name)] = {*fingerprint, std::move(cpu)};
}

void EmulatorProbe::ask(const std::string& emulator, Callback callback) {
    if (const EmulatorCapabilities* capabilities = known(emulator)) {
        return callback(*capabilities);
    }
    Running* running = begin(emulator, emulator, false);
    if (running == nullptr) {
        return callback(
            fail(ErrorCode::config_unsupported, "emulator '{}' does not exist", emulator));
    }
    running->callbacks.push_back(std::move(callback));
}

void EmulatorProbe::ask_cpu(const std::string& emulator, bool kvm, CpuCallback callback) {
    const std::string question = question_of(emulator, kvm ? "kvm" : "tcg");
    if (const HostCpu* cpu = known_in(host_cpus_, question, emulator)) return callback(*cpu);
    Running* running = begin(question, emulator, kvm);
    if (running == nullptr) {
        return callback(
            fail(ErrorCode::config_unsupported, "emulator '{}' does not exist", emulator));
    }
    running->cpu_callbacks.push_back(std::move(callback));
}

// The process that is asked already, or a new one; null where there is no such file.
EmulatorProbe::Running* EmulatorProbe::begin(const std::string& question,
                                             const std::string& emulator, bool kvm) {
    if (const auto found = running_.find(question); found != running_.end()) {
        return found->second.get();
    }
    const auto fingerprint = fingerprint_of(emulator);
    if (!fingerprint) return nullptr;
    Running& running = *(running_[question] = std::make_unique<Running>());
    running.question = question;
    running.emulator = emulator;
    running.everything = kvm ? "host" : "max";
    running.fingerprint = *fingerprint;
    running.directory = fmt::format("{}/probe-{}-{}", scratch_, ::getpid(), ++count_);
    auto process = QemuProcess::start(loop_, probe_start(emulator, running.directory, kvm));
    if (!process) {
        // Whoever asks has not yet been noted.
        loop_.post([this, question, error = process.error(), alive = std::weak_ptr<bool>(alive_)] {
            if (!alive.expired()) finish(question, tl::unexpected(error));
        });
        return &running;
    }
    running.process = std::move(*process);
    // One that ends at once may leave a monitor that nobody can connect to any more.
    running.process->on_end([this, question](const QemuProcess::Ended& ended) {
        fail_with(question, {ErrorCode::connection_lost, "it " + ended.text()});
    });
    QmpConnection::Handlers handlers;
    handlers.ready = [&running](const QmpReady& ready) {
        running.capabilities.version = ready.version;
    };
    handlers.closed = [this, question](const Error& error) { fail_with(question, error); };
    running.monitor = std::make_unique<QmpConnection>(
        loop_, running.directory + "/monitor.sock", std::move(handlers),
        QmpConnection::Options{.connect_bound = kProbeBound});
    if (question == emulator) {
        ask_machines(running);
    } else {
        ask_definitions(running);
    }
    return &running;
}

void EmulatorProbe::ask_machines(Running& running) {
    running.monitor->execute(
        "query-machines", {},
        [this, &running](Result<Json> reply) {
            if (!reply) return fail_with(running.question, reply.error());
            running.capabilities.machines = machines_of(*reply);
            finish(running.question, {});
        },
        kProbeBound);
}

// Named models, and which of them are offered whole.
void EmulatorProbe::ask_definitions(Running& running) {
    running.monitor->execute(
        "query-cpu-definitions", {},
        [this, &running](Result<Json> reply) {
            if (!reply) return fail_with(running.question, reply.error());
            running.to_expand.push_back(running.everything);
            for (const Json& definition : reply->items()) {
                if (!is_plain_model(definition)) continue;
                const std::string name(definition.text("name"));
                const Json* unavailable = definition.find("unavailable-features");
                const bool usable = unavailable != nullptr && unavailable->items().empty();
                running.cpu.models.push_back({name, usable});
                if (usable) running.to_expand.push_back(name);
            }
            expand_next(running);
        },
        kProbeBound);
}

// First everything, then each model that may come close to it.
void EmulatorProbe::expand_next(Running& running) {
    if (running.to_expand.empty()) return finish(running.question, {});
    const std::string name = running.to_expand.front();
    running.to_expand.erase(running.to_expand.begin());
    running.monitor->execute(
        "query-cpu-model-expansion",
        Json::object({{"type", "static"}, {"model", CpuModel{name, {}}.json()}}),
        [this, &running, name](Result<Json> reply) {
            if (!reply) return fail_with(running.question, reply.error());
            auto expanded = read_cpu_expansion(*reply);
            if (!expanded) return fail_with(running.question, expanded.error());
            HostCpu& cpu = running.cpu;
            if (name == running.everything) {
                cpu.offered = std::move(*expanded);
            } else if (expanded->features.size() > cpu.closest_cpu.features.size()) {
                cpu.closest = name;
                cpu.closest_cpu = std::move(*expanded);
            }
            expand_next(running);
        },
        kProbeBound);
}

void EmulatorProbe::fail_with(const std::string& question, const Error& error) {
    const auto running = running_.find(question);
    if (running == running_.end()) return;
    const std::string tail = in_one_line(log_tail(running->second->directory + "/log"));
    finish(question, fail(ErrorCode::config_unsupported,
                          "emulator '{}' cannot be asked what it can do (is it a QEMU?): {}",
                          running->second->emulator, tail.empty() ? error.message : tail));
}

void EmulatorProbe::finish(const std::string& question, Result<> result) {
    const auto found = running_.find(question);
    if (found == running_.end()) return;
    std::unique_ptr<Running> running = std::move(found->second);
    running_.erase(found);
    const EmulatorCapabilities capabilities = std::move(running->capabilities);
    const HostCpu cpu = std::move(running->cpu);
    const auto callbacks = std::move(running->callbacks);
    const auto cpu_callbacks = std::move(running->cpu_callbacks);
    if (result && question == running->emulator) {
        log_info("qemu", "emulator '{}' is QEMU {}.{}.{} with {} machine types", question,
                 capabilities.version.major, capabilities.version.minor, capabilities.version.micro,
                 capabilities.machines.size());
        known_[question] = {running->fingerprint, capabilities};
    } else if (result) {
        log_info("qemu", "emulator '{}' has {} CPU models; all that it offers is closest to '{}'",
                 running->emulator, cpu.models.size(), cpu.closest);
        host_cpus_[question] = {running->fingerprint, cpu};
    }
    retire(std::move(running));
    for (const Callback& callback : callbacks)
        callback(result.map([&] { return capabilities; }));
    for (const CpuCallback& callback : cpu_callbacks)
        callback(result.map([&] { return cpu; }));
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

}  // namespace segue
