// SPDX-License-Identifier: LGPL-2.1-or-later
#include "domain/device/interface.h"

#include "domain/choice.h"

namespace segue {
namespace {

constexpr Choice<InterfaceType> kInterfaceTypes[] = {
    {"user", InterfaceType::user},        {"mcast", InterfaceType::multicast},
    {"client", InterfaceType::client},    {"server", InterfaceType::server},
    {"udp", InterfaceType::udp},          {"bridge", InterfaceType::bridge},
    {"ethernet", InterfaceType::ethernet}};

constexpr std::string_view kHostTypes[] = {"network",   "direct",   "hostdev",
                                           "vhostuser", "internal", "vdpa"};
constexpr std::size_t kMaxDeviceName = 15;  // IFNAMSIZ, without its NUL

constexpr std::string_view kInterfaceModels[] = {"virtio",
                                                 "virtio-transitional",
                                                 "virtio-non-transitional",
                                                 "e1000",
                                                 "e1000e",
                                                 "rtl8139",
                                                 "ne2k_pci",
                                                 "pcnet",
                                                 "i82550",
                                                 "i82557b",
                                                 "i82559er"};

Result<std::uint16_t> port_of(XmlCursor& from) {
    const auto port = TRY(from.number("port", 65535));
    if (!port || *port == 0) {
        return fail(ErrorCode::xml_invalid,
                    "No <{}> 'port' attribute specified with socket "
                    "interface",
                    from.name());
    }
    return static_cast<std::uint16_t>(*port);
}

// What goes on QEMU's command line as HOST:PORT: no separators of it.
Result<std::string> address_of(XmlCursor& from, bool required) {
    const std::string address = from.attribute_or("address", "");
    if (address.empty() && required) {
        return fail(ErrorCode::xml_invalid,
                    "No <source> 'address' attribute specified with socket interface");
    }
    if (address.find_first_of(",/ \t\n") != std::string::npos) {
        return fail(ErrorCode::xml_invalid, "'{}' is no address of a socket interface", address);
    }
    return address;
}

Result<std::string> device_name(XmlCursor& from, std::string_view key) {
    const std::string name = from.attribute_or(key, "");
    const bool good = name.size() <= kMaxDeviceName && name != "." && name != ".." &&
                      name.find_first_of("/: \t\n%") == std::string::npos;
    if (!good) {
        return fail(ErrorCode::xml_invalid,
                    "'{}' of element '{}' cannot be a network device's name: at most {} bytes", key,
                    from.name(), kMaxDeviceName);
    }
    return name;
}

// <source bridge=''>, <target dev='' managed=''>.
Result<> parse_tap(XmlCursor& from, Interface& interface) {
    if (interface.type == InterfaceType::bridge) {
        XmlCursor* source = from.child("source");
        if (source) interface.bridge = TRY(device_name(*source, "bridge"));
        if (interface.bridge.empty()) {
            return fail(ErrorCode::xml_invalid,
                        "No <source> 'bridge' attribute specified with <interface type='bridge'/>");
        }
    }
    if (XmlCursor* target = from.child("target")) {
        interface.device = TRY(device_name(*target, "dev"));
        interface.managed = TRY(target->yes_no("managed"));
    }
    if (interface.managed == false && interface.device.empty()) {
        return fail(ErrorCode::xml_invalid, "target dev must be supplied when managed='no'");
    }
    if (interface.managed && interface.type == InterfaceType::bridge) {
        return fail(ErrorCode::config_unsupported,
                    "target managed='{}' is only valid for <interface type='ethernet'/>",
                    *interface.managed ? "yes" : "no");
    }
    XmlCursor* script = from.child("script");
    if (script && !script->attribute_or("path", "").empty()) {
        return fail(ErrorCode::config_unsupported,
                    "<script> of an interface is not supported: make the tap device beforehand and "
                    "say managed='no'");
    }
    return {};
}

Result<> parse_source(XmlCursor& from, Interface& interface) {
    interface.source_address = TRY(address_of(from, interface.type != InterfaceType::server));
    interface.source_port = TRY(port_of(from));
    if (interface.type != InterfaceType::udp) return {};
    XmlCursor* local = from.child("local");
    if (!local) {
        return fail(ErrorCode::xml_invalid, "No <local> element specified with socket interface");
    }
    interface.local_address = TRY(address_of(*local, true));
    interface.local_port = TRY(port_of(*local));
    return {};
}

void format_target(const Interface& interface, XmlElement& out, const FormatOptions& options) {
    XmlElement target;
    target.name = "target";
    const bool stored = options.inactive || options.migratable;
    if (!interface.device.empty() && !(stored && interface.has_generated_name())) {
        target.set("dev", interface.device);
    }
    if (interface.managed) target.set("managed", *interface.managed ? "yes" : "no");
    if (!target.attributes.empty()) out.add(std::move(target));
}

}  // namespace

std::string_view name_of(InterfaceType type) {
    return name_in(kInterfaceTypes, type);
}

Result<Interface> parse_interface(XmlCursor& from) {
    Interface interface;
    const std::string type = from.attribute_or("type", "user");
    for (const std::string_view host_type : kHostTypes) {
        if (type == host_type) {
            return fail(ErrorCode::config_unsupported,
                        "interface type '{}' is not supported: use bridge, ethernet, user, mcast, "
                        "client, server or udp",
                        type);
        }
    }
    interface.type = TRY(choice(from, "type", kInterfaceTypes)).value_or(InterfaceType::user);
    if (XmlCursor* mac = from.child("mac")) {
        interface.mac = TRY(parse_mac(mac->attribute_or("address", "")));
    }
    if (interface.needs_tap()) TRY(parse_tap(from, interface));
    if (interface.is_socket()) {
        XmlCursor* source = from.child("source");
        if (!source) {
            return fail(ErrorCode::xml_invalid,
                        "No <source> element specified with socket interface");
        }
        TRY(parse_source(*source, interface));
    }
    if (XmlCursor* model = from.child("model")) {
        interface.model = TRY(choice(*model, "type", kInterfaceModels)).value_or("");
    }
    if (XmlCursor* link = from.child("link")) {
        const std::string state = link->attribute_or("state", "");
        if (state != "up" && state != "down") return bad_choice(*link, "state", state);
        interface.link_up = state == "up";
    }
    TRY(parse_device(from, interface));
    return interface;
}

XmlElement format_interface(const Interface& interface, const FormatOptions& options) {
    XmlElement out;
    out.name = "interface";
    out.set("type", name_of(interface.type));
    out.add("mac").set("address", interface.mac);
    if (interface.type == InterfaceType::bridge) {
        out.add("source").set("bridge", interface.bridge);
    }
    if (interface.needs_tap()) format_target(interface, out, options);
    if (interface.is_socket()) {
        XmlElement& source = out.add("source");
        if (!interface.source_address.empty()) source.set("address", interface.source_address);
        source.set("port", interface.source_port);
        if (interface.type == InterfaceType::udp) {
            source.add("local")
                .set("address", interface.local_address)
                .set("port", interface.local_port);
        }
    }
    out.add("model").set("type", interface.model);
    if (interface.link_up) out.add("link").set("state", *interface.link_up ? "up" : "down");
    format_device(interface, out, options);
    return out;
}

}  // namespace segue
