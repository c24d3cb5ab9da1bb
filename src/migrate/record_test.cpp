// SPDX-License-Identifier: LGPL-2.1-or-later
#include "migrate/test_stories.h"
#include "store/records.h"

namespace segue::migrate {
namespace {

TEST(Record, PassesThroughTheStore) {
    for (Right right : {Right::none, Right::held, Right::given, Right::taken, Right::refused}) {
        Record record = given(Protocol::version3).machine.record();
        record.right = right;
        record.settled = right == Right::taken;
        record.definition = "<domain/>";
        const auto row = to_row<storage::MigrationRecord>(record);
        const auto again = from_row(row);
        ASSERT_TRUE(again) << again.error().message;
        EXPECT_EQ(*again, record);
        EXPECT_EQ(right_named(name_of(right)), right);
    }
    auto row = to_row<storage::MigrationRecord>(Record{});
    row.peer_port = 65536;
    EXPECT_FALSE(from_row(row));
    row = to_row<storage::MigrationRecord>(Record{});
    row.phase = "preform2";
    EXPECT_NE(from_row(row).error().message.find("is damaged"), std::string::npos);
    EXPECT_FALSE(parse_key("00"));
    EXPECT_FALSE(parse_key(std::string(32, 'G')));
}

// Stored as taken and not settled (the disk was full), then migrated on: nothing may resume it
// here.
TEST(Record, AGuestThatMigratedOnHadArrived) {
    Record arrival;
    arrival.role = Role::destination;
    arrival.right = Right::taken;
    arrival.incarnation = "one QEMU";
    Record other = arrival;
    other.incarnation = "another";
    Record leaving = given(Protocol::version3).machine.record();
    leaving.incarnation = arrival.incarnation;
    std::vector<Record> records{arrival, leaving, other};
    settle_arrivals(records);
    EXPECT_TRUE(records[0].settled);
    EXPECT_FALSE(records[1].settled);
    EXPECT_FALSE(records[2].settled);
    const auto machine = DestinationMachine::restored(records[0], true);
    EXPECT_EQ(machine.state(), DS::running);
    EXPECT_EQ(DestinationMachine::restored(records[2], true).state(), DS::resuming);
}

TEST(Timeline, NamesEachStepWithItsDuration) {
    SourceMachine machine(source_options(Protocol::version3));
    const auto at = [](int ms) { return Instant{std::chrono::milliseconds(ms)}; };
    static_cast<void>(machine.handle({SE::begin_called}, at(0)));
    static_cast<void>(machine.handle(perform(), at(10)));
    static_cast<void>(machine.handle({SE::peer_linked}, at(12)));
    static_cast<void>(machine.handle({SE::record_stored}, at(15)));
    static_cast<void>(machine.handle({SE::screen_ready}, at(40)));
    const auto& spans = machine.timeline().spans();
    ASSERT_EQ(spans.size(), 4u);
    EXPECT_EQ(spans[3].step, "screen");
    EXPECT_EQ(spans[3].phase, "perform3");
    EXPECT_EQ(machine.timeline().total("screen"), 25ms);
}

}  // namespace
}  // namespace segue::migrate
