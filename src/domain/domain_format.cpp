// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>

#include "domain/domain.h"

namespace segue {
namespace {

void format_identity(const Domain& domain, XmlElement& out, const FormatOptions& options) {
    out.set("type", domain.type == DomainType::kvm ? "kvm" : "qemu");
    const bool live = !options.inactive && !options.migratable;
    if (live && domain.id) out.set("id", std::string_view(std::to_string(*domain.id)));
    if (!domain.passthrough.empty()) {
        out.set("xmlns:qemu", "http://libvirt.org/schemas/domain/qemu/1.0");
    }
    out.add_text("name", domain.name);
    out.add_text("uuid", domain.uuid.text());
    if (domain.title) out.add_text("title", *domain.title);
    if (domain.description) out.add_text("description", *domain.description);
    if (domain.metadata) out.add(*domain.metadata);
}

void format_resources(const Domain& domain, XmlElement& out, const FormatOptions& options) {
    out.add_text("memory", std::to_string(domain.memory_kib)).set("unit", "KiB");
    out.add_text("currentMemory", std::to_string(domain.current_memory_kib)).set("unit", "KiB");
    XmlElement& vcpu = out.add_text("vcpu", std::to_string(domain.vcpus));
    vcpu.set("placement", "static");
    if (domain.current_vcpus != domain.vcpus) vcpu.set("current", domain.current_vcpus);
    if (domain.id && !options.inactive) {
        out.add("resource").add_text("partition", "/machine");
    }
}

void format_policies(const Domain& domain, XmlElement& out) {
    out.add_text("on_poweroff", domain.on_poweroff);
    out.add_text("on_reboot", domain.on_reboot);
    out.add_text("on_crash", domain.on_crash);
    if (!domain.suspend_to_mem && !domain.suspend_to_disk) return;
    XmlElement& power = out.add("pm");
    const auto state = [&](std::string_view element, const std::optional<bool>& enabled) {
        if (enabled) power.add(element).set("enabled", *enabled ? "yes" : "no");
    };
    state("suspend-to-mem", domain.suspend_to_mem);
    state("suspend-to-disk", domain.suspend_to_disk);
}

// What an old destination adds by itself, and might not understand.
bool is_implicit(const Domain& domain, const Controller& controller) {
    if (controller.index != 0) return false;
    const auto of_its_type =
        std::count_if(domain.controllers.begin(), domain.controllers.end(),
                      [&](const Controller& other) { return other.type == controller.type; });
    if (of_its_type != 1) return false;
    if (controller.type == ControllerType::pci) {
        return controller.model == "pci-root" && controller.unknown.children.empty();
    }
    return controller.type == ControllerType::usb && controller.model == "piix3-uhci" &&
           !domain.os.is_q35();
}

bool is_implicit(const Domain&, const Input& input) {
    return input.type == "keyboard" && input.bus == "ps2";
}

template <class T>
void format_all(const std::vector<T>& devices, XmlElement& out, const FormatOptions& options,
                XmlElement (*format)(const T&, const FormatOptions&)) {
    for (const T& device : devices)
        out.add(format(device, options));
}

XmlElement format_devices(const Domain& domain, const FormatOptions& options) {
    XmlElement out;
    out.name = "devices";
    if (!domain.emulator.empty()) out.add_text("emulator", domain.emulator);
    for (std::size_t index = 0; index < domain.disks.size(); ++index) {
        const std::size_t node = domain.id ? domain.disks.size() - index : 0;
        out.add(format_disk(domain.disks[index], options, node));
    }
    const auto controllers = options.migratable ? in_order(domain.controllers) : domain.controllers;
    for (const Controller& controller : controllers) {
        if (options.migratable && is_implicit(domain, controller)) continue;
        out.add(format_controller(controller, options));
    }
    format_all(domain.interfaces, out, options, format_interface);
    format_all(domain.smartcards, out, options, format_smartcard);
    format_all(domain.serials, out, options, format_serial);
    format_all(domain.consoles, out, options, format_console);
    format_all(domain.channels, out, options, format_channel);
    for (const Input& input : domain.inputs) {
        if (options.migratable && is_implicit(domain, input)) continue;
        out.add(format_input(input, options));
    }
    format_all(domain.graphics, out, options, format_graphics);
    format_all(domain.sounds, out, options, format_sound);
    for (const Audio& audio : domain.audios) {
        if (!(options.migratable && audio.implicit)) out.add(format_audio(audio));
    }
    format_all(domain.videos, out, options, format_video);
    format_all(domain.redirected, out, options, format_redirdev);
    format_all(domain.hubs, out, options, format_hub);
    if (domain.balloon) out.add(format_balloon(*domain.balloon, options));
    format_all(domain.rngs, out, options, format_rng);
    return out;
}

void format_passthrough(const Passthrough& passthrough, XmlElement& out) {
    if (passthrough.empty()) return;
    XmlElement& commandline = out.add("qemu:commandline");
    for (const std::string& argument : passthrough.arguments)
        commandline.add("qemu:arg").set("value", argument);
    for (const auto& [name, value] : passthrough.environment)
        commandline.add("qemu:env").set("name", name).set("value", value);
}

}  // namespace

XmlElement format_domain(const Domain& domain, const FormatOptions& options) {
    XmlElement out;
    out.name = "domain";
    format_identity(domain, out, options);
    format_resources(domain, out, options);
    out.add(format_os(domain.os));
    if (!domain.features.empty() || !domain.switches.empty()) {
        XmlElement& features = out.add("features");
        for (const std::string& feature : domain.features)
            features.add(feature);
        for (const auto& [feature, on] : domain.switches)
            features.add(feature).set("state", on ? "on" : "off");
    }
    const bool running = options.running_cpu && domain.running_cpu;
    if (domain.cpu) out.add(format_cpu(running ? *domain.running_cpu : *domain.cpu));
    out.add(format_clock(domain.clock));
    format_policies(domain, out);
    out.add(format_devices(domain, options));
    merge_unknown(out, domain.unknown);
    format_passthrough(domain.passthrough, out);
    return out;
}

std::string print_domain(const Domain& domain, const FormatOptions& options) {
    return print_xml(format_domain(domain, options));
}

}  // namespace segue
