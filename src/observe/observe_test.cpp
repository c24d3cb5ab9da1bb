// SPDX-License-Identifier: LGPL-2.1-or-later
#include <gmock/gmock.h>

#include "observe/event_log.h"
#include "observe/json_text.h"
#include "observe/metrics.h"
#include "observe/timeline.h"

namespace segue {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Instant at(std::int64_t ms) {
    return Instant{std::chrono::milliseconds(ms)};
}

TEST(Metrics, TextIsPrometheusExposition) {
    Metrics metrics;
    metrics.counter("segue_migrations_total", "Migrations", {{"outcome", "done"}}) += 2;
    metrics.gauge("segue_domains", "Domains") = 3;
    metrics.histogram("segue_downtime_seconds", "Downtime").observe(30ms);
    const std::string text = metrics.text();
    EXPECT_THAT(text, HasSubstr("# TYPE segue_migrations_total counter\n"
                                "segue_migrations_total{outcome=\"done\"} 2\n"));
    EXPECT_THAT(text, HasSubstr("segue_domains 3\n"));
    EXPECT_THAT(text, HasSubstr("segue_downtime_seconds_bucket{le=\"0.025\"} 0\n"));
    EXPECT_THAT(text, HasSubstr("segue_downtime_seconds_bucket{le=\"0.05\"} 1\n"));
    EXPECT_THAT(text, HasSubstr("segue_downtime_seconds_bucket{le=\"+Inf\"} 1\n"));
    EXPECT_THAT(text, HasSubstr("segue_downtime_seconds_count 1\n"));
}

TEST(Metrics, TheSameNameAndLabelsAreOneNumber) {
    Metrics metrics;
    ++metrics.counter("a_total", "A", {{"domain", "x"}});
    ++metrics.counter("a_total", "A", {{"domain", "x"}});
    ++metrics.counter("a_total", "A", {{"domain", "y"}});
    EXPECT_EQ(metrics.counter("a_total", "A", {{"domain", "x"}}), 2U);
    metrics.forget("domain", "x");
    EXPECT_THAT(metrics.text(), Not(HasSubstr("domain=\"x\"")));
    EXPECT_THAT(metrics.text(), HasSubstr("a_total{domain=\"y\"} 1"));
}

TEST(Metrics, LabelsAreEscaped) {
    Metrics metrics;
    ++metrics.counter("a_total", "A", {{"domain", "a\"b\\c\nd"}});
    EXPECT_THAT(metrics.text(), HasSubstr("a_total{domain=\"a\\\"b\\\\c\\nd\"} 1\n"));
}

TEST(JsonText, EscapesAndMendsInvalidUtf8) {
    EXPECT_EQ(json_quoted("a\"b\\c\n"), "\"a\\\"b\\\\c\\u000a\"");
    EXPECT_EQ(json_quoted("caf\xc3\xa9"), "\"caf\xc3\xa9\"");
    EXPECT_EQ(json_quoted("x\xff\xc3"), "\"x\\ufffd\\ufffd\"");
    EXPECT_EQ(json_quoted("\xed\xa0\x80"), "\"\\ufffd\\ufffd\\ufffd\"");  // a surrogate
}

Timeline example() {
    Timeline timeline("migration of <demo>", at(1000), 1700000000000);
    timeline.begin("begin3", "source", at(1000));
    timeline.end("begin3", "source", at(1005));
    timeline.begin("perform3", "source", at(1010));
    timeline.mark("linked", "viewer", at(1050));
    timeline.number("downtime_ms", 20);
    timeline.outcome("completed");
    return timeline;
}

TEST(Timeline, CloseEndsWhatIsOpen) {
    Timeline timeline = example();
    EXPECT_FALSE(timeline.phases()[1].end);
    timeline.close(at(1110));
    EXPECT_EQ(timeline.phases()[1].end, Duration(110ms));
    EXPECT_EQ(timeline.length(), Duration(110ms));
    EXPECT_EQ(timeline.find_number("downtime_ms"), 20);
    EXPECT_FALSE(timeline.find_number("absent"));
}

TEST(Timeline, BeginAgainEndsTheFirst) {
    Timeline timeline = example();
    timeline.begin("perform3", "source", at(1020));
    ASSERT_EQ(timeline.phases().size(), 3U);
    EXPECT_EQ(timeline.phases()[1].end, Duration(20ms));
}

TEST(Timeline, KeepsABoundedNumberOfEntries) {
    Timeline timeline("flood", at(0), 0);
    for (int count = 0; count < 2000; ++count) {
        timeline.mark("m", "viewer", at(count));
        timeline.begin("p" + std::to_string(count), "viewer", at(count));
    }
    EXPECT_EQ(timeline.marks().size(), Timeline::kMaxEntries);
    EXPECT_EQ(timeline.phases().size(), Timeline::kMaxEntries);
}

TEST(Timeline, Faces) {
    Timeline timeline = example();
    EXPECT_THAT(timeline_text(timeline), HasSubstr("not ended"));
    timeline.close(at(1110));
    EXPECT_THAT(timeline_text(timeline), HasSubstr("completed, 110.0 ms"));
    EXPECT_EQ(timeline_json(timeline),
              "{\"title\":\"migration of <demo>\",\"outcome\":\"completed\","
              "\"wall_ms\":1700000000000,\"length_us\":110000,\"phases\":["
              "{\"name\":\"begin3\",\"where\":\"source\",\"start_us\":0,\"end_us\":5000},"
              "{\"name\":\"perform3\",\"where\":\"source\",\"start_us\":10000,\"end_us\":110000}],"
              "\"marks\":[{\"name\":\"linked\",\"where\":\"viewer\",\"at_us\":50000}],"
              "\"numbers\":{\"downtime_ms\":20}}");
    EXPECT_THAT(timeline_svg(timeline), HasSubstr("migration of &lt;demo&gt;"));
    EXPECT_THAT(timeline_svg(timeline), HasSubstr("perform3 · source"));
}

TEST(EventLog, IsARingThatCountsOn) {
    EventLog log(2);
    log.add(1, "lifecycle", "a", "started");
    log.add(2, "lifecycle", "a", "stopped");
    log.add(3, "host", "", "ready");
    ASSERT_EQ(log.events().size(), 2U);
    EXPECT_EQ(log.events().front().number, 2U);
    EXPECT_EQ(log.json_lines(2),
              "{\"number\":3,\"wall_ms\":3,\"kind\":\"host\",\"domain\":\"\",\"text\":\"ready\"}"
              "\n");
}

}  // namespace
}  // namespace segue
