// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>
#include <charconv>

#include "domain/choice.h"
#include "domain/domain.h"

namespace segue {
namespace {

constexpr std::size_t kMaxDevices = 512;  // of one class
constexpr std::size_t kMaxNameBytes = 255;
constexpr std::uint64_t kMaxMemoryKib = 1ULL << 34;  // 16 TiB
constexpr std::uint64_t kMaxVcpus = 255;             // pc-i440fx
constexpr std::size_t kMaxPassthrough = 256;

constexpr Choice<DomainType> kTypes[] = {{"qemu", DomainType::qemu}, {"kvm", DomainType::kvm}};
constexpr std::string_view kPlainFeatures[] = {"acpi", "apic", "pae", "hap", "viridian", "privnet"};
constexpr std::string_view kActions[] = {"destroy", "restart", "preserve", "rename-restart"};
constexpr std::string_view kCrashActions[] = {
    "destroy", "restart", "preserve", "rename-restart", "coredump-destroy", "coredump-restart"};

struct Unit {
    std::string_view name;
    std::uint64_t bytes;
};
constexpr Unit kUnits[] = {{"b", 1},          {"bytes", 1},       {"KB", 1000},
                           {"k", 1024},       {"KiB", 1024},      {"MB", 1'000'000},
                           {"M", 1U << 20},   {"MiB", 1U << 20},  {"GB", 1'000'000'000},
                           {"G", 1U << 30},   {"GiB", 1U << 30},  {"TB", 1'000'000'000'000},
                           {"T", 1ULL << 40}, {"TiB", 1ULL << 40}};

// KiB, rounded up.
Result<std::uint64_t> parse_memory(XmlCursor& from) {
    const std::string unit = from.attribute_or("unit", "KiB");
    const auto known = std::find_if(std::begin(kUnits), std::end(kUnits),
                                    [&](const Unit& candidate) { return candidate.name == unit; });
    if (known == std::end(kUnits)) return bad_choice(from, "unit", unit);
    const std::string& text = from.text();
    std::uint64_t count = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), count);
    if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) {
        return fail(ErrorCode::xml_invalid, "could not parse element {}: '{}'", from.name(), text);
    }
    if (count > kMaxMemoryKib * 1024 / known->bytes) {
        return fail(ErrorCode::overflow, "{} of '{} {}' is too large: at most {} KiB", from.name(),
                    text, unit, kMaxMemoryKib);
    }
    return (count * known->bytes + 1023) / 1024;
}

Result<> check_name(const std::string& name) {
    if (name.empty()) return fail(ErrorCode::no_name, "missing name information");
    const bool bad = name.find_first_of("/\n") != std::string::npos || name[0] == '.' ||
                     name.size() > kMaxNameBytes;
    const bool control = std::any_of(name.begin(), name.end(),
                                     [](unsigned char character) { return character < 0x20; });
    if (bad || control) {
        return fail(ErrorCode::xml_invalid,
                    "domain name '{}' cannot be used: no '/', no leading '.', no control "
                    "characters, at most {} bytes",
                    name, kMaxNameBytes);
    }
    return {};
}

Result<> parse_identity(XmlCursor& from, Domain& domain) {
    const auto type = TRY(choice(from, "type", kTypes));
    if (!type) return fail(ErrorCode::xml_invalid, "missing domain type attribute");
    domain.type = *type;
    from.ignore_attribute("id");
    from.ignore_attribute("xmlns:qemu");
    domain.name = from.child_text("name").value_or("");
    TRY(check_name(domain.name));
    if (const auto uuid = from.child_text("uuid")) {
        const auto parsed = Uuid::parse(*uuid);
        if (!parsed) return fail(ErrorCode::internal, "malformed uuid element");
        domain.uuid = *parsed;
    }
    domain.title = from.child_text("title");
    domain.description = from.child_text("description");
    if (XmlCursor* metadata = from.child("metadata")) {
        domain.metadata = metadata->element();
        metadata->take_all();
    }
    return {};
}

Result<> parse_resources(XmlCursor& from, Domain& domain) {
    XmlCursor* memory = from.child("memory");
    if (!memory) return fail(ErrorCode::xml_invalid, "missing element <memory>");
    domain.memory_kib = TRY(parse_memory(*memory));
    if (domain.memory_kib == 0) {
        return fail(ErrorCode::xml_invalid, "Memory size must be specified via <memory>");
    }
    domain.current_memory_kib = domain.memory_kib;
    if (XmlCursor* current = from.child("currentMemory")) {
        domain.current_memory_kib = std::min(TRY(parse_memory(*current)), domain.memory_kib);
        if (domain.current_memory_kib == 0) domain.current_memory_kib = domain.memory_kib;
    }
    XmlCursor* vcpu = from.child("vcpu");
    if (!vcpu) return {};
    const std::string& text = vcpu->text();
    std::uint32_t count = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), count);
    if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size() || count == 0 ||
        count > kMaxVcpus) {
        return fail(ErrorCode::xml_invalid,
                    "maximum vcpus must be an integer from 1 to {}, not '{}'", kMaxVcpus, text);
    }
    domain.vcpus = count;
    const std::uint64_t current = TRY(vcpu->number("current", kMaxVcpus)).value_or(count);
    if (current == 0 || current > count) {
        return fail(ErrorCode::xml_invalid,
                    "maxvcpus must not be less than current vcpus ({} < {})", count, current);
    }
    domain.current_vcpus = static_cast<std::uint32_t>(current);
    const std::string placement = vcpu->attribute_or("placement", "static");
    if (placement != "static") return bad_choice(*vcpu, "placement", placement);
    return {};
}

Result<> parse_features(XmlCursor& from, Domain& domain) {
    XmlCursor* features = from.child("features");
    if (!features) return {};
    for (const std::string_view feature : kPlainFeatures) {
        if (features->has_child(feature)) domain.features.emplace_back(feature);
    }
    for (const std::string_view feature : kSwitches) {
        XmlCursor* found = features->child(feature);
        if (!found) continue;
        const bool on = TRY(found->on_off("state")).value_or(true);
        domain.switches.emplace_back(feature, on);
        const XmlElement rest = found->unknown();
        if (rest.children.empty()) continue;
        return fail(ErrorCode::config_unsupported, "<{}> of feature '{}' is not supported",
                    rest.children.front().name, feature);
    }
    const XmlElement rest = features->unknown();
    if (!rest.children.empty()) {
        const std::string& name = rest.children.front().name;
        return fail(ErrorCode::config_unsupported,
                    "feature '{}' is not supported: it would change what the guest sees", name);
    }
    return {};
}

Result<> parse_policies(XmlCursor& from, Domain& domain) {
    const auto action = [&](std::string_view element, std::string& to,
                            std::span<const std::string_view> words) -> Result<> {
        const auto text = from.child_text(element);
        if (!text) return {};
        if (std::find(words.begin(), words.end(), *text) == words.end()) {
            return fail(ErrorCode::config_unsupported, "unknown {} action: {}", element, *text);
        }
        to = *text;
        return {};
    };
    TRY(action("on_poweroff", domain.on_poweroff, kActions));
    TRY(action("on_reboot", domain.on_reboot, kActions));
    TRY(action("on_crash", domain.on_crash, kCrashActions));
    if (XmlCursor* power = from.child("pm")) {
        if (XmlCursor* mem = power->child("suspend-to-mem")) {
            domain.suspend_to_mem = TRY(mem->yes_no("enabled"));
        }
        if (XmlCursor* disk = power->child("suspend-to-disk")) {
            domain.suspend_to_disk = TRY(disk->yes_no("enabled"));
        }
    }
    return {};
}

template <class T>
Result<> parse_all(XmlCursor& from, std::string_view element, Result<T> (*parse)(XmlCursor&),
                   std::vector<T>& to) {
    while (XmlCursor* found = from.child(element)) {
        if (to.size() >= kMaxDevices) {
            return fail(ErrorCode::limit_exceeded, "more than {} <{}> devices", kMaxDevices,
                        element);
        }
        to.push_back(TRY(parse(*found)));
        found->take_all();
    }
    return {};
}

Result<> parse_devices(XmlCursor& from, Domain& domain) {
    domain.emulator = from.child_text("emulator").value_or("");
    TRY(parse_all(from, "disk", parse_disk, domain.disks));
    domain.disks = in_order(std::move(domain.disks));
    TRY(parse_all(from, "controller", parse_controller, domain.controllers));
    TRY(assign_indexes(domain.controllers));
    TRY(parse_all(from, "interface", parse_interface, domain.interfaces));
    TRY(parse_all(from, "smartcard", parse_smartcard, domain.smartcards));
    TRY(parse_all(from, "serial", parse_serial, domain.serials));
    TRY(parse_all(from, "console", parse_console, domain.consoles));
    for (std::size_t index = 0; index < domain.consoles.size(); ++index)
        domain.consoles[index].port = static_cast<std::uint32_t>(index);
    TRY(parse_all(from, "channel", parse_channel, domain.channels));
    TRY(parse_all(from, "input", parse_input, domain.inputs));
    TRY(parse_all(from, "graphics", parse_graphics, domain.graphics));
    TRY(parse_all(from, "sound", parse_sound, domain.sounds));
    TRY(parse_all(from, "audio", parse_audio, domain.audios));
    TRY(parse_all(from, "video", parse_video, domain.videos));
    TRY(parse_all(from, "redirdev", parse_redirdev, domain.redirected));
    TRY(parse_all(from, "hub", parse_hub, domain.hubs));
    TRY(parse_all(from, "rng", parse_rng, domain.rngs));
    if (XmlCursor* balloon = from.child("memballoon")) {
        domain.balloon = TRY(parse_balloon(*balloon));
        balloon->take_all();
    }
    // A device that we cannot give the guest is refused: without it the guest is another machine.
    const XmlElement rest = from.unknown();
    if (!rest.children.empty()) {
        return fail(ErrorCode::config_unsupported, "device <{}> is not supported{}",
                    rest.children.front().name,
                    rest.children.front().name == "memballoon" ? " more than once" : "");
    }
    return {};
}

// Many of one name stand beside each other: what is kept of one could not be told whose it is.
Result<> check_known(XmlCursor& from) {
    const std::string rest = describe_unknown(from.unknown());
    if (rest.empty()) return {};
    return fail(ErrorCode::xml_invalid, "{} is not known", rest);
}

Result<> parse_passthrough_of(XmlCursor& commandline, Passthrough& passthrough) {
    while (XmlCursor* argument = commandline.child("qemu:arg")) {
        const auto value = argument->attribute("value");
        if (!value) return fail(ErrorCode::xml_invalid, "No qemu command-line argument specified");
        passthrough.arguments.push_back(*value);
        TRY(check_known(*argument));
    }
    while (XmlCursor* variable = commandline.child("qemu:env")) {
        const std::string name = variable->attribute_or("name", "");
        constexpr std::string_view kNameCharacters =
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_";
        if (name.empty() || name.find_first_not_of(kNameCharacters) != std::string::npos) {
            return fail(ErrorCode::xml_invalid, "Invalid environment name '{}'", name);
        }
        passthrough.environment.emplace_back(name, variable->attribute_or("value", ""));
        TRY(check_known(*variable));
    }
    return {};
}

// However many there are, they are one list, as libvirt reads them.
Result<> parse_passthrough(XmlCursor& from, Domain& domain) {
    while (XmlCursor* commandline = from.child("qemu:commandline")) {
        TRY(parse_passthrough_of(*commandline, domain.passthrough));
    }
    if (domain.passthrough.arguments.size() + domain.passthrough.environment.size() >
        kMaxPassthrough) {
        return fail(ErrorCode::limit_exceeded, "<qemu:commandline> with more than {} entries",
                    kMaxPassthrough);
    }
    return {};
}

// What libvirt writes into the definition of every running domain: its default partition, and the
// labels that it chose itself. Any other is somebody's wish, and is kept and reported.
void ignore_placement(XmlCursor& from) {
    const XmlElement* resource = from.element().child("resource");
    if (resource && resource->children.size() == 1 &&
        resource->child_text("partition") == "/machine") {
        from.ignore("resource");
    }
    const auto& children = from.element().children;
    const bool chosen = std::all_of(children.begin(), children.end(), [](const XmlElement& one) {
        const std::string* type = one.attribute("type");
        return one.name != "seclabel" || (type && *type == "dynamic");
    });
    if (chosen) from.ignore("seclabel");
}

template <class T>
void report(const std::vector<T>& parts, std::vector<std::string>& to) {
    for (const T& part : parts) {
        std::string text = describe_unknown(part.unknown);
        if (!text.empty()) to.push_back(std::move(text));
    }
}

void report_unused(Domain& domain) {
    std::string text = describe_unknown(domain.unknown);
    if (!text.empty()) domain.unused.push_back(std::move(text));
    report(domain.disks, domain.unused);
    report(domain.controllers, domain.unused);
    report(domain.interfaces, domain.unused);
    report(domain.smartcards, domain.unused);
    report(domain.serials, domain.unused);
    report(domain.consoles, domain.unused);
    report(domain.channels, domain.unused);
    report(domain.inputs, domain.unused);
    report(domain.graphics, domain.unused);
    report(domain.sounds, domain.unused);
    report(domain.audios, domain.unused);
    report(domain.videos, domain.unused);
    report(domain.redirected, domain.unused);
    report(domain.hubs, domain.unused);
    report(domain.rngs, domain.unused);
    report(domain.clock.timers, domain.unused);
    report(std::vector<OperatingSystem>{domain.os}, domain.unused);
    if (domain.cpu) report(std::vector<Cpu>{*domain.cpu}, domain.unused);
    if (domain.balloon) report(std::vector<Balloon>{*domain.balloon}, domain.unused);
}

}  // namespace

bool Domain::has_feature(std::string_view feature) const {
    return std::find(features.begin(), features.end(), feature) != features.end();
}

std::optional<bool> Domain::switched(std::string_view feature) const {
    for (const auto& [name_of_switch, on] : switches) {
        if (name_of_switch == feature) return on;
    }
    return std::nullopt;
}

Result<Domain> parse_domain(std::string_view text) {
    return parse_domain(TRY(parse_xml(text, "domain definition")));
}

Result<Domain> parse_printed_domain(std::string_view text) {
    return parse_domain(TRY(parse_xml(text, "stored domain definition", kPrintedXml)));
}

Result<Domain> parse_domain(const XmlElement& root) {
    if (root.name != "domain") {
        return fail(ErrorCode::xml_invalid, "unexpected root element <{}>, expecting <domain>",
                    root.name);
    }
    Domain domain;
    XmlCursor from(root);
    TRY(parse_identity(from, domain));
    TRY(parse_resources(from, domain));
    XmlCursor* os = from.child("os");
    if (!os) return fail(ErrorCode::xml_invalid, "an os <type> must be specified");
    domain.os = TRY(parse_os(*os));
    os->take_all();
    TRY(parse_features(from, domain));
    if (XmlCursor* cpu = from.child("cpu")) {
        domain.cpu = TRY(parse_cpu(*cpu));
        cpu->take_all();
    }
    if (XmlCursor* clock = from.child("clock")) {
        domain.clock = TRY(parse_clock(*clock));
        clock->take_all();
    }
    TRY(parse_policies(from, domain));
    if (XmlCursor* devices = from.child("devices")) {
        TRY(parse_devices(*devices, domain));
        devices->take_all();
    }
    TRY(parse_passthrough(from, domain));
    ignore_placement(from);
    domain.unknown = from.unknown();
    report_unused(domain);
    return domain;
}

Result<> check_relied_upon(const Domain& domain) {
    const auto refuse = [](const std::string& what) {
        return fail(ErrorCode::config_unsupported,
                    "{} is not supported, and its owner relies on it: take it out", what);
    };
    if (domain.unknown.child("launchSecurity")) return refuse("<launchSecurity>");
    for (const Disk& disk : domain.disks) {
        const XmlElement* source = disk.unknown.child("source");
        if (disk.unknown.child("encryption") || (source && source->child("encryption"))) {
            return refuse(fmt::format("<encryption> of disk '{}'", disk.target));
        }
        if (disk.unknown.child("transient")) {
            return refuse(fmt::format("<transient> of disk '{}'", disk.target));
        }
    }
    return {};
}

}  // namespace segue
