// SPDX-License-Identifier: LGPL-2.1-or-later
#include "domain/guest_cpu.h"

#include <gmock/gmock.h>

namespace segue {
namespace {

using ::testing::HasSubstr;

Cpu cpu_of(const std::string& text) {
    const XmlElement root = parse_xml(text, "cpu").value();
    XmlCursor cursor(root);
    return parse_cpu(cursor).value();
}

std::string text_of(const Cpu& cpu) {
    return print_xml(format_cpu(cpu));
}

HostCpu host() {
    HostCpu out;
    out.models = {{"Nehalem", true}, {"EPYC", false}};
    out.offered = {"vendor=AMD", {"aes", "hypervisor", "sse", "ssse3"}};
    out.closest = "Nehalem";
    out.closest_cpu = {"vendor=Intel", {"hypervisor", "sse"}};
    return out;
}

TEST(GuestCpu, AHostModelIsTheClosestOneAndWhatItLacks) {
    EXPECT_TRUE(depends_on_host(cpu_of("<cpu mode='host-model'/>")));
    const auto decided = decide_cpu(
        cpu_of(
            "<cpu mode='host-model' check='partial'><feature policy='disable' name='aes'/></cpu>"),
        host());
    ASSERT_TRUE(decided);
    EXPECT_FALSE(depends_on_host(*decided));
    EXPECT_EQ(text_of(*decided), R"(<cpu mode='custom' match='exact' check='partial'>
  <model fallback='forbid'>Nehalem</model>
  <feature policy='disable' name='aes'/>
  <feature policy='require' name='ssse3'/>
</cpu>
)");
}

TEST(GuestCpu, AtLeastAModelIsAllOfTheHostOrNothing) {
    const std::string text = "<cpu match='minimum'><model>{}</model></cpu>";
    const auto decided = decide_cpu(cpu_of(fmt::format(fmt::runtime(text), "Nehalem")), host());
    ASSERT_TRUE(decided);
    EXPECT_EQ(decided->match, "exact");
    EXPECT_EQ(decided->features.size(), 2u);
    for (const char* model : {"EPYC", "NobodysCpu"}) {
        const auto refused = decide_cpu(cpu_of(fmt::format(fmt::runtime(text), model)), host());
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().code, kCpuIncompatible);
        EXPECT_THAT(refused.error().message, HasSubstr(model));
    }
}

TEST(GuestCpu, OptionalAndForbiddenFeaturesAreDecidedByTheHost) {
    const auto decided =
        decide_cpu(cpu_of("<cpu><model>Nehalem</model><feature policy='optional' name='aes'/>"
                          "<feature policy='optional' name='pcid'/>"
                          "<feature policy='forbid' name='svm'/></cpu>"),
                   host());
    ASSERT_TRUE(decided);
    ASSERT_EQ(decided->features.size(), 3u);
    EXPECT_EQ(decided->features[0].policy, "require");
    EXPECT_EQ(decided->features[1].policy, "disable");
    EXPECT_EQ(decided->features[2].policy, "disable");
    const auto refused = decide_cpu(
        cpu_of("<cpu><model>Nehalem</model><feature policy='forbid' name='aes'/></cpu>"), host());
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, kCpuIncompatible);
    EXPECT_EQ(refused.error().message, "Host CPU provides forbidden features: aes");
}

TEST(GuestCpu, ALiveDefinitionSpellsOutEachDifference) {
    const Cpu asked = cpu_of(
        "<cpu check='none'><model fallback='allow'>Nehalem</model>"
        "<topology sockets='1' dies='1' cores='2' threads='1'/>"
        "<feature policy='require' name='pcid'/><feature policy='disable' name='vme'/></cpu>");
    const GuestCpu model{"", {"sse", "vme", "x2apic", "hypervisor"}};
    const GuestCpu running{"", {"sse", "hypervisor", "lahf_lm"}};
    EXPECT_EQ(text_of(shown_cpu(asked, model, running)),
              R"(<cpu mode='custom' match='exact' check='full'>
  <model fallback='forbid'>Nehalem</model>
  <topology sockets='1' dies='1' cores='2' threads='1'/>
  <feature policy='disable' name='pcid'/>
  <feature policy='disable' name='vme'/>
  <feature policy='require' name='hypervisor'/>
  <feature policy='require' name='lahf_lm'/>
  <feature policy='disable' name='x2apic'/>
</cpu>
)");
    const Cpu maximum = cpu_of("<cpu mode='maximum' check='none'/>");
    EXPECT_EQ(text_of(shown_cpu(maximum, model, running)), text_of(maximum));
}

TEST(GuestCpu, WhatIsMissingCountsWhereItIsChecked) {
    Cpu cpu = cpu_of("<cpu check='none'><model>Nehalem</model></cpu>");
    EXPECT_TRUE(check_nothing_missing(cpu, {"pcid"}));
    cpu.check = "partial";
    EXPECT_TRUE(check_nothing_missing(cpu, {}));
    const auto partial = check_nothing_missing(cpu, {"pcid", "avx"});
    ASSERT_FALSE(partial);
    EXPECT_EQ(partial.error(),
              (Error{kCpuIncompatible, "Host CPU does not provide required features: avx, pcid"}));
    cpu.check = "full";
    const auto full = check_nothing_missing(cpu, {"pcid"});
    ASSERT_FALSE(full);
    EXPECT_EQ(full.error().code, ErrorCode::operation_failed);
    EXPECT_THAT(full.error().message, HasSubstr("missing features: pcid"));
}

TEST(GuestCpu, AGuestGoesOnOnTheSameCpuOnly) {
    const GuestCpu source{"model=1", {"sse", "aes"}};
    EXPECT_TRUE(check_same_cpu(source, source));
    const auto features = check_same_cpu(source, {"model=1", {"sse", "avx"}});
    ASSERT_FALSE(features);
    EXPECT_EQ(features.error().message,
              "guest CPU doesn't match specification: extra features: avx, missing features: aes");
    const auto identity = check_same_cpu(source, {"model=2", source.features});
    ASSERT_FALSE(identity);
    EXPECT_THAT(identity.error().message, HasSubstr("'model=1'"));

    const Cpu spelled = cpu_of(
        "<cpu mode='custom' match='exact' check='full'><model>qemu64</model>"
        "<feature policy='require' name='aes'/><feature policy='disable' name='svm'/></cpu>");
    EXPECT_TRUE(check_as_spelled_out(spelled, source));
    EXPECT_FALSE(check_as_spelled_out(spelled, {"", {"sse"}}));
    EXPECT_FALSE(check_as_spelled_out(spelled, {"", {"aes", "svm"}}));
}

TEST(GuestCpu, TravelsBetweenDaemons) {
    const GuestCpu cpu{"model-id=A & 'B' vendor=X", {"lahf_lm", "sse4.1", "svme-addr-chk"}};
    const auto read = parse_guest_cpu(print_xml(format_guest_cpu(cpu)));
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(*read, cpu);
    EXPECT_EQ(parse_guest_cpu("<guest-cpu identity=''>\n  a\n  b </guest-cpu>")->features,
              (CpuFeatures{"a", "b"}));

    EXPECT_FALSE(parse_guest_cpu(""));
    EXPECT_FALSE(parse_guest_cpu("<cpu identity=''/>"));
    EXPECT_FALSE(parse_guest_cpu("<guest-cpu>sse</guest-cpu>"));
    EXPECT_FALSE(parse_guest_cpu("<guest-cpu identity=''>sse,x=y</guest-cpu>"));
    EXPECT_FALSE(parse_guest_cpu(fmt::format("<guest-cpu identity='{}'/>", std::string(513, 'x'))));
    std::string many;
    for (int number = 0; number < 1025; ++number)
        many += fmt::format("f{} ", number);
    EXPECT_FALSE(parse_guest_cpu("<guest-cpu identity=''>" + many + "</guest-cpu>"));
}

}  // namespace
}  // namespace segue
