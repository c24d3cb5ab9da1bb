// SPDX-License-Identifier: LGPL-2.1-or-later
// The machine itself: type, accelerator, CPU, memory, topology, clock, power, boot.
#include "qemu/command_line/builder.h"
#include "qemu/cpu_model.h"

namespace segue {
namespace {

std::string smp_option(const Domain& domain) {
    std::string option = std::to_string(domain.current_vcpus);
    if (domain.current_vcpus != domain.vcpus) option += fmt::format(",maxcpus={}", domain.vcpus);
    if (domain.cpu->topology) {
        const CpuTopology& topology = *domain.cpu->topology;
        return option + fmt::format(",sockets={},dies={},cores={},threads={}", topology.sockets,
                                    topology.dies, topology.cores, topology.threads);
    }
    return option + fmt::format(",sockets={},cores=1,threads=1", domain.vcpus);
}

}  // namespace

void add_machine(CommandLineBuilder& builder) {
    const Domain& domain = builder.domain();
    // The RAM block's name is part of the migration stream: pc.ram on every host.
    std::string machine = domain.os.machine + ",usb=off";
    for (const std::string_view feature : {"vmport", "smm"}) {
        const auto on = domain.switched(feature);
        if (on) machine += fmt::format(",{}={}", feature, *on ? "on" : "off");
    }
    builder.add("-machine", machine + ",dump-guest-core=off,memory-backend=pc.ram");
    builder.add("-accel", domain.type == DomainType::kvm ? "kvm" : "tcg");
    builder.add("-cpu", cpu_model(domain).option());
    builder.add("-m", std::to_string(domain.memory_kib / kKib));
    builder.add_json("-object", Json::object({{"qom-type", "memory-backend-ram"},
                                              {"id", "pc.ram"},
                                              {"size", domain.memory_kib * kKib}}));
    builder.add("-overcommit", "mem-lock=off");
    builder.add("-smp", smp_option(domain));
}

Result<> add_clock(CommandLineBuilder& builder) {
    const GuestClock& clock = builder.domain().clock;
    std::string rtc = fmt::format("base={}", clock.offset);
    std::vector<std::vector<std::string>> more;
    for (const GuestTimer& timer : clock.timers) {
        const std::string policy = timer.tick_policy.value_or("");
        if (timer.name == "rtc") {
            if (timer.track)
                rtc += fmt::format(",clock={}", *timer.track == "guest" ? "vm" : "host");
            if (policy == "catchup") rtc += ",driftfix=slew";
        } else if (timer.name == "pit" && policy == "delay") {
            more.push_back({"-global", "kvm-pit.lost_tick_policy=delay"});
        } else if (timer.name == "pit" && policy == "discard") {
            more.push_back({"-global", "kvm-pit.lost_tick_policy=discard"});
        } else if (timer.name == "hpet" && timer.present == false) {
            more.push_back({"-no-hpet"});
        } else if (timer.name == "tsc" || timer.name == "hypervclock") {
            return fail(ErrorCode::config_unsupported, "timer '{}' is not supported", timer.name);
        }
    }
    builder.add("-rtc", rtc);
    for (const auto& words : more) {
        for (const std::string& word : words)
            builder.add(word);
    }
    return {};
}

void add_power(CommandLineBuilder& builder) {
    const Domain& domain = builder.domain();
    // QEMU stays after the guest's power off: the daemon decides what follows.
    builder.add("-no-shutdown");
    if (!domain.has_feature("acpi")) builder.add("-no-acpi");
    const std::string_view power = domain.os.is_q35() ? "ICH9-LPC" : "PIIX4_PM";
    if (domain.suspend_to_mem) {
        builder.add("-global",
                    fmt::format("{}.disable_s3={}", power, *domain.suspend_to_mem ? 0 : 1));
    }
    if (domain.suspend_to_disk) {
        builder.add("-global",
                    fmt::format("{}.disable_s4={}", power, *domain.suspend_to_disk ? 0 : 1));
    }
    if (domain.on_reboot == "destroy") {
        builder.after_start(
            {.name = "set-action", .arguments = Json::object({{"reboot", "shutdown"}})});
    }
}

void add_boot(CommandLineBuilder& builder) {
    const OperatingSystem& os = builder.domain().os;
    std::string boot;
    if (os.menu) {
        boot += os.menu->enable ? "menu=on," : "menu=off,";
        if (os.menu->enable && os.menu->timeout_ms) {
            boot += fmt::format("splash-time={},", *os.menu->timeout_ms);
        }
    }
    builder.add("-boot", boot + "strict=on");
    if (os.kernel.empty()) return;
    builder.add("-kernel", os.kernel);
    if (!os.initrd.empty()) builder.add("-initrd", os.initrd);
    if (!os.command_line.empty()) builder.add("-append", os.command_line);
}

}  // namespace segue
