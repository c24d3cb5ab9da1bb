// SPDX-License-Identifier: LGPL-2.1-or-later
#include "cli/verbs/doctor.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "cli/probe.h"

namespace segue::cli {
namespace {

TEST(Probe, AnswersWithOutputAndExitCode) {
    const auto answer = probe({"sh", "-c", "echo found; exit 3"}, 5s);
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->output, "found\n");
    EXPECT_EQ(answer->exit_code, 3);
}

TEST(Probe, AProgramThatHangsIsAnAnswerToo) {
    const SystemClock clock;
    const Instant start = clock.now();
    const auto answer = probe({"sleep", "60"}, 100ms);
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, ErrorCode::timeout);
    EXPECT_LT(clock.now() - start, 10s);
}

TEST(Probe, AMissingProgramIsNamed) {
    const auto answer = probe({"no-such-emulator"}, 1s);
    ASSERT_FALSE(answer);
    EXPECT_NE(answer.error().message.find("no-such-emulator"), std::string::npos);
}

TEST(Doctor, ADeadSocketIsBadAndHasARemedy) {
    const auto findings = examine_host("qemu+unix:///system?socket=/nonexistent/segue.sock");
    const auto daemon = std::find_if(findings.begin(), findings.end(),
                                     [](const Finding& one) { return one.what == "daemon"; });
    ASSERT_NE(daemon, findings.end());
    EXPECT_EQ(daemon->grade, Finding::Grade::bad);
    EXPECT_NE(daemon->remedy.find("segued"), std::string::npos);
    for (const char* what : {"qemu-img", "group and user", "address of this host"}) {
        EXPECT_TRUE(std::any_of(findings.begin(), findings.end(), [&](const Finding& one) {
            return one.what == what;
        })) << what;
    }
    for (const Finding& one : findings) {
        EXPECT_EQ(one.grade == Finding::Grade::bad && one.remedy.empty(), false) << one.what;
    }
}

}  // namespace
}  // namespace segue::cli
