// SPDX-License-Identifier: LGPL-2.1-or-later
#include "domain/device/controller.h"

#include <algorithm>

#include "domain/choice.h"
#include "domain/device_order.h"

namespace segue {
namespace {

constexpr Choice<ControllerType> kControllerTypes[] = {
    {"pci", ControllerType::pci},   {"usb", ControllerType::usb},
    {"ide", ControllerType::ide},   {"fdc", ControllerType::fdc},
    {"sata", ControllerType::sata}, {"virtio-serial", ControllerType::virtio_serial},
    {"ccid", ControllerType::ccid}, {"scsi", ControllerType::scsi}};

constexpr std::string_view kUsbModels[] = {"piix3-uhci", "piix4-uhci", "ehci",       "ich9-ehci1",
                                           "ich9-uhci1", "ich9-uhci2", "ich9-uhci3", "nec-xhci",
                                           "qemu-xhci",  "none"};
constexpr std::string_view kPciModels[] = {"pci-root",          "pci-bridge",
                                           "pcie-root",         "pcie-root-port",
                                           "dmi-to-pci-bridge", "pcie-to-pci-bridge"};
constexpr std::string_view kPciNames[] = {"pci-bridge", "pcie-root-port", "ioh3420",
                                          "i82801b11-bridge", "pcie-pci-bridge"};
constexpr std::string_view kScsiModels[] = {"lsilogic", "virtio-scsi", "virtio-transitional",
                                            "virtio-non-transitional"};
constexpr std::string_view kVirtioSerialModels[] = {"virtio", "virtio-transitional",
                                                    "virtio-non-transitional"};

Result<> parse_model(XmlCursor& from, Controller& controller) {
    std::span<const std::string_view> words;
    if (controller.type == ControllerType::usb) words = kUsbModels;
    if (controller.type == ControllerType::pci) words = kPciModels;
    if (controller.type == ControllerType::virtio_serial) words = kVirtioSerialModels;
    if (controller.type == ControllerType::scsi) words = kScsiModels;
    if (words.empty()) return {};  // an unknown model is reported with the rest
    controller.model = TRY(choice(from, "model", words)).value_or("");
    return {};
}

Result<std::optional<std::uint32_t>> small(XmlCursor& from, std::string_view key,
                                           std::uint32_t most) {
    const auto value = TRY(from.number(key, most));
    return value ? std::optional(static_cast<std::uint32_t>(*value)) : std::nullopt;
}

// <model name=''> and <target>: of PCI controllers.
Result<> parse_pci(XmlCursor& from, Controller& controller) {
    if (XmlCursor* model = from.child("model")) {
        controller.model_name = TRY(choice(*model, "name", kPciNames)).value_or("");
    }
    XmlCursor* target = from.child("target");
    if (!target) return {};
    controller.chassis_number = TRY(small(*target, "chassisNr", 255));
    controller.chassis = TRY(small(*target, "chassis", 255));
    controller.port = TRY(small(*target, "port", 255));
    controller.hotplug = TRY(target->on_off("hotplug"));
    return {};
}

void format_pci(const Controller& controller, XmlElement& out) {
    if (!controller.model_name.empty()) out.add("model").set("name", controller.model_name);
    XmlElement target;
    target.name = "target";
    if (controller.chassis_number) target.set("chassisNr", *controller.chassis_number);
    if (controller.chassis) target.set("chassis", *controller.chassis);
    if (controller.port)
        target.set("port", std::string_view(fmt::format("{:#x}", *controller.port)));
    if (controller.hotplug) target.set("hotplug", *controller.hotplug ? "on" : "off");
    if (!target.attributes.empty()) out.add(std::move(target));
}

}  // namespace

std::string_view name_of(ControllerType type) {
    return name_in(kControllerTypes, type);
}

std::vector<Controller> in_order(std::vector<Controller> controllers) {
    const auto place = [](const Controller& one) {
        return std::pair(one.index, one.start_port.has_value());
    };
    return in_order(
        std::move(controllers),
        [](const Controller& one, const Controller& other) { return one.type == other.type; },
        [&](const Controller& one, const Controller& other) { return place(one) < place(other); });
}

namespace {

bool is_taken(const std::vector<Controller>& controllers, const Controller& by,
              std::uint32_t index) {
    return std::any_of(controllers.begin(), controllers.end(), [&](const Controller& other) {
        return other.type == by.type && other.index == index;
    });
}

// The index of the USB controller before this one, where both are of one USB 2 group.
std::optional<std::uint32_t> group_of(const std::vector<Controller>& controllers, std::size_t at) {
    const Controller& own = controllers[at];
    if (!own.is_usb2()) return std::nullopt;
    std::size_t before = at;
    while (before > 0 && controllers[before - 1].type != ControllerType::usb)
        --before;
    if (before == 0 || !controllers[before - 1].is_usb2()) return std::nullopt;
    const std::uint32_t index = controllers[before - 1].index;
    const bool has_one =
        std::any_of(controllers.begin(), controllers.end(), [&](const Controller& other) {
            return other.type == own.type && other.index == index && other.model == own.model;
        });
    return has_one ? std::nullopt : std::optional(index);
}

bool is_root(const Controller& controller) {
    return controller.model == "pci-root" || controller.model == "pcie-root";
}

}  // namespace

Result<> assign_indexes(std::vector<Controller>& controllers) {
    for (std::size_t at = 0; at < controllers.size(); ++at) {
        Controller& own = controllers[at];
        if (own.index != kNoIndex) continue;
        if (const auto group = group_of(controllers, at)) {
            own.index = *group;
            continue;
        }
        // The root is number 0, also where the definition leaves it out.
        std::uint32_t index =
            own.type == ControllerType::pci && !own.model.empty() && !is_root(own);
        while (is_taken(controllers, own, index))
            ++index;
        own.index = index;
    }
    for (const Controller& one : controllers) {
        const auto same =
            std::count_if(controllers.begin(), controllers.end(), [&](const Controller& other) {
                return other.type == one.type && other.index == one.index &&
                       (!one.is_usb2() || other.model == one.model);
            });
        if (same > 1) {
            return fail(ErrorCode::config_unsupported, "Multiple '{}' controllers with index '{}'",
                        name_of(one.type), one.index);
        }
    }
    return {};
}

std::uint32_t usb_ports_of(const Controller& controller) {
    if (controller.type != ControllerType::usb || controller.start_port) return 0;
    if (controller.model == "none") return 0;
    if (controller.model == "ich9-ehci1" || controller.model == "ehci") return 6;
    if (controller.model == "qemu-xhci" || controller.model == "nec-xhci") {
        return controller.ports.value_or(4);
    }
    return 2;
}

Result<Controller> parse_controller(XmlCursor& from) {
    Controller controller;
    const auto type = TRY(choice(from, "type", kControllerTypes));
    if (!type) return fail(ErrorCode::xml_invalid, "missing type of controller");
    controller.type = *type;
    controller.index = TRY(small(from, "index", 255)).value_or(kNoIndex);
    TRY(parse_model(from, controller));
    controller.ports = TRY(small(from, "ports", 31));
    controller.vectors = TRY(small(from, "vectors", 1024));
    if (controller.type == ControllerType::pci) TRY(parse_pci(from, controller));
    if (XmlCursor* master = from.child("master")) {
        controller.start_port = TRY(small(*master, "startport", 15));
    }
    TRY(parse_device(from, controller));
    return controller;
}

XmlElement format_controller(const Controller& controller, const FormatOptions& options) {
    XmlElement out;
    out.name = "controller";
    out.set("type", name_of(controller.type)).set("index", controller.index);
    if (!controller.model.empty()) out.set("model", controller.model);
    if (controller.ports) out.set("ports", *controller.ports);
    if (controller.vectors) out.set("vectors", *controller.vectors);
    format_pci(controller, out);
    XmlElement rest;
    format_device(controller, rest, options);
    // libvirt writes <master> between alias and address.
    auto at = rest.children.begin();
    if (at != rest.children.end() && at->name == "alias") ++at;
    if (controller.start_port) {
        XmlElement master;
        master.name = "master";
        rest.children.insert(at, master.set("startport", *controller.start_port));
    }
    for (auto& [key, value] : rest.attributes)
        out.set(key, value);
    for (XmlElement& child : rest.children)
        out.add(std::move(child));
    return out;
}

}  // namespace segue
