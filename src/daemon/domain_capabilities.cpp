// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/domain_capabilities.h"

#include <span>
#include <string_view>

#include "domain/xml.h"

namespace segue {
namespace {

struct Enumeration {
    std::string_view name;
    std::span<const std::string_view> values;
};
struct DeviceKind {
    std::string_view element;
    std::span<const Enumeration> enumerations;
};

// Each list is what the parser of src/domain/device reads; a test holds the two together.
constexpr std::string_view kDiskDevices[] = {"disk", "cdrom", "floppy"};
constexpr std::string_view kDiskBuses[] = {"ide", "fdc", "scsi", "virtio", "usb", "sata"};
constexpr std::string_view kGraphics[] = {"spice", "vnc"};
constexpr std::string_view kVideos[] = {"vga", "cirrus", "qxl", "virtio", "bochs"};
constexpr std::string_view kRngModels[] = {"virtio"};
constexpr std::string_view kRngBackends[] = {"random"};
constexpr std::string_view kChannels[] = {"pty", "unix", "spicevmc", "spiceport"};
constexpr std::string_view kConsoles[] = {"null", "pty", "file", "unix", "tcp", "spiceport"};
constexpr std::string_view kRedirectionBuses[] = {"usb"};

constexpr Enumeration kDisk[] = {{"diskDevice", kDiskDevices}, {"bus", kDiskBuses}};
constexpr Enumeration kScreen[] = {{"type", kGraphics}};
constexpr Enumeration kVideo[] = {{"modelType", kVideos}};
constexpr Enumeration kRng[] = {{"model", kRngModels}, {"backendModel", kRngBackends}};
constexpr Enumeration kRedirection[] = {{"bus", kRedirectionBuses}};
constexpr Enumeration kChannel[] = {{"type", kChannels}};
constexpr Enumeration kConsole[] = {{"type", kConsoles}};

constexpr DeviceKind kDevices[] = {
    {"disk", kDisk},       {"graphics", kScreen}, {"video", kVideo}, {"hostdev", {}},
    {"rng", kRng},         {"filesystem", {}},    {"tpm", {}},       {"redirdev", kRedirection},
    {"channel", kChannel}, {"console", kConsole},
};

void add_devices(XmlElement& root) {
    XmlElement& devices = root.add("devices");
    for (const DeviceKind& kind : kDevices) {
        XmlElement& device = devices.add(kind.element);
        device.set("supported", kind.enumerations.empty() ? "no" : "yes");
        for (const Enumeration& one : kind.enumerations) {
            XmlElement& enumeration = device.add("enum").set("name", one.name);
            for (const std::string_view value : one.values)
                enumeration.add_text("value", value);
        }
    }
}

void add_mode(XmlElement& to, std::string_view name, bool supported) {
    to.add("mode").set("name", name).set("supported", supported ? "yes" : "no");
}

// What <cpu> may say, and what a host-model becomes.
void add_cpu(XmlElement& root, const HostCpu& host) {
    Cpu whole;
    whole.mode = "host-model";
    const auto decided = decide_cpu(whole, host);
    const bool has_model = decided && !host.closest.empty();
    XmlElement& cpu = root.add("cpu");
    add_mode(cpu, "host-passthrough", false);
    add_mode(cpu, "maximum", true);
    add_mode(cpu, "host-model", has_model);
    if (has_model) {
        XmlElement& mode = cpu.children.back();
        mode.add_text("model", decided->model).set("fallback", "forbid");
        for (const CpuFeature& feature : decided->features)
            mode.add("feature").set("policy", feature.policy).set("name", feature.name);
    }
    add_mode(cpu, "custom", true);
    for (const HostCpu::Model& model : host.models) {
        cpu.children.back()
            .add_text("model", model.name)
            .set("usable", model.usable ? "yes" : "no");
    }
}

Result<> check_one(const char* what, const std::optional<std::string>& asked,
                   std::string_view only) {
    if (!asked || asked->empty() || *asked == only) return {};
    return fail(ErrorCode::invalid_argument, "{} '{}' is not supported by this host: only '{}' is",
                what, asked->substr(0, 64), only);
}

std::uint32_t max_processors(const EmulatorCapabilities& emulator, const std::string& machine) {
    for (const MachineType& one : emulator.machines) {
        if (one.name == machine) return one.max_cpus;
    }
    return 1;
}

}  // namespace

Result<std::string> domain_capabilities_xml(const DomainCapabilitiesQuestion& question,
                                            const std::string& emulator_path,
                                            const EmulatorCapabilities& emulator,
                                            const HostCpu& cpu) {
    TRY(check_one("architecture", question.architecture, "x86_64"));
    TRY(check_one("virttype", question.virtualization, "qemu"));
    const std::string asked = question.machine.value_or("");
    const auto machine = emulator.machine(asked.empty() ? "pc" : asked);
    if (!machine) {
        return fail(ErrorCode::invalid_argument,
                    "the machine '{}' is not supported by emulator '{}'", asked.substr(0, 64),
                    emulator_path);
    }
    XmlElement root;
    root.name = "domainCapabilities";
    root.add_text("path", emulator_path);
    root.add_text("domain", "qemu");
    root.add_text("machine", *machine);
    root.add_text("arch", "x86_64");
    root.add("vcpu").set("max", std::uint64_t{max_processors(emulator, *machine)});
    root.add("os").set("supported", "yes").add("loader").set("supported", "no");
    add_cpu(root, cpu);
    add_devices(root);
    return print_xml(root);
}

}  // namespace segue
