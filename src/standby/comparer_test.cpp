// SPDX-License-Identifier: LGPL-2.1-or-later
#include "standby/comparer.h"

#include <gmock/gmock.h>
#include <signal.h>

#include "net/test_loop.h"
#include "standby/test_peer.h"

namespace segue::standby {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

Bytes udp(std::string_view text, std::uint16_t port = 9) {
    BigWriter out;
    out.bytes(Bytes(12, 0x52));
    out.u16(0x0800);
    out.u16(0x4500);
    out.u16(static_cast<std::uint16_t>(28 + text.size()));
    out.u32(0);
    out.u16(64 << 8 | 17);
    out.u16(0);
    out.u32(0x0a000002);
    out.u32(0x0a000001);
    out.u16(port);
    out.u16(9000);
    out.u16(static_cast<std::uint16_t>(8 + text.size()));
    out.u16(0);
    out.bytes(as_bytes(text));
    return framed(out.take());
}

TEST(Comparer, EachCardHasFourSocketsOfItsOwn) {
    const auto words = Comparer::command("/q", 2);
    EXPECT_EQ(words.front(), "/q");
    EXPECT_THAT(words, Contains("socket,id=primary0,fd=10"));
    EXPECT_THAT(words, Contains("socket,id=notice1,fd=17"));
    EXPECT_THAT(words, Contains(HasSubstr("primary_in=primary1,secondary_in=shadow1")));
}

// The real one.
TEST(Comparer, LetsThroughWhatBothHaveSaidAndSeesADifferenceAndAnEnd) {
    net::TestLoop loop;
    const TestFolder folder;
    std::vector<std::pair<std::size_t, Bytes>> passed;
    std::vector<std::size_t> differs;
    std::string failed;
    Comparer::Handlers handlers;
    handlers.passed = [&](std::size_t card, ByteView frame) {
        passed.emplace_back(card, framed(frame));
    };
    handlers.differs = [&](std::size_t card) { differs.push_back(card); };
    handlers.failed = [&](const std::string& how) { failed = how; };
    const auto made =
        Comparer::make(*loop, "qemu-system-x86_64", 2, folder.file("log"), std::move(handlers));
    ASSERT_TRUE(made.has_value());
    Comparer& comparer = **made;
    comparer.primary_sent(1, udp("same"));
    comparer.shadow_sent(1, udp("same"));
    ASSERT_TRUE(loop.run_until([&] { return !passed.empty(); }, 60s));
    EXPECT_EQ(passed.front(), std::pair(std::size_t{1}, udp("same")));
    comparer.primary_sent(0, udp("one"));
    comparer.shadow_sent(0, udp("other"));
    ASSERT_TRUE(loop.run_until([&] { return !differs.empty(); }, 60s));
    EXPECT_EQ(differs.front(), 0U);
    EXPECT_EQ(passed.size(), 1U);
    ASSERT_EQ(::kill(comparer.process(), SIGKILL), 0);
    ASSERT_TRUE(loop.run_until([&] { return !failed.empty(); }, 60s));
    // Nobody is there any more: no harm.
    comparer.primary_sent(0, udp("late"));
}

}  // namespace
}  // namespace segue::standby
