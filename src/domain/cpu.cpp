// SPDX-License-Identifier: LGPL-2.1-or-later
#include "domain/cpu.h"

#include "domain/choice.h"

namespace segue {
namespace {

constexpr std::string_view kModes[] = {"custom", "host-model", "host-passthrough", "maximum"};
constexpr std::string_view kMatches[] = {"minimum", "exact", "strict"};
constexpr std::string_view kChecks[] = {"none", "partial", "full"};
constexpr std::string_view kPolicies[] = {"force", "require", "optional", "disable", "forbid"};
constexpr std::size_t kMaxFeatures = 1024;

Result<std::uint32_t> count(XmlCursor& from, std::string_view key) {
    const auto value = TRY(from.number(key, 1024)).value_or(1);
    if (value == 0)
        return fail(ErrorCode::xml_invalid, "CPU topology '{}' must be at least 1", key);
    return static_cast<std::uint32_t>(value);
}

Result<> parse_features(XmlCursor& from, Cpu& cpu) {
    while (XmlCursor* feature = from.child("feature")) {
        CpuFeature made{TRY(choice(*feature, "policy", kPolicies)).value_or("require"),
                        feature->attribute_or("name", "")};
        if (!is_cpu_word(made.name)) {
            return fail(ErrorCode::xml_invalid, "Invalid CPU feature name '{}'", made.name);
        }
        for (const CpuFeature& other : cpu.features) {
            if (other.name == made.name) {
                return fail(ErrorCode::xml_invalid, "CPU feature '{}' specified more than once",
                            made.name);
            }
        }
        if (cpu.features.size() >= kMaxFeatures) {
            return fail(ErrorCode::limit_exceeded, "more than {} CPU features", kMaxFeatures);
        }
        cpu.features.push_back(std::move(made));
    }
    return {};
}

}  // namespace

bool is_cpu_word(const std::string& word) {
    constexpr std::string_view kPlain =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    return !word.empty() && word.size() <= 64 &&
           word.find_first_not_of(kPlain) == std::string::npos;
}

Result<Cpu> parse_cpu(XmlCursor& from) {
    Cpu cpu;
    cpu.mode = TRY(choice(from, "mode", kModes)).value_or("custom");
    cpu.match = TRY(choice(from, "match", kMatches)).value_or("exact");
    cpu.check = TRY(choice(from, "check", kChecks)).value_or("");
    if (XmlCursor* model = from.child("model")) {
        cpu.model = model->text();
        cpu.fallback = model->attribute("fallback");
        if (!cpu.model.empty() && !is_cpu_word(cpu.model)) {
            return fail(ErrorCode::xml_invalid, "Invalid CPU model name '{}'", cpu.model);
        }
    }
    cpu.vendor = from.child_text("vendor");
    if (cpu.vendor && !is_cpu_word(*cpu.vendor)) {
        return fail(ErrorCode::xml_invalid, "Invalid CPU vendor '{}'", *cpu.vendor);
    }
    if (XmlCursor* topology = from.child("topology")) {
        cpu.topology =
            CpuTopology{TRY(count(*topology, "sockets")), TRY(count(*topology, "dies")),
                        TRY(count(*topology, "cores")), TRY(count(*topology, "threads"))};
    }
    TRY(parse_features(from, cpu));
    cpu.unknown = from.unknown();
    return cpu;
}

XmlElement format_cpu(const Cpu& cpu) {
    XmlElement out;
    out.name = "cpu";
    out.set("mode", cpu.mode);
    if (cpu.mode == "custom") out.set("match", cpu.match);
    if (!cpu.check.empty()) out.set("check", cpu.check);
    if (!cpu.model.empty()) {
        XmlElement& model = out.add("model");
        if (cpu.mode == "custom") model.set("fallback", cpu.fallback.value_or("allow"));
        model.text = cpu.model;
    }
    if (cpu.vendor) out.add_text("vendor", *cpu.vendor);
    if (cpu.topology) {
        XmlElement& topology = out.add("topology");
        topology.set("sockets", cpu.topology->sockets).set("dies", cpu.topology->dies);
        topology.set("cores", cpu.topology->cores).set("threads", cpu.topology->threads);
    }
    for (const CpuFeature& feature : cpu.features)
        out.add("feature").set("policy", feature.policy).set("name", feature.name);
    merge_unknown(out, cpu.unknown);
    return out;
}

}  // namespace segue
