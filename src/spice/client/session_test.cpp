// SPDX-License-Identifier: LGPL-2.1-or-later
// What a session decides: where it goes when a connection ends, what it keeps, what it forgets.
#include "spice/client/session_test_servers.h"

namespace segue::spice::client {
namespace {

namespace main = wire::main;
namespace display = wire::display;

using SessionLossTest = SessionTest;
using SessionMoveTest = SessionTest;

// --- A source that is lost -----------------------------------------------------------------------

TEST_F(SessionLossTest, ALineThatBreaksWhileTheMachineIsCopiedLeadsBackToTheSource) {
    be_connected();
    be_linked("away");
    const int before = attempts_at("away");
    end_all_of("home");
    serve_fresh("home");
    ASSERT_TRUE(until([&] { return diary_.count("connected home") == 2; }));
    EXPECT_TRUE(diary_.has("lost")) << "the user sees it";
    EXPECT_EQ(attempts_at("away"), before) << "the target lets in whoever comes";
    EXPECT_EQ(find("away", kMain), nullptr);
    // The machine goes at last: the source sends whoever came anew.
    find("home", kMain)->say(main::MigrateSwitchHost{to("away")});
    serve_fresh("away");
    EXPECT_TRUE(until([&] { return diary_.has("done away"); }));
}

// Stock servers, whose source listens on for a while.
TEST_F(SessionLossTest, ASourceThatEndsTheSessionOfAViewerThatCameBackHasLetItsMachineGo) {
    be_connected();
    be_linked("away");
    end_all_of("home");
    serve_fresh("home");
    ASSERT_TRUE(until([&] { return diary_.count("connected home") == 2; }));
    ASSERT_TRUE(until([&] { return find("away", kMain) == nullptr; }));
    const int before = attempts_at("home");
    end_all_of("home");
    serve_fresh("away");
    ASSERT_TRUE(until([&] { return diary_.has("connected away"); }));
    EXPECT_EQ(attempts_at("home"), before);
}

TEST_F(SessionLossTest, ASourceThatIsGoneForGoodLeadsToTheAnnouncedTarget) {
    be_connected();
    be_linked("away");
    const int before = attempts_at("home");
    refuses_.insert("home");
    end_all_of("home");
    ASSERT_TRUE(until([&] { return find("away", kMain) == nullptr; })) << "those that waited go";
    serve_fresh("away");
    ASSERT_TRUE(until([&] { return diary_.has("connected away"); }));
    EXPECT_GE(attempts_at("home") - before, 2) << "the source was asked first";
    refuses_ = {"away", "home"};
    const int after = attempts_at("away");
    end_all_of("away");
    ASSERT_TRUE(until([&] { return attempts_at("away") >= after + 3; }));
}

TEST_F(SessionLossTest, ATargetThatWasCancelledIsNeverTried) {
    be_connected();
    be_linked("away");
    find("home", kMain)->say(main::MigrateCancel{});
    ASSERT_TRUE(until([&] { return diary_.has("cancelled"); }));
    const int before = attempts_at("away");
    const int home = attempts_at("home");
    refuses_.insert("home");
    end_all_of("home");
    ASSERT_TRUE(until([&] { return attempts_at("home") >= home + 5; }));
    EXPECT_EQ(attempts_at("away"), before);
}

TEST_F(SessionLossTest, AMachineThatIsSwitchedOffIsNoError) {
    settings_.reconnect_for = 300ms;
    be_connected();
    refuses_.insert("home");
    end_all_of("home");
    ASSERT_TRUE(until([&] { return diary_.has("over"); }));
    EXPECT_EQ(session_->state(), FollowerState::over);
}

TEST_F(SessionLossTest, AnotherViewerThatTakesTheScreenTwiceKeepsIt) {
    be_connected();
    end_all_of("home");
    serve_fresh("home");
    ASSERT_TRUE(until([&] { return diary_.count("connected home") == 2; }))
        << "once may be a server that is served anew";
    const int before = attempts_at("home");
    end_all_of("home");
    ASSERT_TRUE(until([&] { return diary_.has("over cancelled"); }));
    loop_.run_for(300ms);
    EXPECT_EQ(attempts_at("home"), before);
}

TEST_F(SessionLossTest, ATicketThatHasExpiredIsAskedForSoon) {
    be_connected();
    verdict_ = wire::LinkError::permission_denied;
    end_all_of("home");
    ASSERT_TRUE(until([&] { return diary_.has("over auth_failed"); }));
    EXPECT_TRUE(session_->was_denied());
    EXPECT_LE(diary_.count("connected home"), 1u);
}

TEST_F(SessionLossTest, AFirstPasswordThatIsWrongIsNotTriedAgain) {
    verdict_ = wire::LinkError::permission_denied;
    start();
    ASSERT_TRUE(until([&] { return diary_.has("over auth_failed"); }));
    EXPECT_TRUE(session_->was_denied());
}

TEST_F(SessionLossTest, SoundStopsWhenItsServerIsGone) {
    settings_.audio = true;
    be_connected();
    const ChannelKey playback{wire::ChannelType::playback, 0};
    find("home", kMain)->say(main::ChannelsList{{{playback.type, playback.id}}});
    ASSERT_TRUE(until([&] { return find("home", playback) != nullptr; }));
    find("home", playback)->say(wire::playback::Start{2, wire::AudioFormat::s16, 44100, 0});
    ASSERT_TRUE(until([&] { return diary_.has("sound"); }));
    refuses_.insert("home");
    find("home", kMain)->end();
    EXPECT_TRUE(until([&] { return diary_.has("silence"); }));
    EXPECT_FALSE(diary_.has("over"));
}

TEST_F(SessionLossTest, AChannelWithTroubleNowAndThenIsNeverGivenUp) {
    settings_.trouble_for = 100ms;
    be_connected();
    const int before = attempts_at("home");
    for (int trouble = 1; trouble <= 6; ++trouble) {
        loop_.run_for(150ms);
        find("home", kDisplay)->end();
        ASSERT_TRUE(until([&] { return attempts_at("home") == before + trouble; })) << trouble;
        ASSERT_TRUE(until([&] { return find("home", kDisplay) != nullptr; })) << trouble;
        find("home", kDisplay)->say(surface(0, 640));
    }
    EXPECT_FALSE(diary_.has("lost"));
}

TEST_F(SessionLossTest, AChannelThatOnlyMakesTroubleIsGivenUp) {
    be_connected();
    for (int trouble = 1; trouble <= 4; ++trouble) {
        ASSERT_TRUE(until([&] { return find("home", kDisplay) != nullptr; })) << trouble;
        find("home", kDisplay)->end();
    }
    EXPECT_TRUE(until([&] { return diary_.has("lost"); }));
}

// A target lets in whoever comes, with or without the machine.
TEST_F(SessionLossTest, ATargetThatEndsWithoutTheMachineLeadsBackToTheSource) {
    be_connected();
    be_linked("away");
    refuses_ = {"home"};
    end_all_of("home");
    ASSERT_TRUE(until([&] { return find("away", kMain) == nullptr; }));
    serve_fresh("away");
    ASSERT_TRUE(until([&] { return diary_.has("connected away"); }));
    refuses_ = {"away"};
    end_all_of("away");
    serve_fresh("home");
    EXPECT_TRUE(until([&] { return diary_.count("connected home") == 2; }));
}

// Its ports are soon another machine's.
TEST_F(SessionLossTest, AnotherMachineThatListensWhereItWasToGoIsLeft) {
    be_connected();
    find("home", kMain)->say(main::Uuid{{1}});
    be_linked("away");
    refuses_ = {"home"};
    end_all_of("home");
    ASSERT_TRUE(until([&] { return find("away", kMain) == nullptr; }));
    ASSERT_TRUE(until([&] { return find("away", kMain) != nullptr; }));
    find("away", kMain)->say(init());
    find("away", kMain)->say(main::Uuid{{2}});
    ASSERT_TRUE(until([&] { return find("away", kMain) == nullptr; }));
    const int before = attempts_at("away");
    const int home = attempts_at("home");
    ASSERT_TRUE(until([&] { return attempts_at("home") >= home + 3; }));
    EXPECT_EQ(attempts_at("away"), before);
    refuses_.clear();
    ASSERT_TRUE(until([&] { return find("home", kMain) != nullptr; }));
    find("home", kMain)->say(init());
    find("home", kMain)->say(main::Uuid{{1}});
    find("home", kMain)->say(main::ChannelsList{});
    EXPECT_TRUE(until([&] { return diary_.count("connected home") == 2; }));
    EXPECT_FALSE(diary_.has("connected away"));
}

TEST_F(SessionLossTest, AnotherMachineInTheOnlyPlaceIsLeftAlone) {
    be_connected();
    find("home", kMain)->say(main::Uuid{{1}});
    end_all_of("home");
    ASSERT_TRUE(until([&] { return find("home", kMain) == nullptr; }));
    ASSERT_TRUE(until([&] { return find("home", kMain) != nullptr; }));
    find("home", kMain)->say(init());
    find("home", kMain)->say(main::Uuid{{2}});
    EXPECT_TRUE(until([&] { return diary_.has("over operation_invalid"); }));
}

// Of a QEMU that was given none: it says nothing.
TEST_F(SessionLossTest, AMachineWithoutAUuidIsNoOtherOne) {
    be_connected();
    find("home", kMain)->say(main::Uuid{{1}});
    end_all_of("home");
    ASSERT_TRUE(until([&] { return find("home", kMain) == nullptr; }));
    ASSERT_TRUE(until([&] { return find("home", kMain) != nullptr; }));
    find("home", kMain)->say(init());
    find("home", kMain)->say(main::Uuid{});
    find("home", kMain)->say(main::ChannelsList{});
    EXPECT_TRUE(until([&] { return diary_.count("connected home") == 2; }));
}

// A QEMU that was given no UUID may have been given a name; one that it gives itself says nothing.
TEST_F(SessionLossTest, AMachineOfAnotherNameIsAnotherOne) {
    be_connected();
    find("home", kMain)->say(main::Name{"ours"});
    for (const bool is_ours : {true, false}) {
        end_all_of("home");
        ASSERT_TRUE(until([&] { return find("home", kMain) == nullptr; }));
        ASSERT_TRUE(until([&] { return find("home", kMain) != nullptr; }));
        find("home", kMain)->say(init());
        find("home", kMain)->say(main::Name{is_ours ? "QEMU 7.2.22" : "theirs"});
        find("home", kMain)->say(main::ChannelsList{});
        if (is_ours) {
            ASSERT_TRUE(until([&] { return diary_.count("connected home") == 2; }));
        }
    }
    EXPECT_TRUE(until([&] { return diary_.has("over operation_invalid"); }));
    EXPECT_EQ(diary_.count("connected home"), 2u);
}

// It may have been given another one on the way.
TEST_F(SessionLossTest, TheNameOfAMachineWithAUuidDoesNotMatter) {
    be_connected();
    find("home", kMain)->say(main::Name{"ours"});
    find("home", kMain)->say(main::Uuid{{1}});
    end_all_of("home");
    ASSERT_TRUE(until([&] { return find("home", kMain) == nullptr; }));
    ASSERT_TRUE(until([&] { return find("home", kMain) != nullptr; }));
    find("home", kMain)->say(init());
    find("home", kMain)->say(main::Name{"another"});
    find("home", kMain)->say(main::Uuid{{1}});
    find("home", kMain)->say(main::ChannelsList{});
    EXPECT_TRUE(until([&] { return diary_.count("connected home") == 2; }));
}

TEST_F(SessionLossTest, AServerThatIsStartedAnewTwiceIsNoOtherViewer) {
    be_connected();
    for (std::size_t times = 2; times <= 4; ++times) {
        refuses_ = {"home"};
        const int before = attempts_at("home");
        end_all_of("home");
        ASSERT_TRUE(until([&] { return attempts_at("home") > before; }));
        refuses_.clear();
        serve_fresh("home");
        ASSERT_TRUE(until([&] { return diary_.count("connected home") == times; })) << times;
    }
    EXPECT_FALSE(diary_.has("over cancelled"));
}

// --- Moves ---------------------------------------------------------------------------------------

TEST_F(SessionMoveTest, AChannelThatComesBehindACancelledMoveIsNotLinkedToItsTarget) {
    be_connected();
    be_linked("away");
    find("home", kMain)->say(main::MigrateCancel{});
    ASSERT_TRUE(until([&] { return diary_.has("cancelled"); }));
    const int before = attempts_at("away");
    const ChannelKey port{wire::ChannelType::port, 0};
    find("home", kMain)->say(main::ChannelsList{{{port.type, port.id}}});
    ASSERT_TRUE(until([&] { return find("home", port) != nullptr; }));
    loop_.run_for(50ms);
    EXPECT_EQ(attempts_at("away"), before);
}

TEST_F(SessionMoveTest, AChannelThatComesLateIsLinkedToTheTargetToo) {
    be_connected();
    be_linked("away");
    const ChannelKey port{wire::ChannelType::port, 0};
    find("home", kMain)->say(main::ChannelsList{{{port.type, port.id}}});
    EXPECT_TRUE(until([&] { return find("away", port) != nullptr; }));
}

// What was kept, and what arrives together with the word that lets it go on, come in their order.
TEST_F(SessionMoveTest, WhatAHeldChannelKeptComesBeforeWhatArrivesThen) {
    be_connected();
    be_linked("away");
    find("away", kDisplay)->say(surface(0, 320));
    find("home", kMain)->say(main::MigrateEnd{});
    ASSERT_TRUE(
        until([&] { return find("away", kMain)->has_heard(main::MigrateEnd::kFromClient); }));
    // All of it is there before the session looks again.
    find("away", kMain)->say(init());
    find("away", kDisplay)->say(display::SurfaceDestroy{0});
    find("away", kDisplay)->say(surface(0, 800));
    find("away", kDisplay)->say(display::Mark{});
    ASSERT_TRUE(until([&] { return diary_.has("picture 800"); }));
    EXPECT_TRUE(until([&] { return diary_.has("done away"); }));
    EXPECT_FALSE(diary_.has("lost"));
    ASSERT_NE(find("away", kDisplay), nullptr);
    EXPECT_EQ(attempts_at("away"), 2) << "the display was linked again";
}

// A line that breaks is no device that was unplugged.
TEST_F(SessionMoveTest, AWaitingDeviceThatBreaksIsLinkedOnceMore) {
    be_connected();
    const ChannelKey port = be_linked_with_port();
    const int before = attempts_at("away");
    find("away", port)->end();
    ASSERT_TRUE(until([&] { return find("away", port) != nullptr; }));
    for (const ChannelKey key : {kDisplay, port, kMain})
        find("home", key)->say(wire::common::Migrate{});
    ASSERT_TRUE(until([&] { return diary_.has("done away"); }));
    EXPECT_NE(session_->stream(port), nullptr);
    EXPECT_EQ(attempts_at("away"), before + 1) << "it moved on the connection that waited";
    EXPECT_FALSE(diary_.has("lost"));
}

TEST_F(SessionMoveTest, AWaitingDeviceThatBreaksTwiceWasUnplugged) {
    be_connected();
    const ChannelKey port = be_linked_with_port();
    const int before = attempts_at("away");
    find("away", port)->end();
    ASSERT_TRUE(until([&] { return find("away", port) != nullptr; }));
    find("away", port)->end();
    loop_.run_for(300ms);
    for (const ChannelKey key : {kDisplay, port, kMain})
        find("home", key)->say(wire::common::Migrate{});
    ASSERT_TRUE(until([&] { return diary_.has("done away"); }));
    loop_.run_for(300ms);
    EXPECT_EQ(session_->stream(port), nullptr);
    EXPECT_EQ(attempts_at("away"), before + 1);
    EXPECT_FALSE(diary_.has("lost"));
}

TEST_F(SessionMoveTest, ADeviceThatBreaksWhileChannelsMoveIsLinkedAnew) {
    be_connected();
    const ChannelKey port = be_linked_with_port();
    find("home", kDisplay)->say(wire::common::Migrate{});
    ASSERT_TRUE(until([&] { return session_->state() == FollowerState::moving; }));
    find("away", port)->end();
    find("home", port)->say(wire::common::Migrate{});
    ASSERT_TRUE(
        until([&] { return diary_.has("problem port:0 has no connection at the target"); }));
    find("home", kMain)->say(wire::common::Migrate{});
    ASSERT_TRUE(until([&] { return diary_.has("done away"); }));
    ASSERT_TRUE(until([&] { return find("away", port) != nullptr; }));
    EXPECT_NE(session_->stream(port), nullptr);
    EXPECT_FALSE(diary_.has("lost"));
}

TEST_F(SessionMoveTest, ADeviceWhoseSourceBreaksBeforeItsTurnIsLinkedAnew) {
    be_connected();
    const ChannelKey port = be_linked_with_port();
    const int before = attempts_at("away");
    find("home", kDisplay)->say(wire::common::Migrate{});
    ASSERT_TRUE(until([&] { return session_->state() == FollowerState::moving; }));
    find("home", port)->end();
    ASSERT_TRUE(until([&] { return session_->stream(port) == nullptr; }));
    find("home", kMain)->say(wire::common::Migrate{});
    ASSERT_TRUE(until([&] { return diary_.has("done away"); }));
    EXPECT_TRUE(until([&] { return session_->stream(port) && find("away", port); }));
    EXPECT_EQ(attempts_at("away"), before + 1);
    EXPECT_FALSE(diary_.has("lost"));
}

// The source is not asked for it again when the others have begun to leave.
TEST_F(SessionMoveTest, ADeviceThatWasToBeLinkedAgainFollowsWhenOthersMove) {
    be_connected();
    const ChannelKey port = be_linked_with_port();
    const int before = attempts_at("home");
    find("home", port)->end();
    ASSERT_TRUE(until([&] { return !session_->takes_stream_bytes(port); }));
    find("home", kDisplay)->say(wire::common::Migrate{});
    ASSERT_TRUE(until([&] { return session_->state() == FollowerState::moving; }));
    find("home", kMain)->say(wire::common::Migrate{});
    ASSERT_TRUE(until([&] { return diary_.has("done away"); }));
    EXPECT_TRUE(until([&] { return session_->stream(port) && find("away", port); }));
    EXPECT_EQ(attempts_at("home"), before);
    EXPECT_FALSE(diary_.has("lost"));
}

TEST_F(SessionMoveTest, OnlyTheDeviceThatBrokeIsLinkedOnceMore) {
    be_connected();
    const ChannelKey port = be_linked_with_port();
    const int before = attempts_at("away");
    // Another one is plugged in, and the source takes its time.
    silent_ = {"home"};
    const ChannelKey late{wire::ChannelType::port, 1};
    find("home", kMain)->say(main::ChannelsList{{{late.type, late.id}}});
    ASSERT_TRUE(until([&] { return session_->stream(late) != nullptr; }));
    find("away", port)->end();
    loop_.run_for(300ms);
    EXPECT_NE(find("away", port), nullptr);
    EXPECT_EQ(attempts_at("away"), before + 1);
}

// --- Moves that are taken back -------------------------------------------------------------------

constexpr auto kWithState = static_cast<wire::common::MigrateFlags>(3);  // flush mark and data

TEST_F(SessionMoveTest, AMoveThatIsTakenBackHalfWayKeepsTheSession) {
    be_connected();
    const ChannelKey port = be_linked_with_port();
    find("home", port)->say(wire::port::Init{"a port", true});
    const int home = attempts_at("home");
    find("home", kDisplay)->say(wire::common::Migrate{});
    find("home", port)->say(wire::common::Migrate{kWithState});
    ASSERT_TRUE(until([&] {
        return session_->state() == FollowerState::moving &&
               find("home", port)->has_heard(wire::common::MigrateFlushMark::kFromClient);
    }));
    // The picture's source goes on before its word is there; the port's state is under way.
    find("home", kDisplay)->say(display::SurfaceDestroy{0});
    find("home", kDisplay)->say(surface(0, 800));
    loop_.run_for(50ms);
    EXPECT_FALSE(diary_.has("picture 800")) << "its channel listens elsewhere";
    find("home", kMain)->say(main::MigrateCancel{});
    find("home", port)->say(wire::common::MigrateData{});
    ASSERT_TRUE(until([&] { return diary_.has("cancelled"); }));
    EXPECT_EQ(session_->state(), FollowerState::settled);
    EXPECT_TRUE(until([&] { return diary_.has("picture 800"); }));
    EXPECT_TRUE(until([&] { return find("away", kMain) == nullptr; }));
    // Both ways, behind the state that nobody wants any more.
    wire::spicevmc::Data said;
    said.data.append(wire::SharedBytes::copy(as_bytes("more")));
    find("home", port)->say(said);
    EXPECT_TRUE(until([&] { return diary_.has("data more"); }));
    session_->stream(port)->give(as_bytes("and more"));
    EXPECT_TRUE(
        until([&] { return find("home", port)->has_heard(wire::spicevmc::Data::kFromClient); }));
    EXPECT_EQ(attempts_at("home"), home) << "nothing was linked anew";
    EXPECT_FALSE(diary_.has("lost"));
    // And it can go again.
    be_linked_seamlessly("there");
    for (const ChannelKey key : {kDisplay, port, kMain})
        find("home", key)->say(wire::common::Migrate{});
    EXPECT_TRUE(until([&] { return diary_.has("done there"); }));
}

TEST_F(SessionMoveTest, AChannelThatCannotGoBackIsLinkedAnew) {
    be_connected();
    be_linked_seamlessly("away");
    find("home", kDisplay)->say(wire::common::Migrate{});
    ASSERT_TRUE(until([&] { return session_->state() == FollowerState::moving; }));
    find("home", kDisplay)->end();
    loop_.run_for(50ms);
    find("home", kMain)->say(main::MigrateCancel{});
    ASSERT_TRUE(until([&] { return diary_.has("cancelled"); }));
    ASSERT_TRUE(until([&] { return find("home", kDisplay) != nullptr; }));
    find("home", kDisplay)->say(surface(0, 800));
    EXPECT_TRUE(until([&] { return diary_.has("picture 800"); }));
    EXPECT_FALSE(diary_.has("lost"));
}

// The main channel is there already: its new server speaks of where the machine goes next.
TEST_F(SessionMoveTest, AnAnnouncementOfTheTargetThatIsTakenBackIsNoneOfTheMove) {
    be_connected();
    be_linked_seamlessly("away");
    find("home", kMain)->say(wire::common::Migrate{});
    ASSERT_TRUE(until([&] { return session_->state() == FollowerState::moving; }));
    find("away", kMain)->say(main::MigrateBegin{to("further")});
    find("away", kMain)->say(main::MigrateCancel{});
    loop_.run_for(50ms);
    EXPECT_EQ(session_->state(), FollowerState::moving);
    find("home", kDisplay)->say(wire::common::Migrate{});
    ASSERT_TRUE(until([&] { return diary_.has("done away"); }));
    loop_.run_for(50ms);
    EXPECT_FALSE(diary_.has("begin further"));
}

// --- Memory --------------------------------------------------------------------------------------

// Messages that never become whole, on one channel after the other.
TEST_F(SessionLossTest, AServerCannotMakeTheSessionKeepMoreThanItsBound) {
    settings_.memory_bound = std::size_t{4} << 20;
    be_connected();
    std::vector<main::ChannelId> ports;
    for (std::uint8_t number = 0; number < 8; ++number)
        ports.push_back({wire::ChannelType::port, number});
    find("home", kMain)->say(main::ChannelsList{ports});
    for (const auto& port : ports)
        ASSERT_TRUE(until([&] { return find("home", {port.type, port.id}) != nullptr; }));
    const int before = attempts_at("home");
    for (const auto& port : ports) {
        LittleWriter out;
        out.u16(wire::spicevmc::Data::kFromServer);
        out.u32(2 << 20);
        out.zeros(1 << 20);
        find("home", {port.type, port.id})->say_bytes(out.take());
    }
    // Some are closed, and linked anew like others that broke.
    EXPECT_TRUE(until([&] { return attempts_at("home") > before; }));
    EXPECT_FALSE(diary_.has("lost"));
}

// It goes while its server's next word is looked at.
TEST_F(SessionMoveTest, AChannelThatWaitsMayBeLeftBehind) {
    be_connected();
    be_linked_seamlessly("away");
    // A display more; the target does not answer for it.
    silent_ = {"away"};
    const ChannelKey late{wire::ChannelType::display, 2};
    find("home", kMain)->say(main::ChannelsList{{{late.type, late.id}}});
    ASSERT_TRUE(until([&] { return find("home", late) != nullptr; }));
    wire::common::WaitForChannels wait;
    wait.wait_list.push_back({kDisplay.type, kDisplay.id, 2});
    find("home", late)->say(wait);
    find("home", late)->say(wire::common::Migrate{});
    loop_.run_for(50ms);
    find("home", kDisplay)->say(display::Mark{});
    ASSERT_TRUE(
        until([&] { return diary_.has("problem display:2 has no connection at the target"); }));
    EXPECT_EQ(session_->state(), FollowerState::moving);
    EXPECT_EQ(session_->display(2), nullptr);
}

}  // namespace
}  // namespace segue::spice::client
