// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/control/line_reader.h"

#include <gtest/gtest.h>

namespace segue::spice::control {
namespace {

std::uint64_t announced(std::string_view line) {
    const auto command = parse_command(line);
    return command ? command->bytes : 0;
}

const std::string kStream = to_line({CommandKind::carry_state}) + "\n" +
                            to_line({CommandKind::take_state, true, 5}) + "\nab\ncd" +
                            to_line({CommandKind::take_state, true, 0}) + "\nnonsense\n";

TEST(LineReader, FindsTheSameHoweverTheBytesCome) {
    for (std::size_t step = 1; step <= kStream.size(); ++step) {
        LineReader reader(announced);
        std::vector<std::pair<std::string, Bytes>> found;
        for (std::size_t at = 0; at < kStream.size(); at += step) {
            const std::string piece = kStream.substr(at, step);
            ASSERT_TRUE(reader.feed(as_bytes(piece), [&](LineReader::Incoming incoming) {
                found.emplace_back(incoming.line, incoming.bytes);
            }));
        }
        ASSERT_EQ(found.size(), 4u) << step;
        EXPECT_TRUE(found[0].second.empty());
        EXPECT_EQ(as_text(found[1].second), "ab\ncd");
        EXPECT_EQ(found[2].first, to_line({CommandKind::take_state, true, 0}));
        EXPECT_TRUE(found[2].second.empty());
        EXPECT_EQ(found[3].first, "nonsense");
    }
}

TEST(LineReader, ALineWithoutAnEndIsRefused) {
    LineReader reader(announced);
    const auto nobody = [](LineReader::Incoming) { FAIL(); };
    EXPECT_TRUE(reader.feed(as_bytes(std::string(kMostLine, 'x')), nobody));
    EXPECT_EQ(reader.feed(as_bytes(std::string("x")), nobody).error().code,
              ErrorCode::limit_exceeded);
}

TEST(LineReader, MoreBytesThanAllowedAreRefused) {
    LineReader reader([](std::string_view) { return std::uint64_t{kMostBytes} + 1; });
    EXPECT_EQ(reader.feed(as_bytes(std::string("{}\n")), [](LineReader::Incoming) { FAIL(); })
                  .error()
                  .code,
              ErrorCode::limit_exceeded);
}

}  // namespace
}  // namespace segue::spice::control
