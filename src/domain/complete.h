// SPDX-License-Identifier: LGPL-2.1-or-later
// What libvirt adds to a definition when it is defined: so that the machine which a guest was
// installed on is the machine it gets on every host and on every start.
#pragma once

#include <functional>

#include "base/random.h"
#include "domain/domain.h"

namespace segue {

struct CompletionContext {
    // The versioned name of a machine type of the emulator ("pc" is "pc-i440fx-7.2"); nothing for a
    // type that it does not have.
    std::function<std::optional<std::string>(std::string_view machine)> machine;
    std::string default_emulator = "/usr/bin/qemu-system-x86_64";
    Random& random;  // for a uuid and MAC addresses that the definition leaves open
};

// The machine types of QEMU 7.2, for callers without an emulator at hand (tests, tools).
std::optional<std::string> qemu_7_2_machine(std::string_view machine);

// Adds, in this order: uuid, emulator, machine version, boot order, CPU model, implicit devices and
// controllers, back ends' defaults, addresses. A definition that is complete comes out unchanged.
Result<> complete_domain(Domain& domain, const CompletionContext& context);

// Adds the controller if there is none of this type and index.
void need_controller(Domain& domain, ControllerType type, std::uint32_t index,
                     std::string_view model = {});

// The parts that complete_domain calls for addresses (assign_pci.cpp, assign_usb.cpp).
Result<> assign_drive_addresses(Domain& domain);
Result<> assign_virtio_serial_addresses(Domain& domain);
Result<> assign_pci_addresses(Domain& domain);
Result<> assign_usb_addresses(Domain& domain);

}  // namespace segue
