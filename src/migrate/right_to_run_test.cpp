// SPDX-License-Identifier: LGPL-2.1-or-later
// Both ends: whoever may run the guest, and whoever may not for ever.
#include "migrate/test_stories.h"

namespace segue::migrate {
namespace {

// Finish is held back, the source asks, then Finish is let go: it fails, and one copy runs.
TEST(RightToRun, HeldFinishIsRefusedForEver) {
    SourceStory source = given(Protocol::version3);
    source.on({SE::confirm_cancelled});
    EXPECT_TRUE(source.has(SV::ask_peer));
    EXPECT_FALSE(source.has(SV::resume_guest));

    DestinationOptions options;
    options.id = kId;
    options.domain_name = "gf";
    options.source_has_right = true;
    DestinationStory destination{DestinationMachine(options)};
    DestinationInput prepare{DE::prepare_called};
    prepare.peer = kPeer;
    destination.on(prepare).on({DE::record_stored}).on({DE::incoming_ready}).on({DE::loaded});
    destination.on({DE::peer_linked}).on({DE::peer_asks});
    EXPECT_FALSE(destination.has(DV::tell_refused));
    EXPECT_EQ(destination.find(DV::write_record)->record.right, Right::refused);
    // Finish arrives while the promise is being stored …
    DestinationInput finish{DE::finish_succeeded};
    finish.right = GivenRight{kId, kPeer.key, true};
    DestinationStory early = destination;
    early.on(finish).on({DE::record_stored});
    EXPECT_TRUE(early.has(DV::reply_error) && early.has(DV::kill_incoming));
    EXPECT_FALSE(early.has(DV::resume_guest));
    // … or after it.
    destination.on({DE::record_stored});
    EXPECT_TRUE(destination.has(DV::tell_refused) && destination.has(DV::kill_incoming));
    destination.on(finish);
    EXPECT_TRUE(destination.has(DV::reply_error));
    EXPECT_EQ(destination.machine.state(), DS::promised);
    // After a restart too.
    DestinationStory again{DestinationMachine::restored(destination.machine.record(), false)};
    again.on({DE::restarted});
    EXPECT_EQ(again.refused(finish).code, ErrorCode::operation_invalid);
    again.on({DE::peer_asks});
    EXPECT_TRUE(again.has(DV::tell_refused));

    source.on({SE::peer_refused});
    EXPECT_FALSE(source.has(SV::resume_guest));
    source.on({SE::record_stored});
    EXPECT_TRUE(source.find(SV::resume_guest)->run);
    source.on({SE::guest_resumed});
    EXPECT_EQ(source.find(SV::reply_ok)->call, SourceCall::confirm);
    EXPECT_TRUE(source.find(SV::end_job)->error);
}

TEST(RightToRun, SilenceEndsInPausedWithAWayOn) {
    SourceStory story = given(Protocol::version3);
    story.on({SE::confirm_cancelled}).on({SE::timer_expired});
    EXPECT_TRUE(story.machine.unresolved());
    ASSERT_TRUE(story.has(SV::report_unresolved));
    EXPECT_NE(
        story.find(SV::report_unresolved)->error->message.find("segue resolve gf --runs-there"),
        std::string::npos);
    EXPECT_TRUE(story.has(SV::start_timer));
    // It asks again and again; a cancel names the way on.
    story.on({SE::timer_expired});
    EXPECT_TRUE(story.has(SV::ask_peer) && story.has(SV::start_timer));
    EXPECT_NE(story.refused({SE::cancel_asked}).message.find("--runs-here"), std::string::npos);

    SourceStory there = story;
    there.on({SE::resolve_there}).on({SE::record_stored});
    EXPECT_TRUE(there.has(SV::kill_guest));
    EXPECT_EQ(there.find(SV::reply_ok)->call, SourceCall::resolve);
    story.on({SE::resolve_here}).on({SE::record_stored});
    EXPECT_TRUE(story.has(SV::resume_guest));
}

TEST(RightToRun, StockPeerIsNeverGuessedAbout) {
    SourceStory story = given(Protocol::version3, true);
    EXPECT_FALSE(story.machine.record().peer_has_right);
    story.on({SE::confirm_cancelled});
    EXPECT_TRUE(story.machine.unresolved());
    EXPECT_FALSE(story.has(SV::ask_peer) || story.has(SV::start_timer));
    EXPECT_TRUE(story.has(SV::reply_error));

    SourceStory restarted{
        SourceMachine::restored(given(Protocol::version3, true).machine.record(), true)};
    restarted.on({SE::restarted});
    EXPECT_TRUE(restarted.machine.unresolved());
}

TEST(RightToRun, RestartFollowsTheRecord) {
    Record record;
    record.domain_name = "gf";
    record.peer_has_right = true;
    const auto restarted = [&](Right right, bool alive = true) {
        record.right = right;
        SourceStory story{SourceMachine::restored(record, alive)};
        story.on({SE::restarted});
        return story;
    };
    EXPECT_TRUE(restarted(Right::held).has(SV::cancel_transfer));
    EXPECT_TRUE(restarted(Right::held, false).has(SV::end_job));
    EXPECT_TRUE(restarted(Right::given).has(SV::ask_peer));
    EXPECT_TRUE(restarted(Right::taken).has(SV::kill_guest));
    EXPECT_TRUE(restarted(Right::taken, false).has(SV::forget_record));
    EXPECT_TRUE(restarted(Right::refused).has(SV::resume_guest));
}

// The link was cut while the right was out; a user resolved it: the guest runs on the source. What
// is still prepared there must not run it, whether its Finish comes later or came before.
TEST(RightToRun, WhatRunsHereAgainIsStoppedThere) {
    for (Protocol protocol : {Protocol::version2, Protocol::version3}) {
        SourceStory source = given(protocol);
        if (protocol == Protocol::version3) {
            source.on({SE::confirm_cancelled});
        } else {
            source.on({SE::timer_expired});
        }
        source.on({SE::peer_lost});
        ASSERT_TRUE(source.machine.unresolved());
        source.on({SE::resolve_here});
        EXPECT_FALSE(source.has(SV::cancel_peer));  // not before its own record says so
        source.on({SE::record_stored}).on({SE::guest_resumed});
        EXPECT_TRUE(source.has(SV::cancel_peer));
        EXPECT_FALSE(source.has(SV::release_peer));
    }

    DestinationStory waiting = prepared(true);
    waiting.on({DE::peer_linked}).on({DE::loaded}).on({DE::peer_lost}).on({DE::peer_linked});
    waiting.on({DE::peer_cancels});
    EXPECT_TRUE(waiting.has(DV::kill_incoming) && waiting.has(DV::forget_record));
    waiting.on(finish_with(GivenRight{kId, kPeer.key, true}));
    EXPECT_TRUE(waiting.has(DV::reply_error) && waiting.has(DV::end_job));
    EXPECT_FALSE(waiting.has(DV::resume_guest) || waiting.has(DV::write_record));

    DestinationStory loading = prepared(true);
    loading.on({DE::peer_linked}).on(finish_with(GivenRight{kId, kPeer.key, true}));
    ASSERT_EQ(loading.machine.state(), DS::finishing);
    loading.on({DE::peer_cancels});
    EXPECT_TRUE(loading.has(DV::kill_incoming) && loading.has(DV::forget_record));
    EXPECT_EQ(loading.find(DV::reply_error)->error->message, "the source gave the migration up");
    EXPECT_TRUE(loading.has(DV::end_job) && loading.machine.ended());
}

// A user said that it runs there, and the source ends its copy: what is prepared there may be the
// only one, and its Finish still counts.
TEST(RightToRun, AReleaseNeverEndsAPreparedGuest) {
    DestinationStory story = prepared(true);
    story.on({DE::loaded}).on({DE::peer_released});
    EXPECT_FALSE(story.has(DV::kill_incoming));
    story.on(finish_with(GivenRight{kId, kPeer.key, true})).on({DE::record_stored});
    EXPECT_TRUE(story.has(DV::resume_guest));
}

}  // namespace
}  // namespace segue::migrate
