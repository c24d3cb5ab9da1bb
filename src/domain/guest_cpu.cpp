// SPDX-License-Identifier: LGPL-2.1-or-later
#include "domain/guest_cpu.h"

#include <algorithm>

namespace segue {
namespace {

constexpr std::size_t kMostFeatures = 1024;
constexpr std::size_t kMostIdentity = 512;  // bytes
// No model has it, and every guest sees it.
constexpr std::string_view kHypervisor = "hypervisor";

std::string listed(const CpuFeatures& features) {
    return fmt::format("{}", fmt::join(features, ", "));
}

CpuFeatures without(const CpuFeatures& some, const CpuFeatures& others) {
    CpuFeatures out;
    std::set_difference(some.begin(), some.end(), others.begin(), others.end(),
                        std::inserter(out, out.end()));
    return out;
}

bool is_required(const CpuFeature& feature) {
    return feature.policy == "require" || feature.policy == "force";
}

void set_feature(Cpu& cpu, const std::string& name, std::string_view policy) {
    for (CpuFeature& feature : cpu.features) {
        if (feature.name != name) continue;
        feature.policy = policy;
        return;
    }
    cpu.features.push_back({std::string(policy), name});
}

// "At least this model": what the host has, as long as that covers it.
Result<> check_model_is_offered(const std::string& model, const HostCpu& host) {
    for (const HostCpu::Model& known : host.models) {
        if (known.name == model && known.usable) return {};
    }
    return fail(kCpuIncompatible, "the emulator does not offer all of CPU model '{}'", model);
}

// Everything that the host offers, in the words of the closest model.
Cpu model_of_host(const Cpu& asked, const HostCpu& host) {
    Cpu out = asked;
    out.mode = "custom";
    out.match = "exact";
    out.model = host.closest;
    out.fallback = "forbid";
    out.vendor.reset();
    out.features.clear();
    for (const std::string& name : without(host.offered.features, host.closest_cpu.features))
        set_feature(out, name, "require");
    for (const std::string& name : without(host.closest_cpu.features, host.offered.features))
        set_feature(out, name, "disable");
    for (const CpuFeature& feature : asked.features)
        set_feature(out, feature.name, feature.policy);
    return out;
}

Result<> fail_comparison(const CpuFeatures& extra, const CpuFeatures& missing) {
    std::vector<std::string> what;
    if (!extra.empty()) what.push_back("extra features: " + listed(extra));
    if (!missing.empty()) what.push_back("missing features: " + listed(missing));
    return fail(ErrorCode::operation_failed, "guest CPU doesn't match specification: {}",
                fmt::join(what, ", "));
}

}  // namespace

bool depends_on_host(const Cpu& cpu) {
    if (cpu.mode == "host-model") return true;
    if (cpu.mode == "custom" && cpu.match == "minimum") return true;
    return std::any_of(cpu.features.begin(), cpu.features.end(), [](const CpuFeature& feature) {
        return feature.policy == "optional" || feature.policy == "forbid";
    });
}

Result<Cpu> decide_cpu(const Cpu& cpu, const HostCpu& host) {
    Cpu out = cpu;
    const bool minimum = cpu.mode == "custom" && cpu.match == "minimum";
    if (minimum) TRY(check_model_is_offered(cpu.model, host));
    if (minimum || cpu.mode == "host-model") out = model_of_host(cpu, host);
    CpuFeatures forbidden;
    for (CpuFeature& feature : out.features) {
        const bool offered = host.offered.features.contains(feature.name);
        if (feature.policy == "forbid" && offered) forbidden.insert(feature.name);
        if (feature.policy == "optional") feature.policy = offered ? "require" : "disable";
        if (feature.policy == "forbid") feature.policy = "disable";
    }
    if (forbidden.empty()) return out;
    return fail(kCpuIncompatible, "Host CPU provides forbidden features: {}", listed(forbidden));
}

Cpu shown_cpu(const Cpu& cpu, const GuestCpu& model, const GuestCpu& running) {
    if (cpu.mode != "custom") return cpu;
    Cpu out = cpu;
    out.match = "exact";
    out.check = "full";
    out.fallback = "forbid";
    for (CpuFeature& feature : out.features)
        feature.policy = running.features.contains(feature.name) ? "require" : "disable";
    CpuFeatures spelled;
    for (const CpuFeature& feature : out.features)
        spelled.insert(feature.name);
    CpuFeatures on = without(running.features, model.features);
    if (running.features.contains(std::string(kHypervisor))) on.emplace(kHypervisor);
    for (const std::string& name : without(on, spelled))
        out.features.push_back({"require", name});
    for (const std::string& name : without(without(model.features, running.features), spelled))
        out.features.push_back({"disable", name});
    return out;
}

Result<> check_nothing_missing(const Cpu& cpu, const CpuFeatures& missing) {
    if (missing.empty()) return {};
    if (cpu.check == "partial") {
        return fail(kCpuIncompatible, "Host CPU does not provide required features: {}",
                    listed(missing));
    }
    if (cpu.check == "full") return fail_comparison({}, missing);
    return {};
}

Result<> check_same_cpu(const GuestCpu& source, const GuestCpu& target) {
    const CpuFeatures extra = without(target.features, source.features);
    const CpuFeatures missing = without(source.features, target.features);
    if (!extra.empty() || !missing.empty()) return fail_comparison(extra, missing);
    if (source.identity == target.identity) return {};
    return fail(ErrorCode::operation_failed,
                "guest CPU doesn't match specification: on the source it is '{}', here it would be "
                "'{}'",
                source.identity, target.identity);
}

Result<> check_as_spelled_out(const Cpu& source, const GuestCpu& target) {
    CpuFeatures extra, missing;
    for (const CpuFeature& feature : source.features) {
        const bool on = target.features.contains(feature.name);
        if (is_required(feature) && !on) missing.insert(feature.name);
        if (feature.policy == "disable" && on) extra.insert(feature.name);
    }
    if (extra.empty() && missing.empty()) return {};
    return fail_comparison(extra, missing);
}

XmlElement format_guest_cpu(const GuestCpu& cpu) {
    XmlElement out;
    out.name = "guest-cpu";
    out.set("identity", cpu.identity);
    out.text = fmt::format("{}", fmt::join(cpu.features, " "));
    return out;
}

Result<GuestCpu> parse_guest_cpu(std::string_view xml) {
    const XmlElement root = TRY(parse_xml(xml, "guest CPU"));
    const std::string* identity = root.attribute("identity");
    if (root.name != "guest-cpu" || identity == nullptr || identity->size() > kMostIdentity) {
        return fail(ErrorCode::xml_invalid,
                    "malformed <guest-cpu>: it needs an identity of at "
                    "most {} bytes",
                    kMostIdentity);
    }
    GuestCpu cpu{*identity, {}};
    std::string_view rest = root.text;
    while (!rest.empty()) {
        const std::size_t end = std::min(rest.find_first_of(" \n\t"), rest.size());
        const std::string name(rest.substr(0, end));
        rest.remove_prefix(std::min(end + 1, rest.size()));
        if (name.empty()) continue;
        if (!is_cpu_word(name)) {
            return fail(ErrorCode::xml_invalid, "Invalid CPU feature name '{}'",
                        name.substr(0, 64));
        }
        cpu.features.insert(name);
        if (cpu.features.size() > kMostFeatures) {
            return fail(ErrorCode::limit_exceeded, "more than {} CPU features", kMostFeatures);
        }
    }
    return cpu;
}

}  // namespace segue
