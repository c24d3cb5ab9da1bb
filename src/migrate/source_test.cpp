// SPDX-License-Identifier: LGPL-2.1-or-later
#include "migrate/test_stories.h"

namespace segue::migrate {
namespace {

TEST(Source, Version3Succeeds) {
    SourceStory story = given(Protocol::version3);
    const SourceAction* reply = story.find(SV::reply_ok);
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->call, SourceCall::perform);
    EXPECT_EQ(reply->record.right, Right::given);
    EXPECT_EQ(reply->record.id, kId);
    EXPECT_EQ(story.machine.phase(), Phase::perform3_done);

    story.on({SE::confirm_succeeded});
    EXPECT_EQ(story.find(SV::write_record)->record.right, Right::taken);
    EXPECT_FALSE(story.has(SV::kill_guest));
    story.on({SE::record_stored});
    EXPECT_TRUE(story.has(SV::kill_guest));
    EXPECT_EQ(story.find(SV::reply_ok)->call, SourceCall::confirm);
    story.on({SE::qemu_exited});
    EXPECT_TRUE(story.has(SV::forget_record) && story.has(SV::release_peer));
    EXPECT_FALSE(story.find(SV::end_job)->error);
    EXPECT_TRUE(story.machine.ended());
}

TEST(Source, PhasesNeverGoBackwards) {
    for (Protocol protocol : {Protocol::version2, Protocol::version3}) {
        for (auto rows :
             {protocol == Protocol::version2 ? source_rows_version2() : source_rows_version3(),
              source_rows_shared()}) {
            for (const auto& row : rows) {
                if (row.to == SS::ended) continue;
                EXPECT_LE(source_phase(row.from, protocol), source_phase(row.to, protocol))
                    << SourceMachine::step_name(row.from) << " -> "
                    << SourceMachine::step_name(row.to);
            }
        }
    }
}

// Confirm(cancelled) does not say why: in which state it comes tells what can have failed, and our
// own driver says what did. A destination whose name nobody told is named without a gap.
TEST(Source, GivenUpBeforePerformIsNoFailureOfFinish) {
    const auto cause_of = [](SourceOptions options, SourceInput confirm) {
        SourceStory story{SourceMachine(std::move(options))};
        story.on({SE::begin_called}).on(std::move(confirm));
        EXPECT_EQ(story.find(SV::reply_ok)->call, SourceCall::confirm);
        return story.find(SV::end_job)->error.value_or(Error{});
    };
    const Error managed = cause_of(source_options(Protocol::version3), {SE::confirm_cancelled});
    EXPECT_EQ(managed.code, ErrorCode::operation_failed);
    EXPECT_EQ(managed.message,
              "the migration was given up before Perform: Prepare failed on the "
              "destination, or the client gave up");
    SourceOptions offline = source_options(Protocol::version3);
    offline.offline = true;
    EXPECT_EQ(cause_of(offline, {SE::confirm_cancelled}).message,
              "the migration was given up: Prepare or Finish failed on the destination, or the "
              "client gave up");
    const Error own{ErrorCode::system, "Cannot assign requested address"};
    EXPECT_EQ(cause_of(source_options(Protocol::version3, true), {SE::confirm_cancelled, own}),
              own);
}

TEST(Source, AFailedFinishNamesTheDestinationOrLeavesNoGap) {
    const auto cause_of = [](bool stock, SourceEvent first, SourceEvent then) {
        SourceStory story = given(Protocol::version3, stock);
        story.on({first}).on({then}).on({SE::record_stored}).on({SE::guest_resumed});
        if (!story.has(SV::end_job)) story.on({SE::confirm_cancelled});
        return story.find(SV::end_job)->error.value_or(Error{}).message;
    };
    EXPECT_EQ(cause_of(false, SE::confirm_cancelled, SE::peer_refused),
              "Finish failed on the destination hostb, or its reply was lost");
    EXPECT_EQ(cause_of(true, SE::confirm_cancelled, SE::resolve_here),
              "Finish failed on the destination, or its reply was lost");
}

TEST(Source, Version2HandsTheRightOverTheLink) {
    SourceStory story = given(Protocol::version2);
    EXPECT_TRUE(story.has(SV::give_right));
    EXPECT_FALSE(story.has(SV::reply_ok));
    story.on({SE::peer_received});
    EXPECT_EQ(story.find(SV::reply_ok)->call, SourceCall::perform);
    EXPECT_EQ(story.find(SV::start_timer)->delay, SourceMachine::kTakeBound);
    SourceStory silent = story;
    silent.on({SE::timer_expired});
    EXPECT_TRUE(silent.has(SV::ask_peer));
    EXPECT_FALSE(silent.has(SV::kill_guest));
    story.on({SE::peer_took}).on({SE::record_stored});
    EXPECT_TRUE(story.has(SV::kill_guest));

    // A refusal that comes before Perform was answered makes it fail.
    SourceStory refused = given(Protocol::version2);
    refused.on({SE::peer_lost}).on({SE::peer_refused}).on({SE::record_stored});
    refused.on({SE::guest_resumed});
    EXPECT_EQ(refused.find(SV::reply_error)->call, SourceCall::perform);

    // Without the link v2 could not hand over: it does not even start.
    SourceStory linkless{SourceMachine(source_options(Protocol::version2))};
    linkless.on(perform()).on({SE::peer_lost});
    EXPECT_NE(linkless.find(SV::reply_error)->error->message.find("10.0.0.2 port 7"),
              std::string::npos);
}

TEST(Source, CancelEndsEverywhereBeforeTheRightIsGiven) {
    SourceStory begun{SourceMachine(source_options(Protocol::version3))};
    begun.on({SE::begin_called}).on({SE::cancel_asked}).on(perform());
    EXPECT_EQ(begun.find(SV::reply_error)->error->code, ErrorCode::cancelled);
    EXPECT_EQ(begun.find(SV::reply_error)->error->message,
              "job 'migration out' canceled by client");

    SourceStory moving = transferring(Protocol::version3);
    moving.on({SE::cancel_asked});
    EXPECT_TRUE(moving.has(SV::cancel_transfer));
    SourceStory late = moving;
    late.on({SE::transfer_completed});  // QEMU was faster: the right is still here
    EXPECT_TRUE(late.has(SV::resume_guest));
    moving.on({SE::transfer_cancelled}).on({SE::guest_resumed});
    EXPECT_EQ(moving.find(SV::end_job)->error->code, ErrorCode::cancelled);

    SourceStory out = given(Protocol::version3);
    EXPECT_EQ(out.refused({SE::cancel_asked}).code, ErrorCode::operation_invalid);
}

// --abort-on-error: who waits for Perform, and the job's report, hear of the disk.
TEST(Source, ACancelTellsWhatItIsFor) {
    const Error disk{ErrorCode::operation_failed, "job 'migration out' failed due to I/O error"};
    SourceStory story = transferring(Protocol::version3);
    story.on({SE::cancel_asked, disk});
    EXPECT_TRUE(story.has(SV::cancel_transfer));
    story.on({SE::transfer_cancelled}).on({SE::guest_resumed});
    EXPECT_EQ(story.find(SV::reply_error)->error->message, disk.message);
    EXPECT_EQ(story.find(SV::end_job)->error->message, disk.message);
    // All of it has left: the guest is not this host's to stop.
    SourceStory out = given(Protocol::version3);
    EXPECT_EQ(out.refused({SE::cancel_asked, disk}).code, ErrorCode::operation_invalid);
}

TEST(Source, ClientDeathMattersOnlyWhereItDrives) {
    SourceStory managed = transferring(Protocol::version3);
    EXPECT_TRUE(managed.on({SE::client_closed}).has(SV::cancel_transfer));
    SourceStory peer_to_peer = transferring(Protocol::version3, false, true);
    EXPECT_TRUE(peer_to_peer.on({SE::client_closed}).actions.empty());
    SourceStory out = given(Protocol::version3);
    EXPECT_TRUE(out.on({SE::client_closed}).has(SV::ask_peer));
}

// The client that hears "Perform failed" calls no Confirm: nobody else would end the job.
TEST(Source, ARejectedPerformEndsTheJobOfBegin) {
    SourceStory story{SourceMachine(source_options(Protocol::version3))};
    story.on({SE::begin_called});
    story.on({SE::perform_rejected, Error{ErrorCode::invalid_argument, "no such URI"}});
    ASSERT_TRUE(story.has(SV::reply_error) && story.has(SV::end_job));
    EXPECT_EQ(story.find(SV::reply_error)->error->message, "no such URI");
    EXPECT_TRUE(story.machine.ended());
    // Somebody else's bad call does not end a migration that is under way.
    SourceStory running = transferring(Protocol::version3);
    EXPECT_EQ(running.refused({SE::perform_rejected}).code, ErrorCode::operation_invalid);
}

// Confirm came while nothing was known: nobody owes it any more when the promise arrives at last.
TEST(Source, ConfirmIsNotAwaitedTwice) {
    SourceStory story = given(Protocol::version3, false, true);
    story.on({SE::peer_refused}).on({SE::record_failed});
    EXPECT_TRUE(story.machine.unresolved());
    story.on({SE::confirm_cancelled});
    ASSERT_TRUE(story.has(SV::reply_error));
    EXPECT_NE(story.find(SV::reply_error)->error->message.find("segue resolve"), std::string::npos);
    story.on({SE::timer_expired}).on({SE::peer_refused}).on({SE::record_stored});
    story.on({SE::guest_resumed});
    EXPECT_TRUE(story.machine.ended());
}

TEST(Source, SuspendedGuestStaysSuspended) {
    SourceStory story = transferring(Protocol::version3);
    story.on({SE::guest_suspended}).on({SE::transfer_completed}).on({SE::record_stored});
    EXPECT_FALSE(story.find(SV::reply_ok)->record.run_guest);
    SourceStory failed = transferring(Protocol::version3);
    failed.on({SE::guest_suspended}).on({SE::transfer_failed});
    EXPECT_FALSE(failed.find(SV::resume_guest)->run);
}

// What was answered OK is durable while the guest is ours, and refused once it is not.
TEST(Source, ASuspendIsKeptOrRefused) {
    SourceStory story = transferring(Protocol::version3);
    story.on({SE::guest_suspended});
    ASSERT_TRUE(story.has(SV::note_record));
    const Record noted = story.find(SV::note_record)->record;
    EXPECT_FALSE(noted.run_guest);
    SourceStory again{SourceMachine::restored(noted, true)};
    again.on({SE::restarted}).on({SE::transfer_cancelled});
    EXPECT_FALSE(again.find(SV::resume_guest)->run);

    SourceStory open = given(Protocol::version3);
    EXPECT_FALSE(open.machine.check({SE::guest_suspended}));
    EXPECT_EQ(open.refused({SE::guest_suspended}).code, ErrorCode::operation_invalid);
    open.on({SE::confirm_cancelled}).on({SE::timer_expired});
    EXPECT_NE(open.refused({SE::guest_suspended}).message.find("--runs-there"), std::string::npos);
    open.on({SE::peer_refused}).on({SE::record_stored});
    EXPECT_TRUE(open.find(SV::resume_guest)->run);
    EXPECT_FALSE(open.machine.check({SE::guest_suspended}));
    EXPECT_TRUE(transferring(Protocol::version2).machine.check({SE::guest_suspended}));
}

TEST(Source, OfflineMovesTheDefinitionAlone) {
    SourceOptions options = source_options(Protocol::version3);
    options.offline = true;
    SourceStory story{SourceMachine(options)};
    story.on({SE::begin_called}).on({SE::confirm_succeeded});
    EXPECT_TRUE(story.has(SV::settle_definition) && story.has(SV::reply_ok));
    EXPECT_FALSE(story.has(SV::kill_guest));
    SourceStory online{SourceMachine(source_options(Protocol::version3))};
    online.on({SE::begin_called});
    EXPECT_EQ(online.refused({SE::confirm_succeeded}).code, ErrorCode::operation_invalid);
}

}  // namespace
}  // namespace segue::migrate
