// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/control/messages.h"

#include <gmock/gmock.h>

namespace segue::spice::control {
namespace {

using testing::HasSubstr;

TEST(ControlMessages, EventsComeBackAsTheyWere) {
    const Event events[] = {
        {EventKind::client_connected, 3, 0, 0, 0},    {EventKind::client_disconnected, 3, 0, 0, 0},
        {EventKind::clients_linked, 0, 2, 1, 0},      {EventKind::client_parked, 4, 0, 0, 3},
        {EventKind::clients_left, 0, 0, 0, 0},        {EventKind::state, 0, 0, 0, 0, true, 120},
        {EventKind::state_taken, 0, 0, 0, 0, true, 0}};
    for (const Event& event : events) {
        const auto read = parse_line(to_line(event));
        ASSERT_TRUE(read) << to_line(event);
        EXPECT_EQ(std::get<Event>(*read), event);
    }
}

TEST(ControlMessages, StatusComesBackAsItWas) {
    Status status;
    status.migration = "linked";
    ClientStatus client;
    client.id = 1;
    client.connection_id = 0xdeadbeef;
    client.linked_to_target = true;
    client.round_trip_us = 250;
    client.main = {"main", 0, 3, 10, 20, 0, std::nullopt};
    PictureStatus pictures;
    pictures.compression = "auto_glz";
    pictures.images = 9;
    pictures.raw_bytes = 4000;
    pictures.encoded_bytes = 100;
    pictures.forms = {{"lz", 4}, {"quic", 5}};
    pictures.encode_us = 77;
    pictures.videos = 1;
    pictures.frames = 30;
    pictures.stale_pixels = 640;
    pictures.low_bandwidth = true;
    pictures.bits_per_second = 9'000'000;
    client.channels = {{"display", 0, 12, 3000, 40, 500, pictures},
                       {"inputs", 0, 1, 20, 30, 0, std::nullopt}};
    status.flooded_away = 5;
    status.unlinked = {1, 2, 3, 4, 6};
    status.clients.push_back(client);
    status.displays.push_back({0, 10, 5, 4000, 100});
    const auto read = parse_line(to_line(status));
    ASSERT_TRUE(read);
    EXPECT_EQ(std::get<Status>(*read), status);
}

TEST(ControlMessages, AStatusOfOtherTypesIsReadAsFarAsItGoes) {
    const auto read =
        parse_line(R"({"clients":[{"main":7,"channels":[{"pictures":[1],"bytes_sent":-1},)"
                   R"({"pictures":{"forms":{"lz":"x"}}},3]}],"flooded_away":"many",)"
                   R"("unlinked":[2]})");
    ASSERT_TRUE(read);
    const Status& status = std::get<Status>(*read);
    ASSERT_EQ(status.clients.size(), 1u);
    ASSERT_EQ(status.clients[0].channels.size(), 2u);
    EXPECT_TRUE(status.clients[0].channels[1].pictures->forms.empty());
    EXPECT_EQ(status.flooded_away, 0u);
    EXPECT_EQ(status.unlinked, UnlinkedStatus{});
}

TEST(ControlMessages, CommandsAreChecked) {
    const Command commands[] = {
        {CommandKind::status, false, 0},          {CommandKind::carry_state, false, 0},
        {CommandKind::drop_state, false, 0},      {CommandKind::state_taken, false, 0},
        {CommandKind::machine_arrived, false, 0}, {CommandKind::take_state, true, 120}};
    for (const Command& command : commands)
        EXPECT_EQ(parse_command(to_line(command)).value(), command) << to_line(command);
    EXPECT_EQ(parse_command(to_line({CommandKind::take_state, true, kMostBytes + 1})).error().code,
              ErrorCode::limit_exceeded);
    EXPECT_THAT(parse_command(R"({"cmd":"reboot"})").error().message, HasSubstr("reboot"));
    EXPECT_FALSE(parse_command("[1]"));
    EXPECT_FALSE(parse_command(std::string(kMostLine + 1, ' ')));
}

TEST(ControlMessages, WhatIsNeitherIsRefused) {
    EXPECT_FALSE(parse_line("{}"));
    EXPECT_FALSE(parse_line(R"({"event":"rain"})"));
    EXPECT_THAT(parse_line(error_line("no")).error().message, HasSubstr("no"));
}

TEST(ControlMessages, EveryTruncationIsRefused) {
    const std::string line = to_line(Event{EventKind::clients_linked, 0, 2, 1, 0});
    for (std::size_t size = 0; size < line.size(); ++size)
        EXPECT_FALSE(parse_line(std::string_view(line).substr(0, size))) << size;
}

}  // namespace
}  // namespace segue::spice::control
