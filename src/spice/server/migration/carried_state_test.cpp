// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/migration/carried_state.h"

#include <gmock/gmock.h>

namespace segue::spice::server {
namespace {

using testing::HasSubstr;

CarriedKey display(std::uint32_t client, std::uint8_t id = 0) {
    return {client, {wire::ChannelType::display, id}};
}
CarriedKey cursor(std::uint32_t client) {
    return {client, {wire::ChannelType::cursor, 0}};
}

TEST(CarriedState, ComesBackAsItWas) {
    const CarriedMessage sent{7, true, {1, 2}, {{display(1), {1, 2, 3}}, {cursor(2), {}}}};
    const auto read = read_carried(write_carried(sent));
    ASSERT_TRUE(read);
    EXPECT_EQ(read->move, 7u);
    EXPECT_TRUE(read->last);
    EXPECT_EQ(read->key, sent.key);
    EXPECT_EQ(read->parts, sent.parts);
}

TEST(CarriedState, EveryTruncationIsRefused) {
    const Bytes bytes = write_carried({1, false, {}, {{display(1), {1, 2}}, {display(2), {3}}}});
    for (std::size_t size = 0; size < bytes.size(); ++size)
        EXPECT_FALSE(read_carried(ByteView(bytes).first(size))) << size;
}

TEST(CarriedState, APartThatIsThereTwiceIsRefused) {
    Bytes bytes = write_carried({1, false, {}, {{display(1), {9}}, {display(2), {9}}}});
    // Two parts of one size each: the second takes the first one's client.
    const std::size_t part = 4 + 1 + 1 + 1 + 4 + 1;
    bytes[bytes.size() - part] = 1;
    EXPECT_THAT(read_carried(bytes).error().message, HasSubstr("twice"));
}

TEST(CarriedState, TheFinalStateHoldsOnlyWhatChanged) {
    StateSender sender;
    const auto first = sender.begin({{display(1), {1}}, {cursor(1), {2}}, {cursor(2), {5}}}, {});
    const auto last =
        sender.finish().with({{display(1), {1, 1}}, {cursor(1), {2}}, {display(3), {4}}});
    EXPECT_EQ(last.parts, (CarriedParts{{display(1), {1, 1}}, {display(3), {4}}}));
    StateKeeper keeper;
    EXPECT_FALSE(keeper.take(first).value());
    EXPECT_TRUE(keeper.take(last).value());
    EXPECT_EQ(keeper.parts(),
              (CarriedParts{
                  {display(1), {1, 1}}, {cursor(1), {2}}, {cursor(2), {5}}, {display(3), {4}}}));
}

TEST(CarriedState, TheSourceIsToldOnceThatItWasTaken) {
    StateSender sender;
    EXPECT_FALSE(sender.taken());
    sender.begin({}, {});
    EXPECT_FALSE(sender.taken()) << "the last part is still to come";
    sender.finish().with({});
    EXPECT_TRUE(sender.taken());
    EXPECT_FALSE(sender.taken());
    sender.drop();
    EXPECT_EQ(sender.step(), StateSender::Step::idle);
}

TEST(CarriedState, WhatIsWishedForLateFollowsTheFinalState) {
    const CarriedKey wish{1, display(1).channel, CarriedSection::wish};
    StateSender sender;
    StateKeeper keeper;
    EXPECT_TRUE(keeper.take(sender.begin({{display(1), {1}}}, {})));
    EXPECT_FALSE(sender.more({{wish, {6}}})) << "the final state will have it";
    EXPECT_TRUE(keeper.take(sender.finish().with({})).value());
    const auto more = sender.more({{wish, {6}}});
    ASSERT_TRUE(more);
    EXPECT_TRUE(keeper.take(read_carried(write_carried(*more)).value()).value());
    EXPECT_EQ(keeper.parts(), (CarriedParts{{display(1), {1}}, {wish, {6}}}));
    EXPECT_FALSE(sender.taken()) << "but for the wish";
    EXPECT_TRUE(sender.taken());
    EXPECT_TRUE(sender.more({}));
    sender.drop();
    EXPECT_FALSE(sender.more({}));
}

// It was paused on its way, and its clients were sent more when it went on.
TEST(CarriedState, AMachineThatGoesOnIsToldAnew) {
    StateSender sender;
    StateKeeper keeper;
    EXPECT_TRUE(keeper.take(sender.begin({{display(1), {1}}, {display(2), {1}}}, {7})));
    EXPECT_TRUE(keeper.take(sender.finish().with({{display(1), {2}}})).value());
    const auto again = sender.begin_again({{display(1), {3}}});
    EXPECT_EQ(again.key, StateKey{7});
    EXPECT_FALSE(keeper.take(again).value());
    EXPECT_EQ(keeper.parts(), (CarriedParts{{display(1), {3}}}));
    EXPECT_FALSE(sender.taken()) << "the first final state, which is void";
    EXPECT_TRUE(keeper.take(sender.finish().with({{display(1), {4}}})).value());
    EXPECT_EQ(keeper.parts(), (CarriedParts{{display(1), {4}}}));
    EXPECT_TRUE(sender.taken());
}

TEST(CarriedState, TheVoidFinalStateIsNotTakenForTheLast) {
    StateSender sender;
    sender.begin({}, {});
    sender.finish().with({});
    sender.begin_again({});
    sender.finish().with({});
    EXPECT_FALSE(sender.taken()) << "the first one";
    EXPECT_TRUE(sender.taken());
}

// Its target was told of the key already, and takes nothing through the client without the seal.
TEST(CarriedState, TheKeyOutlivesAStateThatIsDropped) {
    StateSender sender;
    EXPECT_FALSE(sender.key());
    sender.begin({}, {7});
    sender.drop();
    EXPECT_EQ(sender.key(), StateKey{7});
    sender.forget();
    EXPECT_FALSE(sender.key());
}

TEST(CarriedState, PartsOfTwoMovesAreNotMixed) {
    StateSender sender;
    StateKeeper keeper;
    EXPECT_TRUE(keeper.take(sender.begin({{display(1), {1}}}, {})));
    const auto old = sender.finish().with({{display(1), {2}}});
    EXPECT_TRUE(keeper.take(sender.begin({{display(1), {3}}}, {})));
    EXPECT_THAT(keeper.take(old).error().message, HasSubstr("without its first"));
    EXPECT_TRUE(keeper.take(sender.finish().with({})).value());
    EXPECT_EQ(keeper.parts(), (CarriedParts{{display(1), {3}}}));
}

}  // namespace
}  // namespace segue::spice::server
