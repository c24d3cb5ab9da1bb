// SPDX-License-Identifier: LGPL-2.1-or-later
#include "qemu/command_line/builder.h"

namespace segue {
namespace {

// "[::1]:5000": an IPv6 address in brackets.
std::string host_port(const std::string& address, std::uint16_t port) {
    const bool v6 = address.find(':') != std::string::npos;
    return v6 ? fmt::format("[{}]:{}", address, port) : fmt::format("{}:{}", address, port);
}

std::string_view backend_type(const Interface& interface) {
    if (interface.needs_tap()) return "tap";
    return interface.type == InterfaceType::user ? "user" : "socket";
}

Json backend_of(CommandLineBuilder& builder, const Interface& interface, std::string id) {
    Json backend = Json::object();
    backend.set("type", backend_type(interface));
    const std::string peer = host_port(interface.source_address, interface.source_port);
    switch (interface.type) {
        case InterfaceType::user: break;
        case InterfaceType::bridge:
        case InterfaceType::ethernet: {
            const int number = builder.inherit(InheritedFile::Kind::opened, interface.alias);
            backend.set("fd", std::to_string(number));
            break;
        }
        case InterfaceType::multicast: backend.set("mcast", peer); break;
        case InterfaceType::client: backend.set("connect", peer); break;
        case InterfaceType::server: backend.set("listen", peer); break;
        case InterfaceType::udp:
            backend.set("udp", peer);
            backend.set("localaddr", host_port(interface.local_address, interface.local_port));
            break;
    }
    backend.set("id", std::move(id));
    return backend;
}

std::string driver_of(const std::string& model) {
    constexpr std::string_view kVirtio = "virtio";
    if (model.starts_with(kVirtio)) return "virtio-net-pci" + model.substr(kVirtio.size());
    return model;
}

std::uint32_t network_boot_place(const OperatingSystem& os) {
    for (std::size_t index = 0; index < os.boot.size(); ++index) {
        if (os.boot[index] == "network") return static_cast<std::uint32_t>(index + 1);
    }
    return 0;
}

}  // namespace

Result<> add_interfaces(CommandLineBuilder& builder) {
    const Domain& domain = builder.domain();
    std::uint32_t boot_place = network_boot_place(domain.os);
    for (std::size_t index = 0; index < domain.interfaces.size(); ++index) {
        const Interface& interface = domain.interfaces[index];
        const std::string backend = fmt::format("host{}", interface.alias);
        builder.add_json("-netdev", backend_of(builder, interface, backend));
        Json device = Json::object();
        device.set("driver", driver_of(interface.model)).set("netdev", backend);
        device.set("id", interface.alias).set("mac", interface.mac);
        const std::uint32_t place = interface.boot_order.value_or(std::exchange(boot_place, 0));
        if (place) device.set("bootindex", place);
        TRY(set_address(device, domain, interface.address));
        builder.add_device(device);
        if (interface.link_up == false) {
            builder.after_start(
                {.name = "set_link",
                 .arguments = Json::object({{"name", interface.alias}, {"up", false}})});
        }
    }
    return {};
}

}  // namespace segue
