// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "qemu/probe.h"

namespace segue {

// What a client asks about; nothing means the default.
struct DomainCapabilitiesQuestion {
    std::optional<std::string> architecture;
    std::optional<std::string> machine;
    std::optional<std::string> virtualization;
};

// libvirt's <domainCapabilities> (formatdomaincaps.html): which values definitions may have here.
// Errors: invalid_argument for an architecture, machine or kind of virtualization that is not here.
Result<std::string> domain_capabilities_xml(const DomainCapabilitiesQuestion& question,
                                            const std::string& emulator_path,
                                            const EmulatorCapabilities& emulator,
                                            const HostCpu& cpu);

}  // namespace segue
