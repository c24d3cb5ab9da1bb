// SPDX-License-Identifier: LGPL-2.1-or-later
// <cpu>: model, features and topology; in a definition, and in a migration cookie.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "domain/xml_cursor.h"

namespace segue {

struct CpuTopology {
    std::uint32_t sockets = 1, dies = 1, cores = 1, threads = 1;
    friend bool operator==(const CpuTopology&, const CpuTopology&) = default;
};

struct CpuFeature {
    std::string policy;  // force, require, optional, disable, forbid
    std::string name;    // libvirt's: "lahf_lm"
    friend bool operator==(const CpuFeature&, const CpuFeature&) = default;
};

struct Cpu {
    std::string mode = "custom";  // custom, host-model, host-passthrough, maximum
    std::string match = "exact";
    std::string check;  // none, partial, full; empty: by the mode, until completed
    std::string model;  // empty: the machine's default until completed
    std::optional<std::string> fallback;
    std::optional<std::string> vendor;  // what libvirt notes of a host's model; its model says it
    std::optional<CpuTopology> topology;
    std::vector<CpuFeature> features;
    XmlElement unknown;
};

// A name of a model or feature, as it may become part of QEMU's -cpu option.
bool is_cpu_word(const std::string& word);

Result<Cpu> parse_cpu(XmlCursor& from);
XmlElement format_cpu(const Cpu& cpu);

}  // namespace segue
