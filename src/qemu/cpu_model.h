// SPDX-License-Identifier: LGPL-2.1-or-later
// Processors in QEMU's words: the -cpu option, and what QMP says of models.
#pragma once

#include "base/json.h"
#include "domain/domain.h"
#include "domain/guest_cpu.h"

namespace segue {

// A model and properties, of a processor with nothing left to decide (domain/guest_cpu.h).
struct CpuModel {
    std::string name;                                      // "Nehalem"
    std::vector<std::pair<std::string, bool>> properties;  // {"lahf-lm", true}

    std::string option() const;  // -cpu's value
    Json json() const;           // CpuModelInfo of QMP
};
CpuModel cpu_model(const Domain& domain);

// Names of features, and of lists of them, as libvirt has them.
std::string libvirt_cpu_feature(std::string_view qemu);
CpuFeatures cpu_features(const Json& names);

// The reply to query-cpu-model-expansion of type "static": every feature that QEMU knows, on or
// off, and the rest of CPUID.
Result<GuestCpu> read_cpu_expansion(const Json& reply);

}  // namespace segue
