// SPDX-License-Identifier: LGPL-2.1-or-later
#include "cli/print.h"

#include <gtest/gtest.h>

namespace segue::cli {
namespace {

TEST(Print, ColumnsLineUpAndNoLineEndsInSpaces) {
    const Table table{{"Id", "Name", "State"}, {{"1", "web", "running"}, {"-", "database", ""}}};
    EXPECT_EQ(table.text(),
              "Id  Name      State\n"
              "1   web       running\n"
              "-   database\n");
}

TEST(Print, SizesAndDurationsReadAsPeopleSayThem) {
    EXPECT_EQ(size_text(0), "0 B");
    EXPECT_EQ(size_text(256ULL << 20), "256 MiB");
    EXPECT_EQ(size_text(1536ULL << 20), "1.5 GiB");
    EXPECT_EQ(duration_text(85), "85 ms");
    EXPECT_EQ(duration_text(12'300), "12.3 s");
    EXPECT_EQ(duration_text(3'723'000), "1:02:03");
}

TEST(Print, EveryCodeOfTheManualCanBeReached) {
    EXPECT_EQ(exit_code_of({ErrorCode::no_domain, ""}), ExitCode::not_found);
    EXPECT_EQ(exit_code_of({ErrorCode::migrate_unsafe, ""}), ExitCode::refused);
    EXPECT_EQ(exit_code_of({ErrorCode::timeout, ""}), ExitCode::timed_out);
    EXPECT_EQ(exit_code_of({ErrorCode::cancelled, ""}), ExitCode::cancelled);
    EXPECT_EQ(exit_code_of({ErrorCode::connection_lost, ""}), ExitCode::connection);
    EXPECT_EQ(exit_code_of({ErrorCode::operation_failed, ""}), ExitCode::failed);
}

}  // namespace
}  // namespace segue::cli
