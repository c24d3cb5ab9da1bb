// SPDX-License-Identifier: LGPL-2.1-or-later
#include "qemu/cpu_model.h"

#include <gtest/gtest.h>

namespace segue {
namespace {

Domain with(const std::string& cpu) {
    return parse_domain(
               "<domain type='qemu'><name>d</name><memory>65536</memory>"
               "<os><type>hvm</type></os>" +
               cpu + "<clock><timer name='kvmclock' present='no'/></clock></domain>")
        .value();
}

TEST(CpuModel, IsAnOptionAndAQuestion) {
    const CpuModel model = cpu_model(with(
        "<cpu><model>Nehalem</model><feature policy='require' name='lahf_lm'/>"
        "<feature policy='disable' name='pclmuldq'/><feature policy='force' name='aes'/></cpu>"));
    EXPECT_EQ(model.option(), "Nehalem,lahf-lm=on,pclmulqdq=off,aes=on,kvmclock=off");
    EXPECT_EQ(model.json().dump(), R"({"name":"Nehalem","props":{"lahf-lm":true,)"
                                   R"("pclmulqdq":false,"aes":true,"kvmclock":false}})");
    EXPECT_EQ(cpu_model(with("<cpu mode='maximum'/>")).option(), "max,kvmclock=off");
    EXPECT_EQ(cpu_model(with("<cpu mode='host-passthrough'/>")).option(),
              "host,migratable=on,kvmclock=off");
}

TEST(CpuModel, AnExpansionIsReadUnderLibvirtsNames) {
    const auto cpu = read_cpu_expansion(
        Json::parse(R"({"model":{"name":"base","props":{"vendor":"X","lahf-lm":true,"svm":false,)"
                    R"("family":6,"sse4.1":true,"pclmulqdq":true}}})")
            .value());
    ASSERT_TRUE(cpu);
    EXPECT_EQ(cpu->identity, "family=6 vendor=X");
    EXPECT_EQ(cpu->features, (CpuFeatures{"lahf_lm", "pclmuldq", "sse4.1"}));
    EXPECT_FALSE(read_cpu_expansion(Json::parse(R"({"model":{"name":"base"}})").value()));
    EXPECT_FALSE(read_cpu_expansion(Json()));
    EXPECT_EQ(cpu_features(Json::parse(R"(["x2apic","tsc-adjust",7])").value()),
              (CpuFeatures{"x2apic", "tsc_adjust"}));
}

}  // namespace
}  // namespace segue
