// SPDX-License-Identifier: LGPL-2.1-or-later
#include "base/log.h"

#include <gtest/gtest.h>

namespace segue {
namespace {

std::string written(std::string_view message) {
    testing::internal::CaptureStderr();
    log_error("test", "{}", message);
    return testing::internal::GetCapturedStderr();
}

TEST(Log, NobodyForgesAnEntryOrSteersTheTerminal) {
    const std::string forged = written("guest 'x'\n00:00:00.000000 info rpc: all is well\r\x1b[2J");
    EXPECT_NE(forged.find(" error test: guest 'x'\n  | 00:00:00.000000 info rpc: all is "
                          "well\\x0d\\x1b[2J\n"),
              std::string::npos)
        << forged;
}

TEST(Log, WordsOfOtherAlphabetsStay) {
    EXPECT_NE(written("Größe → 3").find("error test: Größe → 3\n"), std::string::npos);
}

}  // namespace
}  // namespace segue
