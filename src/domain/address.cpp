// SPDX-License-Identifier: LGPL-2.1-or-later
#include "domain/address.h"

#include <algorithm>
#include <cctype>

namespace segue {
namespace {

constexpr std::uint64_t kMaxIndex = 255;

std::string hex(unsigned value, int digits) {
    return fmt::format("0x{:0{}x}", value, digits);
}

Result<std::uint32_t> index_of(XmlCursor& from, std::string_view key) {
    return static_cast<std::uint32_t>(TRY(from.number(key, kMaxIndex)).value_or(0));
}

Result<DeviceAddress> parse_pci(XmlCursor& from) {
    PciAddress address;
    address.domain = static_cast<std::uint16_t>(TRY(from.number("domain", 0xffff)).value_or(0));
    address.bus = static_cast<std::uint8_t>(TRY(from.number("bus", 0xff)).value_or(0));
    const auto slot = TRY(from.number("slot", 0x1f));
    address.slot = static_cast<std::uint8_t>(slot.value_or(0));
    address.function = static_cast<std::uint8_t>(TRY(from.number("function", 7)).value_or(0));
    address.multifunction = TRY(from.on_off("multifunction"));
    // <address type='pci'/> alone asks for a PCI address without naming one.
    if (!slot) return DeviceAddress();
    return DeviceAddress(address);
}

Result<DeviceAddress> parse_address(XmlCursor& from) {
    const std::string type = from.attribute_or("type", "");
    if (type == "pci") return parse_pci(from);
    if (type == "drive") {
        return DeviceAddress(DriveAddress{TRY(index_of(from, "controller")),
                                          TRY(index_of(from, "bus")), TRY(index_of(from, "target")),
                                          TRY(index_of(from, "unit"))});
    }
    if (type == "virtio-serial") {
        return DeviceAddress(VirtioSerialAddress{TRY(index_of(from, "controller")),
                                                 TRY(index_of(from, "bus")),
                                                 TRY(index_of(from, "port"))});
    }
    if (type == "ccid") {
        return DeviceAddress(
            CcidAddress{TRY(index_of(from, "controller")), TRY(index_of(from, "slot"))});
    }
    if (type == "usb") {
        UsbAddress address{TRY(index_of(from, "bus")), from.attribute_or("port", "")};
        if (address.port.empty()) return DeviceAddress();
        if (address.port.size() > 15 ||
            address.port.find_first_not_of("0123456789.") != std::string::npos) {
            return fail(ErrorCode::xml_invalid, "Cannot parse <address> 'port' attribute '{}'",
                        address.port);
        }
        return DeviceAddress(address);
    }
    return fail(ErrorCode::config_unsupported,
                "address type '{}' is not supported: use pci, drive, virtio-serial, usb or ccid",
                type);
}

XmlElement format_address(const DeviceAddress& address) {
    XmlElement out;
    out.name = "address";
    if (const auto* pci = std::get_if<PciAddress>(&address)) {
        out.set("type", "pci").set("domain", hex(pci->domain, 4)).set("bus", hex(pci->bus, 2));
        out.set("slot", hex(pci->slot, 2)).set("function", hex(pci->function, 1));
        if (pci->multifunction) out.set("multifunction", *pci->multifunction ? "on" : "off");
    } else if (const auto* drive = std::get_if<DriveAddress>(&address)) {
        out.set("type", "drive").set("controller", drive->controller).set("bus", drive->bus);
        out.set("target", drive->target).set("unit", drive->unit);
    } else if (const auto* serial = std::get_if<VirtioSerialAddress>(&address)) {
        out.set("type", "virtio-serial").set("controller", serial->controller);
        out.set("bus", serial->bus).set("port", serial->port);
    } else if (const auto* usb = std::get_if<UsbAddress>(&address)) {
        out.set("type", "usb").set("bus", usb->bus).set("port", usb->port);
    } else if (const auto* ccid = std::get_if<CcidAddress>(&address)) {
        out.set("type", "ccid").set("controller", ccid->controller).set("slot", ccid->slot);
    }
    return out;
}

}  // namespace

std::string PciAddress::text() const {
    return fmt::format("{:04x}:{:02x}:{:02x}.{}", domain, bus, slot, function);
}

Result<> parse_device(XmlCursor& from, Device& to) {
    if (XmlCursor* address = from.child("address")) to.address = TRY(parse_address(*address));
    if (XmlCursor* alias = from.child("alias")) {
        // Aliases are the daemon's to give, unless the user's own prefix says otherwise.
        const std::string name = alias->attribute_or("name", "");
        if (name.starts_with("ua-")) to.alias = name;
    }
    if (XmlCursor* boot = from.child("boot")) {
        const auto order = TRY(boot->number("order", 1000));
        if (!order || *order == 0) {
            return fail(ErrorCode::xml_invalid,
                        "Invalid value for attribute 'order' in element 'boot': at least 1");
        }
        to.boot_order = static_cast<std::uint32_t>(*order);
    }
    to.unknown = from.unknown();
    return {};
}

void format_device(const Device& device, XmlElement& to, const FormatOptions& options) {
    if (device.boot_order) to.add("boot").set("order", *device.boot_order);
    const bool own_alias = device.alias.starts_with("ua-");
    if (!device.alias.empty() && (own_alias || !(options.inactive || options.migratable))) {
        to.add("alias").set("name", device.alias);
    }
    if (device.has_address()) to.add(format_address(device.address));
    merge_unknown(to, device.unknown);
}

Result<std::string> parse_mac(std::string_view text) {
    std::string mac(text);
    std::transform(mac.begin(), mac.end(), mac.begin(), [](unsigned char character) {
        return static_cast<char>(std::tolower(character));
    });
    bool good = mac.size() == 17;
    for (std::size_t at = 0; good && at < mac.size(); ++at) {
        good = at % 3 == 2 ? mac[at] == ':' : std::isxdigit(static_cast<unsigned char>(mac[at]));
    }
    if (!good) return fail(ErrorCode::xml_invalid, "unable to parse mac address '{}'", text);
    if (std::string_view("13579bdf").find(mac[1]) != std::string_view::npos) {
        return fail(ErrorCode::xml_invalid, "expected unicast mac address, found multicast '{}'",
                    text);
    }
    return mac;
}

}  // namespace segue
