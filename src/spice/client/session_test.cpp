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
    // It is home there: the old target is nothing to it any more.
    refuses_ = {"away"};
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

}  // namespace
}  // namespace segue::spice::client
