// SPDX-License-Identifier: LGPL-2.1-or-later
#include "base/json.h"

#include <gtest/gtest.h>

namespace segue {
namespace {

TEST(Json, WritesMembersInTheOrderInWhichTheyWereSet) {
    Json value = Json::object({{"execute", "migrate"}, {"arguments", Json::object()}});
    value.set("id", 7);
    value.set("list", Json::array({true, Json(), -1, 1.5, "a\"b\n"}));
    EXPECT_EQ(value.dump(),
              R"({"execute":"migrate","arguments":{},"id":7,"list":[true,null,-1,1.5,"a\"b\n"]})");
    EXPECT_EQ(Json::parse(value.dump())->dump(), value.dump());
}

TEST(Json, NumbersKeepTheirWholeRange) {
    const auto value = Json::parse(R"({"big":18446744073709551615,"low":-9223372036854775808})");
    ASSERT_TRUE(value);
    EXPECT_EQ(value->u64("big"), UINT64_MAX);
    EXPECT_EQ(value->i64("big", -5), -5) << "it does not fit";
    EXPECT_EQ(value->i64("low"), INT64_MIN);
    EXPECT_EQ(value->u64("low", 9), 9U);
}

TEST(Json, AbsentMembersGiveTheOtherValue) {
    const Json value = *Json::parse(R"({"a":{"b":"c"},"a2":2})");
    EXPECT_EQ(value["a"].text("b"), "c");
    EXPECT_EQ(value["x"]["y"].text("z", "none"), "none");
    EXPECT_EQ(value.i64("a2"), 2);
    EXPECT_FALSE(value["a"].as_text());
    EXPECT_TRUE(value["a2"].items().empty());
}

TEST(Json, EveryTruncationIsAnError) {
    const std::string whole = R"({"return":{"a":[1,2.5,"x"],"b":null},"id":"s-1"})";
    ASSERT_TRUE(Json::parse(whole));
    for (std::size_t size = 0; size < whole.size(); ++size) {
        EXPECT_FALSE(Json::parse(whole.substr(0, size))) << size;
    }
    EXPECT_FALSE(Json::parse(whole + "x"));
    EXPECT_FALSE(Json::parse(R"({"a":1,"b":2,"a":3})"));
}

TEST(Json, LimitsAreNamed) {
    EXPECT_EQ(Json::parse(std::string(1000, '['), {.depth = 100}).error().message,
              "JSON nested deeper than 100 levels");
    EXPECT_EQ(Json::parse("[1,2,3]", {.values = 3}).error().code, ErrorCode::limit_exceeded);
    EXPECT_EQ(Json::parse("[1,2,3]", {.bytes = 3}).error().code, ErrorCode::limit_exceeded);
}

TEST(Json, TextThatIsNotUtf8IsReadNeverAndWrittenMended) {
    EXPECT_FALSE(Json::parse("\"\xff\""));
    EXPECT_EQ(Json(std::string("a\xff")).dump(), "\"a\xEF\xBF\xBD\"");
}

}  // namespace
}  // namespace segue
