// SPDX-License-Identifier: LGPL-2.1-or-later
#include "qemu/cpu_model.h"

#include <algorithm>

namespace segue {
namespace {

// libvirt's name of a CPU feature where it is not QEMU's.
struct FeatureName {
    std::string_view libvirt, qemu;
};
constexpr FeatureName kFeatureNames[] = {
    {"cmp_legacy", "cmp-legacy"}, {"ds_cpl", "ds-cpl"},
    {"fxsr_opt", "fxsr-opt"},     {"kvm_pv_eoi", "kvm-pv-eoi"},
    {"lahf_lm", "lahf-lm"},       {"kvm_pv_unhalt", "kvm-pv-unhalt"},
    {"nodeid_msr", "nodeid-msr"}, {"pclmuldq", "pclmulqdq"},
    {"tsc_adjust", "tsc-adjust"}, {"perfctr_core", "perfctr-core"},
    {"perfctr_nb", "perfctr-nb"}};

std::string qemu_cpu_feature(const std::string& libvirt) {
    for (const FeatureName& pair : kFeatureNames) {
        if (pair.libvirt == libvirt) return std::string(pair.qemu);
    }
    return libvirt;
}

std::string value_text(const Json& value) {
    if (const auto text = value.as_text()) return std::string(*text);
    return value.dump();
}

}  // namespace

std::string libvirt_cpu_feature(std::string_view qemu) {
    for (const FeatureName& pair : kFeatureNames) {
        if (pair.qemu == qemu) return std::string(pair.libvirt);
    }
    return std::string(qemu);
}

CpuFeatures cpu_features(const Json& names) {
    CpuFeatures out;
    for (const Json& name : names.items()) {
        if (const auto text = name.as_text()) out.insert(libvirt_cpu_feature(*text));
    }
    return out;
}

CpuModel cpu_model(const Domain& domain) {
    const Cpu& cpu = *domain.cpu;
    CpuModel out;
    out.name = cpu.model;
    if (cpu.mode == "host-passthrough") {
        out.name = "host";
        out.properties.emplace_back("migratable", true);
    }
    if (cpu.mode == "maximum") out.name = "max";
    for (const CpuFeature& feature : cpu.features) {
        if (feature.policy == "optional") continue;
        const bool on = feature.policy == "require" || feature.policy == "force";
        out.properties.emplace_back(qemu_cpu_feature(feature.name), on);
    }
    for (const GuestTimer& timer : domain.clock.timers) {
        if (timer.name == "kvmclock" && timer.present) {
            out.properties.emplace_back("kvmclock", *timer.present);
        }
    }
    if (const auto pmu = domain.switched("pmu")) out.properties.emplace_back("pmu", *pmu);
    return out;
}

std::string CpuModel::option() const {
    std::string option = name;
    for (const auto& [property, on] : properties)
        option += fmt::format(",{}={}", property, on ? "on" : "off");
    return option;
}

Json CpuModel::json() const {
    Json model = Json::object({{"name", name}});
    Json set = Json::object();
    for (const auto& [property, on] : properties)
        set.set(property, on);
    model.set("props", std::move(set));
    return model;
}

Result<GuestCpu> read_cpu_expansion(const Json& reply) {
    const Json& properties = reply["model"]["props"];
    if (properties.members().empty()) {
        return fail(ErrorCode::operation_failed, "QEMU has expanded a CPU model to nothing");
    }
    GuestCpu cpu;
    std::vector<std::string> rest;
    for (const auto& [name, value] : properties.members()) {
        const auto flag = value.as_bool();
        if (!flag) rest.push_back(fmt::format("{}={}", name, value_text(value)));
        if (flag && *flag) cpu.features.insert(libvirt_cpu_feature(name));
    }
    std::sort(rest.begin(), rest.end());
    cpu.identity = fmt::format("{}", fmt::join(rest, " "));
    return cpu;
}

}  // namespace segue
