// SPDX-License-Identifier: LGPL-2.1-or-later
#include "domain/abi.h"

#include <algorithm>

namespace segue {
namespace {

// Values as an error message shows them.
std::string shown(const std::string& value) {
    return value;
}
std::string shown(std::string_view value) {
    return std::string(value);
}
std::string shown(std::uint64_t value) {
    return std::to_string(value);
}
std::string shown(const std::optional<std::string>& value) {
    return value.value_or("<null>");
}
std::string shown(const std::optional<std::uint32_t>& value) {
    return value ? std::to_string(*value) : "-1";
}
std::string shown(const std::optional<bool>& value) {
    return value ? (*value ? "on" : "off") : "default";
}

template <class T>
Result<> same(std::string_view what, const T& source, const T& target) {
    if (source == target) return {};
    return fail(ErrorCode::config_unsupported, "Target {} {} does not match source {}", what,
                shown(target), shown(source));
}

std::string shown_address(const DeviceAddress& address) {
    if (const auto* pci = std::get_if<PciAddress>(&address)) return "PCI address " + pci->text();
    if (const auto* drive = std::get_if<DriveAddress>(&address)) {
        return fmt::format("drive address {}:{}:{}", drive->controller, drive->bus, drive->unit);
    }
    if (const auto* serial = std::get_if<VirtioSerialAddress>(&address)) {
        return fmt::format("virtio serial address {}:{}:{}", serial->controller, serial->bus,
                           serial->port);
    }
    if (const auto* usb = std::get_if<UsbAddress>(&address)) {
        return fmt::format("usb address {}:{}", usb->bus, usb->port);
    }
    if (const auto* ccid = std::get_if<CcidAddress>(&address)) {
        return fmt::format("ccid address {}:{}", ccid->controller, ccid->slot);
    }
    return "address none";
}

Result<> check_device(const Device& source, const Device& target) {
    if (source.address == target.address) return {};
    return fail(ErrorCode::config_unsupported, "Target device {} does not match source {}",
                shown_address(target.address), shown_address(source.address));
}

Result<> check_one(const Disk& source, const Disk& target) {
    TRY(same("disk device", name_of(source.kind), name_of(target.kind)));
    TRY(same("disk bus", name_of(source.bus), name_of(target.bus)));
    TRY(same("disk", source.target, target.target));
    TRY(same("disk serial", source.serial, target.serial));
    if (source.read_only != target.read_only || source.shareable != target.shareable) {
        return fail(ErrorCode::config_unsupported, "Target disk access mode does not match source");
    }
    return check_device(source, target);
}

Result<> check_one(const Controller& source, const Controller& target) {
    TRY(same("controller type", name_of(source.type), name_of(target.type)));
    TRY(same("controller index", std::uint64_t{source.index}, std::uint64_t{target.index}));
    TRY(same("controller model", source.model, target.model));
    TRY(same("controller ports", source.ports, target.ports));
    TRY(same("controller vectors", source.vectors, target.vectors));
    TRY(same("PCI controller chassis number", source.chassis_number, target.chassis_number));
    TRY(same("PCI controller chassis", source.chassis, target.chassis));
    TRY(same("PCI controller port", source.port, target.port));
    return check_device(source, target);
}

Result<> check_one(const Interface& source, const Interface& target) {
    TRY(same("network card mac", source.mac, target.mac));
    TRY(same("network card model", source.model, target.model));
    return check_device(source, target);
}

Result<> check_one(const Input& source, const Input& target) {
    TRY(same("input device type", source.type, target.type));
    TRY(same("input device bus", source.bus, target.bus));
    return check_device(source, target);
}

Result<> check_one(const Sound& source, const Sound& target) {
    TRY(same("sound card model", source.model, target.model));
    if (source.codecs != target.codecs) {
        return fail(ErrorCode::config_unsupported, "Target sound codecs do not match source");
    }
    return check_device(source, target);
}

Result<> check_one(const Video& source, const Video& target) {
    TRY(same("video card model", name_of(source.model), name_of(target.model)));
    TRY(same("video card ram", std::uint64_t{source.ram}, std::uint64_t{target.ram}));
    TRY(same("video card vram", std::uint64_t{source.vram}, std::uint64_t{target.vram}));
    TRY(same("video card vram64", std::uint64_t{source.vram64}, std::uint64_t{target.vram64}));
    TRY(same("video card vgamem", std::uint64_t{source.vgamem}, std::uint64_t{target.vgamem}));
    TRY(same("video card heads", std::uint64_t{source.heads}, std::uint64_t{target.heads}));
    return check_device(source, target);
}

Result<> check_one(const Serial& source, const Serial& target) {
    TRY(same("serial type", source.target_type, target.target_type));
    TRY(same("serial model", source.target_model, target.target_model));
    TRY(same("serial port", source.port, target.port));
    return check_device(source, target);
}

Result<> check_one(const Console& source, const Console& target) {
    TRY(same("console type", source.target_type, target.target_type));
    return check_device(source, target);
}

Result<> check_one(const Channel& source, const Channel& target) {
    TRY(same("channel name", source.name, target.name));
    return check_device(source, target);
}

Result<> check_one(const Balloon& source, const Balloon& target) {
    TRY(same("balloon model", std::string(source.present ? "virtio" : "none"),
             std::string(target.present ? "virtio" : "none")));
    TRY(same("balloon autodeflate attribute value", source.auto_deflate, target.auto_deflate));
    TRY(same("balloon freePageReporting attribute value", source.free_page_reporting,
             target.free_page_reporting));
    return check_device(source, target);
}

Result<> check_one(const Device& source, const Device& target) {
    return check_device(source, target);
}

template <class T>
Result<> check_all(std::string_view what, const std::vector<T>& source,
                   const std::vector<T>& target) {
    if (source.size() != target.size()) {
        return fail(ErrorCode::config_unsupported,
                    "Target domain {} count {} does not match source {}", what, target.size(),
                    source.size());
    }
    for (std::size_t index = 0; index < source.size(); ++index)
        TRY(check_one(source[index], target[index]));
    return {};
}

// Implicit controllers stand in another place where a definition came in its migratable form.
std::vector<Controller> sorted(std::vector<Controller> controllers) {
    std::stable_sort(controllers.begin(), controllers.end(),
                     [](const Controller& a, const Controller& b) {
                         return std::tie(a.type, a.index) < std::tie(b.type, b.index);
                     });
    return controllers;
}

Result<> check_identity(const Domain& source, const Domain& target) {
    const auto type = [](const Domain& domain) {
        return std::string(domain.type == DomainType::kvm ? "kvm" : "qemu");
    };
    TRY(same("domain virt type", type(source), type(target)));
    TRY(same("domain uuid", source.uuid.text(), target.uuid.text()));
    TRY(same("domain max memory", source.memory_kib, target.memory_kib));
    TRY(same("domain vCPU max", std::uint64_t{source.vcpus}, std::uint64_t{target.vcpus}));
    TRY(same("domain vCPU count", std::uint64_t{source.current_vcpus},
             std::uint64_t{target.current_vcpus}));
    TRY(same("domain architecture", source.os.arch, target.os.arch));
    TRY(same("domain machine type", source.os.machine, target.os.machine));
    return {};
}

Result<> check_features(const Domain& source, const Domain& target) {
    for (const std::string_view feature : {"acpi", "apic", "pae"}) {
        const bool was = source.has_feature(feature), is = target.has_feature(feature);
        if (was == is) continue;
        return fail(ErrorCode::config_unsupported,
                    "State of feature '{}' differs: source: '{}', "
                    "destination: '{}'",
                    feature, was ? "on" : "default", is ? "on" : "default");
    }
    const auto word = [](std::optional<bool> on) { return !on ? "default" : *on ? "on" : "off"; };
    for (const std::string_view feature : kSwitches) {
        const auto was = source.switched(feature), is = target.switched(feature);
        if (was == is) continue;
        return fail(ErrorCode::config_unsupported,
                    "State of feature '{}' differs: source: '{}', destination: '{}'", feature,
                    word(was), word(is));
    }
    if (source.clock.timers.size() != target.clock.timers.size()) {
        return fail(ErrorCode::config_unsupported, "Target domain timers do not match source");
    }
    for (std::size_t index = 0; index < source.clock.timers.size(); ++index) {
        TRY(same("timer", source.clock.timers[index].name, target.clock.timers[index].name));
        TRY(same("timer presence", source.clock.timers[index].present,
                 target.clock.timers[index].present));
    }
    return {};
}

// A CPU that is expanded (check='full') on one side only says more, not something else: a model
// that differs is another CPU, and so is a topology.
Result<> check_cpu(const Domain& source, const Domain& target) {
    if (!source.cpu || !target.cpu) return {};
    if (source.cpu->topology != target.cpu->topology) {
        return fail(ErrorCode::config_unsupported, "Target CPU topology does not match source");
    }
    if (source.cpu->mode == target.cpu->mode) {
        TRY(same("CPU model", source.cpu->model, target.cpu->model));
    }
    return {};
}

}  // namespace

Result<> check_abi(const Domain& source, const Domain& target) {
    TRY(check_identity(source, target));
    TRY(check_features(source, target));
    TRY(check_cpu(source, target));
    TRY(check_all("disk", source.disks, target.disks));
    TRY(check_all("controller", sorted(source.controllers), sorted(target.controllers)));
    TRY(check_all("net card", source.interfaces, target.interfaces));
    TRY(check_all("input device", source.inputs, target.inputs));
    TRY(check_all("sound card", source.sounds, target.sounds));
    TRY(check_all("video card", source.videos, target.videos));
    TRY(check_all("smartcard", source.smartcards, target.smartcards));
    TRY(check_all("serial port", source.serials, target.serials));
    TRY(check_all("console", source.consoles, target.consoles));
    TRY(check_all("channel", source.channels, target.channels));
    TRY(check_all("hub device", source.hubs, target.hubs));
    TRY(check_all("redirected devices", source.redirected, target.redirected));
    TRY(check_all("RNG device", source.rngs, target.rngs));
    if (source.balloon && target.balloon) TRY(check_one(*source.balloon, *target.balloon));
    return {};
}

}  // namespace segue
