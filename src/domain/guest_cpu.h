// SPDX-License-Identifier: LGPL-2.1-or-later
// The processor that a guest really sees, beside the one that its definition asks for. Features go
// by libvirt's names ("lahf_lm").
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "domain/cpu.h"

namespace segue {

// VIR_ERR_CPU_INCOMPATIBLE: clients show its words, nothing within Segue reacts to it.
inline constexpr auto kCpuIncompatible = static_cast<ErrorCode>(91);

using CpuFeatures = std::set<std::string>;

struct GuestCpu {
    // What CPUID says beside features: "family=6 min-level=4 … vendor=GenuineIntel".
    std::string identity;
    CpuFeatures features;  // those that are on
    friend bool operator==(const GuestCpu&, const GuestCpu&) = default;
};

// What an emulator can offer a guest on this host.
struct HostCpu {
    struct Model {
        std::string name;
        bool usable = false;  // all of its features are offered
    };
    std::vector<Model> models;
    GuestCpu offered;  // everything at once
    // The named model that comes closest to everything, and has nothing that is not offered.
    std::string closest;
    GuestCpu closest_cpu;
};

// Whether the definition can be run only by who knows what the host offers: host-model, "at least
// this model", optional and forbidden features.
bool depends_on_host(const Cpu& cpu);
// The same processor with nothing left to decide: a named model, features that are on or off.
// Error kCpuIncompatible: something that is required is not offered, or a forbidden feature is.
Result<Cpu> decide_cpu(const Cpu& cpu, const HostCpu& host);

// What a live definition shows: `cpu` as it runs, each difference to its model spelled out
// (`model`: that model without the definition's features). Processors that name no model stay as
// they are.
Cpu shown_cpu(const Cpu& cpu, const GuestCpu& model, const GuestCpu& running);

// Features that QEMU was asked for and has left out, where the definition wants to know (check
// 'partial' and 'full').
Result<> check_nothing_missing(const Cpu& cpu, const CpuFeatures& missing);
// A guest that runs on `source` goes on on `target`: both are equal. Error operation_failed.
Result<> check_same_cpu(const GuestCpu& source, const GuestCpu& target);
// The same for a live definition that another libvirt has written: its model's features are that
// libvirt's to know, those that it spells out are compared.
Result<> check_as_spelled_out(const Cpu& source, const GuestCpu& target);

// Between daemons: <guest-cpu identity='…'>apic cmov …</guest-cpu>.
XmlElement format_guest_cpu(const GuestCpu& cpu);
Result<GuestCpu> parse_guest_cpu(std::string_view xml);

}  // namespace segue
