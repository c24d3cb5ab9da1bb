// SPDX-License-Identifier: LGPL-2.1-or-later
// Order and defaults are those of libvirt 9.0 for the pc and q35 machines
// (qemuDomainDefPostParse, virDomainDefAddImplicitDevices), confirmed by the golden files of
// golden_test.cpp.
#include "domain/complete.h"

#include <algorithm>
#include <set>

namespace segue {
namespace {

constexpr std::string_view kCurrentPc = "pc-i440fx-7.2", kCurrentQ35 = "pc-q35-7.2";

void complete_identity(Domain& domain, const CompletionContext& context) {
    if (domain.uuid.is_nil()) domain.uuid = Uuid::random(context.random);
    if (domain.emulator.empty()) domain.emulator = context.default_emulator;
}

Result<> complete_machine(Domain& domain, const CompletionContext& context) {
    const auto machine = context.machine(domain.os.machine);
    if (!machine) {
        return fail(ErrorCode::config_unsupported,
                    "Emulator '{}' does not support machine type '{}'", domain.emulator,
                    domain.os.machine);
    }
    if (!machine->starts_with("pc-i440fx-") && !machine->starts_with("pc-q35-")) {
        return fail(ErrorCode::config_unsupported,
                    "machine type '{}' is not supported: use pc (i440fx) or q35", *machine);
    }
    domain.os.machine = *machine;
    return {};
}

template <class T>
void collect_orders(const std::vector<T>& devices, std::vector<std::uint32_t>& to) {
    for (const T& device : devices) {
        if (device.boot_order) to.push_back(*device.boot_order);
    }
}

Result<> complete_boot(Domain& domain) {
    std::vector<std::uint32_t> orders;
    collect_orders(domain.disks, orders);
    collect_orders(domain.interfaces, orders);
    collect_orders(domain.redirected, orders);
    if (orders.empty()) {
        if (domain.os.boot.empty()) domain.os.boot.emplace_back("hd");
        return {};
    }
    if (!domain.os.boot.empty()) {
        return fail(ErrorCode::config_unsupported,
                    "per-device boot elements cannot be used together with os/boot elements");
    }
    std::sort(orders.begin(), orders.end());
    const auto twice = std::adjacent_find(orders.begin(), orders.end());
    if (twice != orders.end()) {
        return fail(ErrorCode::xml_invalid, "boot order '{}' used for more than one device",
                    *twice);
    }
    return {};
}

Result<> complete_cpu(Domain& domain) {
    if (!domain.cpu) {
        domain.cpu = Cpu();
        domain.cpu->fallback = "forbid";
    }
    Cpu& cpu = *domain.cpu;
    if (cpu.mode == "custom" && cpu.model.empty()) {
        cpu.model = "qemu64";
        cpu.fallback = "forbid";
    }
    if (cpu.mode == "host-passthrough" && domain.type == DomainType::qemu) {
        return fail(ErrorCode::config_unsupported,
                    "CPU mode '{}' for x86_64 qemu domain on x86_64 host is not supported by "
                    "hypervisor",
                    cpu.mode);
    }
    if (cpu.check.empty()) {
        // What an emulator emulates is not compared with the host, unless somebody asks for it.
        const bool compared =
            cpu.mode == "host-model" || (cpu.mode == "custom" && domain.type == DomainType::kvm);
        cpu.check = compared ? "partial" : "none";
    }
    if (!cpu.topology) return {};
    const CpuTopology& topology = *cpu.topology;
    const std::uint64_t product = static_cast<std::uint64_t>(topology.sockets) * topology.dies *
                                  topology.cores * topology.threads;
    if (product != domain.vcpus) {
        return fail(ErrorCode::config_unsupported,
                    "CPU topology doesn't match maximum vcpu count: {} and {}", product,
                    domain.vcpus);
    }
    return {};
}

bool has_controller(const Domain& domain, ControllerType type, std::uint32_t index) {
    return std::any_of(domain.controllers.begin(), domain.controllers.end(),
                       [&](const Controller& controller) {
                           return controller.type == type && controller.index == index;
                       });
}

Result<> add_default_devices(Domain& domain) {
    const bool q35 = domain.os.is_q35();
    const std::string_view root = q35 ? "pcie-root" : "pci-root";
    const bool any_usb = std::any_of(
        domain.controllers.begin(), domain.controllers.end(),
        [](const Controller& controller) { return controller.type == ControllerType::usb; });
    for (Controller& controller : domain.controllers) {
        if (controller.type == ControllerType::usb && controller.model.empty()) {
            controller.model = "piix3-uhci";
        }
        if (controller.type != ControllerType::pci) continue;
        if (controller.index == 0 && controller.model.empty()) controller.model = root;
        if ((controller.index == 0) != (controller.model == root)) {
            return fail(ErrorCode::xml_invalid,
                        "The PCI controller with index='0' must be model='{}' for this machine "
                        "type, and no other one may; index='{}' is model='{}'",
                        root, controller.index, controller.model);
        }
    }
    if (!any_usb) need_controller(domain, ControllerType::usb, 0, q35 ? "qemu-xhci" : "piix3-uhci");
    if (q35) need_controller(domain, ControllerType::sata, 0);
    need_controller(domain, ControllerType::pci, 0, root);
    if (!domain.balloon) domain.balloon = Balloon();
    if (!domain.balloon->present) domain.current_memory_kib = domain.memory_kib;
    return {};
}

void add_input(Domain& domain, std::string_view type) {
    for (const Input& input : domain.inputs) {
        if (input.type == type && input.bus == "ps2") return;
    }
    Input made;
    made.type = type;
    made.bus = "ps2";
    domain.inputs.push_back(std::move(made));
}

// A console of the "serial" kind and the first serial line are one thing seen twice.
Result<> join_console_and_serial(Domain& domain) {
    const bool has_view = !domain.consoles.empty() && !domain.consoles.front().is_virtio();
    for (std::size_t index = 1; index < domain.consoles.size(); ++index) {
        if (domain.consoles[index].is_virtio()) continue;
        return fail(ErrorCode::config_unsupported, "Only the first console can be a serial port");
    }
    if (domain.serials.empty() && has_view) {
        Serial serial;
        serial.chardev = domain.consoles.front().chardev;
        domain.serials.push_back(std::move(serial));
    }
    std::set<std::uint32_t> used;
    for (const Serial& serial : domain.serials) {
        if (serial.port && !used.insert(*serial.port).second) {
            return fail(ErrorCode::internal, "target type 'isa-serial' port '{}' already used",
                        *serial.port);
        }
    }
    for (Serial& serial : domain.serials) {
        // After the highest one, not in the first gap: as libvirt does.
        if (!serial.port) serial.port = used.empty() ? 0 : *used.rbegin() + 1;
        used.insert(*serial.port);
        if (*serial.port > 3) {
            return fail(ErrorCode::config_unsupported,
                        "Maximum supported number of ISA serial ports is '4'");
        }
    }
    if (domain.serials.empty()) return {};
    if (!has_view) domain.consoles.emplace(domain.consoles.begin());
    Console& console = domain.consoles.front();
    console.chardev = domain.serials.front().chardev;
    console.port = domain.serials.front().port.value_or(0);
    return {};
}

Result<> check_buses(const Domain& domain) {
    for (const Disk& disk : domain.disks) {
        if (!domain.os.is_q35()) break;
        if (disk.bus != DiskBus::ide && disk.bus != DiskBus::fdc) continue;
        return fail(ErrorCode::config_unsupported,
                    "{} controllers are unsupported for machine type '{}': put disk '{}' on sata",
                    name_of(disk.bus), domain.os.machine, disk.target);
    }
    return {};
}

void add_controllers(Domain& domain) {
    for (const auto& [bus, type] : {std::pair(DiskBus::scsi, ControllerType::scsi),
                                    std::pair(DiskBus::fdc, ControllerType::fdc),
                                    std::pair(DiskBus::ide, ControllerType::ide),
                                    std::pair(DiskBus::sata, ControllerType::sata)}) {
        for (const Disk& disk : domain.disks) {
            const auto* address = std::get_if<DriveAddress>(&disk.address);
            if (disk.bus == bus && address) {
                for (std::uint32_t index = 0; index <= address->controller; ++index)
                    need_controller(domain, type, index);
            }
        }
    }
    for (Controller& controller : domain.controllers) {
        if (controller.type == ControllerType::scsi && controller.model.empty()) {
            controller.model = "lsilogic";
        }
    }
    for (const Channel& channel : domain.channels) {
        const auto* address = std::get_if<VirtioSerialAddress>(&channel.address);
        need_controller(domain, ControllerType::virtio_serial, address ? address->controller : 0);
    }
    for (const Console& console : domain.consoles) {
        if (!console.is_virtio()) continue;
        const auto* address = std::get_if<VirtioSerialAddress>(&console.address);
        need_controller(domain, ControllerType::virtio_serial, address ? address->controller : 0);
    }
    for (const Smartcard& smartcard : domain.smartcards) {
        const auto* address = std::get_if<CcidAddress>(&smartcard.address);
        need_controller(domain, ControllerType::ccid, address ? address->controller : 0);
    }
}

Result<> complete_video(Domain& domain) {
    if (!domain.graphics.empty() && domain.videos.empty()) {
        Video video;
        video.model = VideoModel::cirrus;
        domain.videos.push_back(std::move(video));
    }
    const auto primary = std::find_if(domain.videos.begin(), domain.videos.end(),
                                      [](const Video& video) { return video.primary; });
    if (primary != domain.videos.end()) {
        std::rotate(domain.videos.begin(), primary, primary + 1);
    }
    for (Video& video : domain.videos) {
        const bool first = &video == &domain.videos.front();
        const bool may_be_second =
            video.model == VideoModel::qxl || video.model == VideoModel::virtio;
        if (!first && !may_be_second) {
            return fail(ErrorCode::config_unsupported,
                        "video type '{}' is only valid as primary video device",
                        name_of(video.model));
        }
        complete_video(video, first);
    }
    return {};
}

Result<> complete_graphics(Domain& domain) {
    for (const GraphicsType type : {GraphicsType::spice, GraphicsType::vnc}) {
        const auto count =
            std::count_if(domain.graphics.begin(), domain.graphics.end(),
                          [type](const Graphics& graphics) { return graphics.type == type; });
        if (count > 1) {
            return fail(ErrorCode::config_unsupported, "only 1 {} graphics device is supported",
                        name_of(type));
        }
    }
    if (!domain.audios.empty()) return {};
    Audio audio;
    audio.implicit = true;
    for (const Graphics& graphics : domain.graphics) {
        if (graphics.type == GraphicsType::spice) audio.type = "spice";
    }
    domain.audios.push_back(std::move(audio));
    return {};
}

void complete_interfaces(Domain& domain, Random& random) {
    for (Interface& interface : domain.interfaces) {
        if (interface.model.empty()) interface.model = "rtl8139";
        if (!interface.mac.empty()) continue;
        // QEMU's vendor prefix, as libvirt uses for machines of QEMU.
        const std::uint64_t low = random.below(1U << 24);
        interface.mac =
            fmt::format("52:54:00:{:02x}:{:02x}:{:02x}", low >> 16, low >> 8 & 255, low & 255);
    }
}

// Implicit audio has no mark in XML: one that is what we would add is taken as such.
void recognise_implicit_audio(Domain& domain) {
    if (domain.audios.size() != 1) return;
    const bool spice =
        std::any_of(domain.graphics.begin(), domain.graphics.end(),
                    [](const Graphics& graphics) { return graphics.type == GraphicsType::spice; });
    Audio& audio = domain.audios.front();
    audio.implicit = audio.id == 1 && audio.type == (spice ? "spice" : "none");
}

Result<> check_targets(const Domain& domain) {
    std::set<std::string_view> targets;
    for (const Disk& disk : domain.disks) {
        if (!targets.insert(disk.target).second) {
            return fail(ErrorCode::xml_invalid, "target '{}' duplicated for disk sources '{}'",
                        disk.target, disk.source);
        }
    }
    return {};
}

}  // namespace

std::optional<std::string> qemu_7_2_machine(std::string_view machine) {
    if (machine == "pc") return std::string(kCurrentPc);
    if (machine == "q35") return std::string(kCurrentQ35);
    constexpr std::string_view kKnown[] = {"7.2",  "7.1",  "7.0",  "6.2", "6.1", "6.0", "5.2",
                                           "5.1",  "5.0",  "4.2",  "4.1", "4.0", "3.1", "3.0",
                                           "2.12", "2.11", "2.10", "2.9", "2.8"};
    for (const std::string_view version : kKnown) {
        for (const std::string_view family : {"pc-i440fx-", "pc-q35-"}) {
            if (machine == std::string(family) + std::string(version)) return std::string(machine);
        }
    }
    return std::nullopt;
}

void need_controller(Domain& domain, ControllerType type, std::uint32_t index,
                     std::string_view model) {
    if (has_controller(domain, type, index)) return;
    Controller made;
    made.type = type;
    made.index = index;
    made.model = model;
    domain.controllers.push_back(std::move(made));
}

Result<> complete_domain(Domain& domain, const CompletionContext& context) {
    complete_identity(domain, context);
    TRY(complete_machine(domain, context));
    TRY(check_targets(domain));
    TRY(complete_boot(domain));
    TRY(complete_cpu(domain));
    TRY(check_buses(domain));
    TRY(add_default_devices(domain));
    add_input(domain, "mouse");
    add_input(domain, "keyboard");
    TRY(join_console_and_serial(domain));
    TRY(assign_drive_addresses(domain));
    add_controllers(domain);
    TRY(complete_video(domain));
    recognise_implicit_audio(domain);
    TRY(complete_graphics(domain));
    complete_interfaces(domain, context.random);
    TRY(assign_virtio_serial_addresses(domain));
    TRY(assign_usb_addresses(domain));
    TRY(assign_pci_addresses(domain));
    return {};
}

}  // namespace segue
