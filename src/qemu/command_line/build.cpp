// SPDX-License-Identifier: LGPL-2.1-or-later
#include "domain/guest_cpu.h"
#include "qemu/command_line/builder.h"

namespace segue {
namespace {

void add_monitor(CommandLineBuilder& builder) {
    const std::string path = builder.options().directory + "/monitor.sock";
    const int number = builder.inherit(InheritedFile::Kind::listen, path);
    builder.line().monitor_path = path;
    builder.add("-chardev", fmt::format("socket,id=charmonitor,fd={},server=on,wait=off", number));
    builder.add("-mon", "chardev=charmonitor,id=monitor,mode=control");
}

Result<> add_devices(CommandLineBuilder& builder) {
    TRY(add_controllers(builder));
    TRY(add_disks(builder));
    TRY(add_interfaces(builder));
    TRY(add_smartcards(builder));
    TRY(add_serials(builder));
    TRY(add_channels(builder));
    TRY(add_consoles(builder));
    TRY(add_inputs(builder));
    add_audio(builder);
    TRY(add_graphics(builder));
    TRY(add_videos(builder));
    TRY(add_sounds(builder));
    TRY(add_redirected(builder));
    TRY(add_balloon(builder));
    TRY(add_rngs(builder));
    if (builder.domain().switched("vmcoreinfo") == true) {
        builder.add_device(Json::object({{"driver", "vmcoreinfo"}}));
    }
    return {};
}

void add_passthrough(CommandLineBuilder& builder) {
    for (const std::string& argument : builder.domain().passthrough.arguments)
        builder.add(argument);
    builder.line().environment = builder.domain().passthrough.environment;
}

}  // namespace

std::string escape_commas(std::string_view text) {
    std::string out;
    for (const char character : text) {
        out += character;
        if (character == ',') out += ',';
    }
    return out;
}

int CommandLineBuilder::inherit(InheritedFile::Kind kind, std::string path) {
    line_.inherited.push_back({kind, std::move(path), next_descriptor_});
    return next_descriptor_++;
}

Result<std::string> pci_bus_name(const Domain& domain, const PciAddress& address) {
    // QEMU's own names of its roots, whatever the definition calls them.
    if (address.bus == 0) return domain.os.is_q35() ? "pcie.0" : "pci.0";
    for (const Controller& controller : domain.controllers) {
        if (controller.type == ControllerType::pci && controller.index == address.bus) {
            return controller.alias;
        }
    }
    return fail(ErrorCode::internal, "PCI address {} is on a bus that domain '{}' does not have",
                address.text(), domain.name);
}

Result<> set_address(Json& properties, const Domain& domain, const DeviceAddress& address) {
    if (const auto* pci = std::get_if<PciAddress>(&address)) {
        properties.set("bus", TRY(pci_bus_name(domain, *pci)));
        if (pci->multifunction) properties.set("multifunction", *pci->multifunction);
        properties.set("addr", pci->function ? fmt::format("{:#x}.{:#x}", pci->slot, pci->function)
                                             : fmt::format("{:#x}", pci->slot));
        return {};
    }
    if (const auto* usb = std::get_if<UsbAddress>(&address)) {
        for (const Controller& controller : domain.controllers) {
            if (controller.type != ControllerType::usb || controller.index != usb->bus) continue;
            properties.set("bus", controller.alias + ".0").set("port", usb->port);
            return {};
        }
    }
    return fail(ErrorCode::internal, "device '{}' of domain '{}' has no usable address",
                properties.text("id"), domain.name);
}

Result<CommandLine> build_command_line(const Domain& domain, const CommandLineOptions& options) {
    if (depends_on_host(*domain.cpu)) {
        return fail(ErrorCode::internal, "the CPU of domain '{}' is not decided", domain.name);
    }
    CommandLineBuilder builder(domain, options);
    builder.add(domain.emulator);
    builder.add("-name", fmt::format("guest={},debug-threads=on", escape_commas(domain.name)));
    builder.add("-S");
    add_machine(builder);
    builder.add("-uuid", domain.uuid.text());
    if (domain.graphics.empty()) builder.add("-display", "none");
    builder.add("-no-user-config");
    builder.add("-nodefaults");
    add_monitor(builder);
    TRY(add_clock(builder));
    add_power(builder);
    add_boot(builder);
    TRY(add_devices(builder));
    if (options.incoming) builder.add("-incoming", "defer");
    add_passthrough(builder);
    if (options.sandbox) {
        builder.add("-sandbox",
                    "on,obsolete=deny,elevateprivileges=deny,spawn=deny,"
                    "resourcecontrol=deny");
    }
    builder.add("-msg", "timestamp=on");
    return std::move(builder.line());
}

}  // namespace segue
