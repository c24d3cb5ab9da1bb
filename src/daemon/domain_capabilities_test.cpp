// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/domain_capabilities.h"

#include <gmock/gmock.h>

#include "domain/domain.h"
#include "domain/xml.h"

namespace segue {
namespace {

using ::testing::HasSubstr;

EmulatorCapabilities emulator() {
    EmulatorCapabilities out;
    out.machines.push_back({"pc-i440fx-7.2", "pc", 255});
    return out;
}

HostCpu host_cpu() {
    HostCpu out;
    out.models = {{"Nehalem", true}, {"EPYC", false}};
    out.offered = {"vendor=AuthenticAMD", {"sse", "ssse3", "aes", "hypervisor"}};
    out.closest = "Nehalem";
    out.closest_cpu = {"vendor=GenuineIntel", {"sse", "ssse3", "hypervisor"}};
    return out;
}

// What capabilities promise, the parser of definitions takes.
std::string definition_with(std::string_view kind, std::string_view value) {
    std::string device;
    if (kind == "diskDevice") {
        device = fmt::format(
            "<disk type='file' device='{}'><source file='/x'/>"
            "<target dev='{}' bus='{}'/></disk>",
            value, value == "floppy" ? "fda" : "hda", value == "floppy" ? "fdc" : "ide");
    } else if (kind == "bus") {
        device =
            fmt::format("<disk type='file'><source file='/x'/><target dev='{}' bus='{}'/></disk>",
                        value == "ide"      ? "hda"
                        : value == "fdc"    ? "fda"
                        : value == "virtio" ? "vda"
                                            : "sda",
                        value);
        if (value == "fdc") device.replace(0, 5, "<disk device='floppy'");
    } else if (kind == "modelType") {
        device = fmt::format("<video><model type='{}'/></video>", value);
    }
    return fmt::format(
        "<domain type='qemu'><name>d</name><memory>65536</memory><os><type>hvm</type>"
        "</os><devices>{}</devices></domain>",
        device);
}

TEST(DomainCapabilities, PromiseOnlyWhatDefinitionsMayHave) {
    const auto xml = domain_capabilities_xml({}, "/usr/bin/q&a", emulator(), host_cpu());
    ASSERT_TRUE(xml);
    EXPECT_THAT(*xml, HasSubstr("<path>/usr/bin/q&amp;a</path>"));
    EXPECT_THAT(*xml, HasSubstr("<machine>pc-i440fx-7.2</machine>"));
    EXPECT_THAT(*xml, HasSubstr("<vcpu max='255'/>"));
    const auto root = parse_xml(*xml, "capabilities");
    ASSERT_TRUE(root) << root.error().message;
    int tried = 0;
    for (const XmlElement& devices : root->children) {
        if (devices.name != "devices") continue;
        for (const XmlElement& device : devices.children) {
            for (const XmlElement& enumeration : device.children) {
                const std::string* name = enumeration.attribute("name");
                const std::string kind = name == nullptr ? "" : *name;
                const bool known = kind == "diskDevice" || kind == "modelType" ||
                                   (kind == "bus" && device.name == "disk");
                if (!known) continue;
                for (const XmlElement& value : enumeration.children) {
                    const auto parsed = parse_domain(definition_with(kind, value.text));
                    EXPECT_TRUE(parsed) << kind << " " << value.text << ": "
                                        << (parsed ? "" : parsed.error().message);
                    ++tried;
                }
            }
        }
    }
    EXPECT_GE(tried, 12);
}

TEST(DomainCapabilities, ShowWhatAHostModelBecomes) {
    const auto xml = domain_capabilities_xml({}, "/q", emulator(), host_cpu());
    ASSERT_TRUE(xml);
    EXPECT_THAT(*xml, HasSubstr(R"(    <mode name='host-passthrough' supported='no'/>
    <mode name='maximum' supported='yes'/>
    <mode name='host-model' supported='yes'>
      <model fallback='forbid'>Nehalem</model>
      <feature policy='require' name='aes'/>
    </mode>
    <mode name='custom' supported='yes'>
      <model usable='yes'>Nehalem</model>
      <model usable='no'>EPYC</model>
    </mode>
)"));
}

TEST(DomainCapabilities, RefuseWhatIsNotHere) {
    EXPECT_THAT(
        domain_capabilities_xml({"aarch64", {}, {}}, "/q", emulator(), host_cpu()).error().message,
        HasSubstr("aarch64"));
    EXPECT_THAT(
        domain_capabilities_xml({{}, "virt", {}}, "/q", emulator(), host_cpu()).error().message,
        HasSubstr("virt"));
    EXPECT_THAT(
        domain_capabilities_xml({{}, {}, "kvm"}, "/q", emulator(), host_cpu()).error().message,
        HasSubstr("kvm"));
    EXPECT_TRUE(domain_capabilities_xml({"x86_64", "pc", "qemu"}, "/q", emulator(), host_cpu()));
}

}  // namespace
}  // namespace segue
