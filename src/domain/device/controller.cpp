// SPDX-License-Identifier: LGPL-2.1-or-later
#include "domain/device/controller.h"

#include "domain/choice.h"

namespace segue {
namespace {

constexpr Choice<ControllerType> kTypes[] = {
    {"pci", ControllerType::pci},   {"usb", ControllerType::usb},
    {"ide", ControllerType::ide},   {"fdc", ControllerType::fdc},
    {"sata", ControllerType::sata}, {"virtio-serial", ControllerType::virtio_serial},
    {"ccid", ControllerType::ccid}};

constexpr std::string_view kUsbModels[] = {"piix3-uhci", "piix4-uhci", "ehci",       "ich9-ehci1",
                                           "ich9-uhci1", "ich9-uhci2", "ich9-uhci3", "nec-xhci",
                                           "qemu-xhci",  "none"};
constexpr std::string_view kPciModels[] = {"pci-root"};
constexpr std::string_view kVirtioSerialModels[] = {"virtio", "virtio-transitional",
                                                    "virtio-non-transitional"};

Result<> parse_model(XmlCursor& from, Controller& controller) {
    std::span<const std::string_view> words;
    if (controller.type == ControllerType::usb) words = kUsbModels;
    if (controller.type == ControllerType::pci) words = kPciModels;
    if (controller.type == ControllerType::virtio_serial) words = kVirtioSerialModels;
    if (words.empty()) return {};  // an unknown model is reported with the rest
    controller.model = TRY(choice(from, "model", words)).value_or("");
    return {};
}

Result<std::optional<std::uint32_t>> small(XmlCursor& from, std::string_view key,
                                           std::uint32_t most) {
    const auto value = TRY(from.number(key, most));
    return value ? std::optional(static_cast<std::uint32_t>(*value)) : std::nullopt;
}

}  // namespace

std::string_view name_of(ControllerType type) {
    return name_in(kTypes, type);
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
    const auto type = TRY(choice(from, "type", kTypes));
    if (!type) return fail(ErrorCode::xml_invalid, "missing type of controller");
    controller.type = *type;
    controller.index = TRY(small(from, "index", 255)).value_or(0);
    TRY(parse_model(from, controller));
    controller.ports = TRY(small(from, "ports", 31));
    controller.vectors = TRY(small(from, "vectors", 1024));
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
