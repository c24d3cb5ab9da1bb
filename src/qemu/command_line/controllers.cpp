// SPDX-License-Identifier: LGPL-2.1-or-later
#include "qemu/command_line/builder.h"

namespace segue {
namespace {

std::string usb_driver(const std::string& model) {
    if (model == "piix3-uhci") return "piix3-usb-uhci";
    if (model == "piix4-uhci") return "piix4-usb-uhci";
    if (model == "ehci") return "usb-ehci";
    if (model.starts_with("ich9-")) return "ich9-usb-" + model.substr(5);
    if (model == "nec-xhci") return "nec-usb-xhci";
    return model;
}

std::string virtio_driver(std::string_view device, const std::string& model) {
    constexpr std::string_view kPrefix = "virtio";
    return fmt::format("{}-pci{}", device,
                       model.starts_with(kPrefix) ? model.substr(kPrefix.size()) : "");
}

Result<> add_usb(CommandLineBuilder& builder, const Controller& controller) {
    if (controller.model == "none") return {};
    Json device = Json::object();
    device.set("driver", usb_driver(controller.model));
    if (controller.start_port) {
        device.set("masterbus", controller.alias + ".0").set("firstport", *controller.start_port);
    }
    if (controller.ports) device.set("p2", *controller.ports).set("p3", *controller.ports);
    // Companions share the name of their EHCI controller, and have none in QEMU.
    if (!controller.start_port) device.set("id", controller.alias);
    TRY(set_address(device, builder.domain(), controller.address));
    builder.add_device(device);
    return {};
}

// Parts of the machine, which it brings itself.
bool is_built_in(const Domain& domain, const Controller& controller) {
    switch (controller.type) {
        case ControllerType::pci: return controller.index == 0;
        case ControllerType::sata: return controller.index == 0 && domain.os.is_q35();
        case ControllerType::fdc:
        case ControllerType::ide: return true;
        case ControllerType::usb:
        case ControllerType::scsi:
        case ControllerType::virtio_serial:
        case ControllerType::ccid: break;
    }
    return false;
}

Json scsi_device(const Controller& controller) {
    Json device = Json::object();
    device.set("driver", controller.model == "lsilogic" ? "lsi"
                         : controller.model == "virtio-scsi"
                             ? "virtio-scsi-pci"
                             : virtio_driver("virtio-scsi", controller.model));
    device.set("id", controller.alias);
    return device;
}

Json pci_device(const Controller& controller) {
    Json device = Json::object();
    device.set("driver", controller.model_name);
    if (controller.chassis_number) device.set("chassis_nr", *controller.chassis_number);
    if (controller.port) device.set("port", *controller.port);
    if (controller.chassis) device.set("chassis", *controller.chassis);
    device.set("id", controller.alias);
    if (controller.hotplug) device.set("hotplug", *controller.hotplug);
    return device;
}

Result<> add_one(CommandLineBuilder& builder, const Controller& controller) {
    if (is_built_in(builder.domain(), controller)) return {};
    Json device = Json::object();
    switch (controller.type) {
        case ControllerType::usb: return add_usb(builder, controller);
        case ControllerType::pci: device = pci_device(controller); break;
        case ControllerType::scsi: device = scsi_device(controller); break;
        case ControllerType::fdc:
        case ControllerType::ide: return {};
        case ControllerType::sata: device.set("driver", "ahci").set("id", controller.alias); break;
        case ControllerType::virtio_serial:
            device.set("driver", virtio_driver("virtio-serial", controller.model));
            device.set("id", controller.alias);
            if (controller.ports) device.set("max_ports", *controller.ports);
            if (controller.vectors) device.set("vectors", *controller.vectors);
            break;
        case ControllerType::ccid: device.set("driver", "usb-ccid").set("id", controller.alias);
    }
    TRY(set_address(device, builder.domain(), controller.address));
    builder.add_device(device);
    return {};
}

Result<> add_hubs(CommandLineBuilder& builder) {
    for (const Hub& hub : builder.domain().hubs) {
        Json device = Json::object({{"driver", "usb-hub"}, {"id", hub.alias}});
        TRY(set_address(device, builder.domain(), hub.address));
        builder.add_device(device);
    }
    return {};
}

}  // namespace

Result<> add_controllers(CommandLineBuilder& builder) {
    // What others plug into first, as libvirt has it.
    for (const ControllerType type :
         {ControllerType::pci, ControllerType::usb, ControllerType::scsi, ControllerType::sata,
          ControllerType::virtio_serial}) {
        for (const Controller& controller : builder.domain().controllers) {
            if (controller.type == type) TRY(add_one(builder, controller));
        }
    }
    TRY(add_hubs(builder));
    for (const Controller& controller : builder.domain().controllers) {
        if (controller.type == ControllerType::ccid) TRY(add_one(builder, controller));
    }
    return {};
}

}  // namespace segue
