// SPDX-License-Identifier: LGPL-2.1-or-later
#include "migrate/test_stories.h"

namespace segue::migrate {
namespace {

TEST(Destination, TakesStoresThenResumes) {
    DestinationStory story = prepared(true);
    story.on(finish_with(GivenRight{kId, kPeer.key, true}));
    EXPECT_TRUE(story.has(DV::start_timer));
    story.on({DE::loaded});
    EXPECT_FALSE(story.has(DV::resume_guest));
    EXPECT_EQ(story.find(DV::write_record)->record.right, Right::taken);
    story.on({DE::record_stored});
    EXPECT_TRUE(story.find(DV::resume_guest)->run);
    EXPECT_FALSE(story.has(DV::tell_taken));
    story.on({DE::guest_resumed});
    EXPECT_TRUE(story.has(DV::tell_taken) && story.has(DV::settle_definition));
    EXPECT_EQ(story.find(DV::reply_ok)->call, DestinationCall::finish);
    EXPECT_TRUE(story.find(DV::write_record)->record.settled);
    story.on({DE::peer_released});
    EXPECT_TRUE(story.has(DV::forget_record) && story.has(DV::end_machine));
}

// The source undefines the domain when it hears of taken(id): from then on the definition is here,
// also when daemon and guest die at once.
TEST(Destination, KeepsTheDefinitionFromTakenOn) {
    DestinationStory story = prepared(true);
    DestinationInput finish = finish_with(GivenRight{kId, kPeer.key, true});
    finish.definition = "<domain/>";
    story.on({DE::loaded}).on(finish);
    const Record taken = story.find(DV::write_record)->record;
    EXPECT_EQ(taken.right, Right::taken);
    EXPECT_EQ(taken.definition, "<domain/>");
    for (const bool alive : {true, false}) {
        DestinationStory later{DestinationMachine::restored(taken, alive)};
        later.on({DE::restarted});
        if (alive) later.on({DE::guest_resumed});
        EXPECT_TRUE(later.has(DV::settle_definition));
        EXPECT_EQ(later.find(DV::write_record)->record.definition, "");
    }
    story.on({DE::record_stored}).on({DE::qemu_exited});
    EXPECT_TRUE(story.has(DV::settle_definition) && story.has(DV::tell_taken));
    // What is refused is kept by nobody here.
    DestinationStory rightless = prepared(true);
    finish.right.reset();
    rightless.on({DE::loaded}).on(finish);
    EXPECT_EQ(rightless.find(DV::write_record)->record.right, Right::refused);
    EXPECT_EQ(rightless.find(DV::write_record)->record.definition, "");
}

TEST(Destination, WantsTheRightOfThisMigration) {
    PeerKey other_key = kPeer.key;
    other_key[15] ^= 1;
    const std::optional<GivenRight> wrong[] = {std::nullopt, GivenRight{Uuid{}, kPeer.key, true},
                                               GivenRight{kId, other_key, true}};
    for (const auto& right : wrong) {
        DestinationStory story = prepared(true);
        story.on({DE::loaded}).on(finish_with(right)).on({DE::record_stored});
        EXPECT_TRUE(story.has(DV::kill_incoming) && story.has(DV::tell_refused));
        EXPECT_NE(story.find(DV::reply_error)->error->message.find("without the right to run"),
                  std::string::npos);
    }
    // A stock source has none to give.
    DestinationStory stock = prepared(false);
    stock.on({DE::loaded}).on(finish_with(std::nullopt)).on({DE::record_stored});
    EXPECT_TRUE(stock.has(DV::resume_guest));
    stock.on({DE::guest_resumed});
    EXPECT_TRUE(stock.has(DV::forget_record) && stock.has(DV::end_machine));
}

TEST(Destination, Version2WaitsForTheRightOnTheLink) {
    DestinationStory story = prepared(false, Protocol::version2);
    story.on({DE::peer_linked});
    DestinationStory rightless = story;
    rightless.on({DE::loaded}).on(finish_with(std::nullopt));
    EXPECT_EQ(rightless.machine.state(), DS::refusing);
    DestinationInput given_over{DE::right_given};
    given_over.right = GivenRight{kId, kPeer.key, false};
    story.on(given_over);
    EXPECT_TRUE(story.has(DV::tell_received));
    story.on({DE::loaded}).on(finish_with(std::nullopt)).on({DE::record_stored});
    EXPECT_FALSE(story.find(DV::resume_guest)->run);
}

TEST(Destination, CancelledFinishSaysSoAsLibvirtDoes) {
    DestinationStory story = prepared(true);
    story.on({DE::finish_cancelled}).on({DE::record_stored});
    EXPECT_EQ(story.find(DV::reply_error)->error->code, ErrorCode::migrate_finish_ok);
    // Unless QEMU itself had something to say.
    DestinationStory broken = prepared(true);
    DestinationInput failed{DE::load_failed};
    failed.cause = Error{ErrorCode::operation_failed, "Unknown savevm section"};
    broken.on(failed).on({DE::record_stored}).on({DE::finish_cancelled});
    EXPECT_EQ(broken.find(DV::reply_error)->error->message, "Unknown savevm section");
    // That loading failed, and the end of the QEMU that is killed for it, say nothing.
    DestinationStory wordless = prepared(true);
    wordless.on({DE::load_failed}).on({DE::record_stored});
    DestinationInput ended{DE::qemu_exited};
    ended.cause = Error{ErrorCode::operation_failed, "QEMU was ended by signal 15"};
    wordless.on(ended).on({DE::finish_cancelled});
    EXPECT_EQ(wordless.find(DV::reply_error)->error->code, ErrorCode::migrate_finish_ok);
}

TEST(Destination, RefusesAfterTakingOnlyIfTheGuestNeverRan) {
    DestinationStory story = prepared(true);
    story.on({DE::loaded}).on(finish_with(GivenRight{kId, kPeer.key, true}));
    DestinationStory dead = story;
    dead.on({DE::qemu_exited}).on({DE::record_stored});
    EXPECT_EQ(dead.find(DV::write_record)->record.right, Right::refused);
    story.on({DE::record_stored});
    DestinationStory unwilling = story;
    unwilling.on({DE::resume_failed});
    EXPECT_EQ(unwilling.find(DV::write_record)->record.right, Right::refused);
    // It may have run for a moment: taken it is.
    story.on({DE::qemu_exited});
    EXPECT_TRUE(story.has(DV::tell_taken) && story.has(DV::reply_error));
    EXPECT_EQ(story.machine.record().right, Right::taken);
}

TEST(Destination, AGuestThatMayHaveRunIsNeverRefused) {
    // QEMU did not answer `cont` in time: it may have carried it out.
    DestinationStory silent = prepared(true);
    silent.on({DE::loaded}).on({DE::finish_succeeded, {}, GivenRight{kId, kPeer.key, true}});
    silent.on({DE::record_stored});
    ASSERT_TRUE(silent.has(DV::resume_guest));
    const DestinationStory asked = silent;
    silent.on({DE::resume_failed, Error{ErrorCode::timeout, "QEMU did not answer"}});
    EXPECT_TRUE(silent.has(DV::tell_taken) && silent.has(DV::reply_ok));
    EXPECT_FALSE(silent.has(DV::kill_incoming));
    DestinationStory garbled = asked;
    garbled.on({DE::resume_failed, Error{ErrorCode::protocol, "a line that is no JSON"}});
    EXPECT_TRUE(garbled.has(DV::tell_taken));
    EXPECT_FALSE(garbled.has(DV::kill_incoming));
    // A daemon before us resumed it; that it cannot be resumed now says nothing.
    Record record = silent.machine.record();
    record.settled = false;
    DestinationStory restarted{DestinationMachine::restored(record, true)};
    restarted.on({DE::restarted}).on({DE::resume_failed});
    EXPECT_TRUE(restarted.has(DV::tell_taken));
    EXPECT_EQ(restarted.machine.state(), DS::running);
}

TEST(Destination, BrokenStorePromisesNothingUntilItIsWell) {
    DestinationStory story = prepared(true);
    story.on({DE::client_closed}).on({DE::record_failed});
    // Neither is the incoming QEMU ended: a record taken(id) that could not be written may be there
    // after a crash.
    EXPECT_FALSE(story.has(DV::kill_incoming) || story.has(DV::end_job));
    EXPECT_FALSE(story.has(DV::tell_refused) || story.has(DV::forget_record));
    EXPECT_EQ(story.find(DV::start_timer)->delay, DestinationMachine::kStoreAgain);
    story.on({DE::timer_expired});
    EXPECT_EQ(story.find(DV::write_record)->record.right, Right::refused);
    EXPECT_TRUE(story.has(DV::start_timer));
    story.on({DE::record_stored});
    EXPECT_TRUE(story.has(DV::kill_incoming) && story.has(DV::tell_refused));
    EXPECT_TRUE(story.has(DV::end_job));
}

}  // namespace
}  // namespace segue::migrate
