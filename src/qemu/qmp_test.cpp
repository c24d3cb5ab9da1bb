// SPDX-License-Identifier: LGPL-2.1-or-later
#include "qemu/qmp.h"

#include <gtest/gtest.h>

namespace segue {
namespace {

// What QEMU 7.2 of Debian 12 sends first on a unix socket monitor.
constexpr std::string_view kGreeting =
    R"({"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, )"
    R"("package": "Debian 1:7.2+dfsg-7+deb12u18"}, "capabilities": ["oob"]}})"
    "\r\n";

// The actions in short form, for comparison.
std::vector<std::string> taken(QmpProtocol& protocol) {
    std::vector<std::string> out;
    for (const QmpAction& action : protocol.take_actions()) {
        if (const auto* send = std::get_if<QmpSend>(&action)) {
            out.push_back("> " + send->bytes.substr(0, send->bytes.size() - 1));
        } else if (const auto* ready = std::get_if<QmpReady>(&action)) {
            out.push_back(fmt::format("ready {}.{}.{} oob={}", ready->version.major,
                                      ready->version.minor, ready->version.micro,
                                      ready->out_of_band));
        } else if (const auto* reply = std::get_if<QmpReply>(&action)) {
            out.push_back(fmt::format(
                "{}: {}", reply->id,
                reply->value ? reply->value->dump() : "error " + reply->value.error().message));
        } else if (const auto* event = std::get_if<QmpEvent>(&action)) {
            out.push_back(
                fmt::format("event {} {} {}", event->name, event->data.dump(), event->time_us));
        } else {
            out.push_back("closed " + std::get<QmpClosed>(action).reason.message);
        }
    }
    return out;
}

using Lines = std::vector<std::string>;

QmpProtocol ready_protocol(QmpLimits limits = {}) {
    QmpProtocol protocol(limits);
    protocol.feed(kGreeting);
    protocol.feed("{\"return\": {}, \"id\": 0}\r\n");
    protocol.take_actions();
    return protocol;
}

TEST(Qmp, CommandsWaitForTheCapabilities) {
    QmpProtocol protocol;
    EXPECT_EQ(protocol.execute({.name = "query-status"}), 1U);
    EXPECT_EQ(taken(protocol), Lines{});
    protocol.feed(kGreeting);
    EXPECT_EQ(taken(protocol),
              Lines{R"(> {"execute":"qmp_capabilities","arguments":{"enable":["oob"]},"id":0})"});
    protocol.feed("{\"return\": {}, \"id\": 0}\r\n");
    EXPECT_EQ(taken(protocol),
              (Lines{"ready 7.2.22 oob=true", R"(> {"execute":"query-status","id":1})"}));
    protocol.feed("{\"return\": {\"status\": \"running\"}, \"id\": 1}\r\n");
    EXPECT_EQ(taken(protocol), Lines{R"(1: {"status":"running"})"});
    EXPECT_EQ(protocol.pending(), 0U);
}

TEST(Qmp, BytesMayComeInAnyPieces) {
    QmpProtocol protocol;
    protocol.execute({.name = "stop"});
    const std::string input = std::string(kGreeting) + "{\"return\": {}, \"id\": 0}\r\n" +
                              "{\"timestamp\": {\"seconds\": 1, \"microseconds\": 5}, "
                              "\"event\": \"STOP\"}\r\n{\"return\": {}, \"id\": 1}\r\n";
    for (const char byte : input)
        protocol.feed({&byte, 1});
    const Lines lines = taken(protocol);
    ASSERT_EQ(lines.size(), 5U);
    EXPECT_EQ(lines[3], "event STOP null 1000005");
    EXPECT_EQ(lines[4], "1: {}");
}

TEST(Qmp, OutOfBandOvertakesAFullQueue) {
    QmpProtocol protocol = ready_protocol();
    for (int count = 0; count < 10; ++count)
        protocol.execute({.name = "query-status"});
    EXPECT_EQ(taken(protocol).size(), 6U) << "QEMU stops reading at 8";
    protocol.execute({.name = "migrate-pause", .out_of_band = true});
    EXPECT_EQ(taken(protocol), Lines{R"(> {"exec-oob":"migrate-pause","id":11})"});
    protocol.feed("{\"id\": 11, \"return\": {}}\n{\"id\": 1, \"return\": {}}\n");
    EXPECT_EQ(taken(protocol),
              (Lines{"11: {}", "1: {}", R"(> {"execute":"query-status","id":7})"}));
}

TEST(Qmp, WithoutOutOfBandEverythingGoesInOrder) {
    QmpProtocol protocol;
    protocol.feed(R"({"QMP": {"version": {"qemu": {"major": 7}}, "capabilities": []}})"
                  "\n");
    protocol.feed("{\"return\": {}, \"id\": 0}\n");
    EXPECT_EQ(taken(protocol), (Lines{R"(> {"execute":"qmp_capabilities","arguments":{},"id":0})",
                                      "ready 7.0.0 oob=false"}));
    protocol.execute({.name = "migrate-pause", .out_of_band = true});
    EXPECT_EQ(taken(protocol), Lines{R"(> {"execute":"migrate-pause","id":1})"});
}

TEST(Qmp, OneDescriptorAtATime) {
    QmpProtocol protocol = ready_protocol();
    protocol.execute({.name = "getfd", .descriptor = 7});
    protocol.execute({.name = "getfd", .descriptor = 8});
    protocol.execute({.name = "query-status"});
    auto actions = protocol.take_actions();
    ASSERT_EQ(actions.size(), 1U) << "the second would replace the first inside QEMU";
    EXPECT_EQ(std::get<QmpSend>(actions[0]).descriptor, 7);
    protocol.feed("{\"return\": {}, \"id\": 1}\n");
    actions = protocol.take_actions();
    ASSERT_EQ(actions.size(), 3U);
    EXPECT_EQ(std::get<QmpSend>(actions[1]).descriptor, 8);
    EXPECT_EQ(std::get<QmpSend>(actions[2]).descriptor, -1);
}

TEST(Qmp, ErrorsCarryQemusWordsAndTheCommandsName) {
    QmpProtocol protocol = ready_protocol();
    protocol.execute({.name = "cont"});
    protocol.execute({.name = "nonsense"});
    protocol.take_actions();
    protocol.feed(
        R"({"id": 2, "error": {"class": "CommandNotFound", "desc": "no such"}})"
        "\n"
        R"({"id": 1, "error": {"class": "GenericError", "desc": "Block node is read-only"}})"
        "\n");
    const auto actions = protocol.take_actions();
    EXPECT_EQ(std::get<QmpReply>(actions[0]).value.error().code, ErrorCode::no_support);
    EXPECT_EQ(std::get<QmpReply>(actions[1]).value.error(),
              (Error{ErrorCode::operation_failed, "QEMU refused 'cont': Block node is read-only"}));
}

TEST(Qmp, ADeadMonitorAnswersEveryCommandOnceAndThenCloses) {
    QmpProtocol protocol = ready_protocol();
    for (int count = 0; count < 8; ++count)
        protocol.execute({.name = "query-status"});
    protocol.take_actions();
    protocol.close({ErrorCode::connection_lost, "QEMU is gone"});
    const Lines lines = taken(protocol);
    ASSERT_EQ(lines.size(), 9U);
    EXPECT_EQ(lines[0], "1: error QEMU is gone");
    EXPECT_EQ(lines[7], "8: error QEMU is gone");
    EXPECT_EQ(lines[8], "closed QEMU is gone");
    protocol.close({ErrorCode::internal, "again"});
    protocol.execute({.name = "stop"});
    EXPECT_EQ(taken(protocol), Lines{"9: error QEMU is gone"});
}

TEST(Qmp, WhatBreaksTheProtocolClosesTheMonitor) {
    const std::string broken[] = {"nonsense\n",
                                  "[]\n",
                                  "{}\n",
                                  "{\"return\": {}}\n",
                                  "{\"return\": {}, \"id\": 77}\n",
                                  "{\"event\": 3}\n",
                                  std::string(100, '[') + "\n",
                                  std::string(3000, ' ')};
    for (const std::string& line : broken) {
        QmpProtocol protocol = ready_protocol({.line_bytes = 2000, .depth = 20});
        protocol.feed(line);
        EXPECT_EQ(protocol.state(), QmpProtocol::State::closed) << line;
        protocol.feed(line);
        EXPECT_EQ(protocol.take_actions().size(), 1U) << line;
    }
    QmpProtocol no_greeting;
    no_greeting.feed("{\"hello\": {}}\n");
    EXPECT_EQ(no_greeting.state(), QmpProtocol::State::closed);
}

// Seen beside a build: a daemon died while its guest was moved, and the next one read this first.
TEST(Qmp, WhatWasMeantForWhoWasConnectedBeforeIsPassedOver) {
    QmpProtocol protocol;
    protocol.feed("{\"event\": \"STOP\"}\n{\"return\": {}, \"id\": 7}\n");
    EXPECT_EQ(protocol.state(), QmpProtocol::State::greeting);
    EXPECT_TRUE(protocol.take_actions().empty());
    protocol.feed("{\"QMP\": {\"version\": {\"qemu\": {\"major\": 7}}, \"capabilities\": []}}\n");
    EXPECT_EQ(protocol.state(), QmpProtocol::State::negotiating);
    protocol.take_actions();
    // What that one asked last may be answered first now.
    protocol.feed("{\"return\": {}, \"id\": 7}\n{\"return\": {}, \"id\": 0}\n");
    EXPECT_EQ(protocol.state(), QmpProtocol::State::ready);
    protocol.feed("{\"return\": {}, \"id\": 7}\n");
    EXPECT_EQ(protocol.state(), QmpProtocol::State::closed);
}

TEST(Qmp, ASecondGreetingIsNegotiatedAnew) {
    const std::string greeting =
        "{\"QMP\": {\"version\": {\"qemu\": {\"major\": 7}}, \"capabilities\": []}}\n";
    // The answers to both: the first may be lost with what the second greeting begins anew, or may
    // be the one that counts.
    for (const char* said : {"{\"return\": {}, \"id\": 1}\n",
                             "{\"return\": {}, \"id\": 0}\n{\"return\": {}, \"id\": 1}\n",
                             "{\"return\": {}, \"id\": 0}\n{\"error\": {\"class\": "
                             "\"CommandNotFound\", \"desc\": \"already\"}, \"id\": 1}\n"}) {
        QmpProtocol protocol;
        protocol.feed(greeting + greeting);
        EXPECT_EQ(protocol.state(), QmpProtocol::State::negotiating) << said;
        protocol.feed(said);
        EXPECT_EQ(protocol.state(), QmpProtocol::State::ready) << said;
        EXPECT_EQ(protocol.pending(), 0u) << said;
        protocol.feed(greeting);
        EXPECT_EQ(protocol.state(), QmpProtocol::State::closed) << "once, and no more";
    }
    // Also behind the first answer, and those who use it hear of one beginning.
    QmpProtocol late;
    late.feed(greeting + "{\"return\": {}, \"id\": 0}\n" + greeting);
    late.feed("{\"return\": {}, \"id\": 1}\n");
    EXPECT_EQ(late.state(), QmpProtocol::State::ready);
    int ready = 0;
    for (const QmpAction& action : late.take_actions())
        ready += std::holds_alternative<QmpReady>(action) ? 1 : 0;
    EXPECT_EQ(ready, 1);
}

TEST(Qmp, NumbersOfAnEarlierConnectionDoNotFit) {
    QmpProtocol protocol({}, 1000);
    protocol.feed("{\"QMP\": {\"version\": {\"qemu\": {\"major\": 7}}, \"capabilities\": []}}\n");
    // An earlier one's negotiation.
    protocol.feed("{\"return\": {}, \"id\": 0}\n");
    EXPECT_EQ(protocol.state(), QmpProtocol::State::negotiating);
    protocol.feed("{\"return\": {}, \"id\": 1000}\n");
    EXPECT_EQ(protocol.state(), QmpProtocol::State::ready);
    EXPECT_EQ(protocol.execute({.name = "stop"}), 1001);
}

TEST(Qmp, TooManyWaitingCommandsAreRefusedByName) {
    QmpProtocol protocol({.pending = 2});
    for (int count = 0; count < 3; ++count)
        protocol.execute({.name = "stop"});
    EXPECT_EQ(taken(protocol), Lines{"3: error 'stop' was not sent: 2 QMP commands wait already"});
}

}  // namespace
}  // namespace segue
