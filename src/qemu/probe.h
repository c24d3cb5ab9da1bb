// SPDX-License-Identifier: LGPL-2.1-or-later
// What an emulator can do, asked once per binary: its version and machine types, and which
// processors it offers. And whether this host has a working KVM.
#pragma once

#include <map>

#include "domain/guest_cpu.h"
#include "qemu/process.h"
#include "qemu/qmp_connection.h"

namespace segue {

// Of a file: another one once it was replaced or written (device, inode, size, modification time).
// Nothing where there is no such file.
std::optional<std::string> fingerprint_of(const std::string& path);

struct MachineType {
    std::string name;                  // "pc-i440fx-7.2"
    std::optional<std::string> alias;  // "pc"
    std::uint32_t max_cpus = 0;
};

struct EmulatorCapabilities {
    QmpVersion version;
    std::vector<MachineType> machines;

    // The versioned name of a type or alias; nothing for one that the emulator does not have.
    std::optional<std::string> machine(std::string_view name) const;
};

// Asks with `-machine none` over QMP, about 60 ms; the answer is kept until the file changes
// (device, inode, size, modification time).
class EmulatorProbe {
  public:
    // `scratch` is a folder of the daemon's own, for the probing process.
    EmulatorProbe(Loop& loop, std::string scratch);
    ~EmulatorProbe();

    using Callback = std::function<void(Result<EmulatorCapabilities>)>;
    // Calls back in this turn when the answer is known, later otherwise. Questions about one binary
    // that come meanwhile share the one process.
    void ask(const std::string& emulator, Callback callback);
    // The answer, if it is known and the file is still the same.
    const EmulatorCapabilities* known(const std::string& emulator) const;

    // The same for the processors that it offers with KVM or without: some 0.3 s, so only for who
    // needs them.
    using CpuCallback = std::function<void(Result<HostCpu>)>;
    void ask_cpu(const std::string& emulator, bool kvm, CpuCallback callback);

    // Expansions of models that the emulator's guests were started with, by a name of the caller's:
    // kept until the file changes, because one costs QEMU some milliseconds.
    const GuestCpu* known_cpu(const std::string& emulator, const std::string& name) const;
    void keep_cpu(const std::string& emulator, const std::string& name, GuestCpu cpu);

  private:
    struct Running;
    template <class T>
    struct Known {
        std::string fingerprint;
        T value;
    };
    template <class T>
    using Memory = std::map<std::string, Known<T>>;

    // A process that answers one question, under the question's name.
    Running* begin(const std::string& question, const std::string& emulator, bool kvm);
    void ask_machines(Running& running);
    void ask_definitions(Running& running);
    void expand_next(Running& running);
    void finish(const std::string& question, Result<> result);
    void fail_with(const std::string& question, const Error& error);
    void retire(std::unique_ptr<Running> running);

    Loop& loop_;
    std::string scratch_;
    Memory<EmulatorCapabilities> known_;
    Memory<HostCpu> host_cpus_;
    Memory<GuestCpu> guest_cpus_;
    std::map<std::string, std::unique_ptr<Running>> running_;
    // Answered, and killed: kept until they are reaped.
    std::vector<std::unique_ptr<Running>> retiring_;
    std::uint64_t count_ = 0;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

// Opens the device and asks for KVM's version. Can hang for ever where KVM is broken: only for
// ChildProbe.
bool kvm_works(const std::string& device);

// Answers a question that may hang (kvm_works) in a child process: one that does not come back
// within the bound is killed and left behind, and the answer is no.
class ChildProbe {
  public:
    ChildProbe(Loop& loop, const std::function<bool()>& question, Duration bound,
               std::function<void(bool)> callback);
    ~ChildProbe();
    ChildProbe(const ChildProbe&) = delete;
    ChildProbe& operator=(const ChildProbe&) = delete;

  private:
    void done(bool works);

    std::function<void(bool)> callback_;
    int pid_ = -1, pidfd_ = -1;
    std::unique_ptr<Watch> watch_;
    std::unique_ptr<Timer> bound_;
};

}  // namespace segue
