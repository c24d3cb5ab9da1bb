// SPDX-License-Identifier: LGPL-2.1-or-later
// Stories of single migrations: what each machine asks for, step by step. The simulator plays the
// machines against each other; here each is alone with its events.
#include <gtest/gtest.h>

#include <algorithm>

#include "migrate/migrate.h"
#include "store/records.h"

namespace segue::migrate {
namespace {

using SE = SourceEvent;
using SS = SourceState;
using SV = SourceVerb;
using DE = DestinationEvent;
using DS = DestinationState;
using DV = DestinationVerb;

const Uuid kId = *Uuid::parse("12345678-1234-4234-8234-123456789abc");
const PeerAddress kPeer{"10.0.0.2", 7, {1, 2, 3}};

template <class Machine>
struct Story {
    using Verb = typename Machine::Verb;
    using Action = typename Machine::Action;
    Machine machine;
    std::vector<Action> actions;

    explicit Story(Machine the_machine) : machine(std::move(the_machine)) {}

    Story& on(typename Machine::Input input) {
        auto answer = machine.handle(input, Instant{});
        EXPECT_TRUE(answer) << answer.error().message;
        actions = answer.value_or(std::vector<Action>{});
        return *this;
    }
    bool has(Verb verb) const { return find(verb) != nullptr; }
    const Action* find(Verb verb) const {
        for (const Action& action : actions) {
            if (action.verb == verb) return &action;
        }
        return nullptr;
    }
    Error refused(typename Machine::Input input) {
        const auto before = machine.state();
        auto answer = machine.handle(input, Instant{});
        EXPECT_FALSE(answer);
        EXPECT_EQ(machine.state(), before);
        return answer ? Error{} : answer.error();
    }
};
using SourceStory = Story<SourceMachine>;
using DestinationStory = Story<DestinationMachine>;

SourceOptions source_options(Protocol protocol, bool peer_to_peer = false) {
    SourceOptions options;
    options.protocol = protocol;
    options.fallback_id = *Uuid::parse("00000000-0000-4000-8000-000000000001");
    options.domain_name = "gf";
    options.peer_to_peer = peer_to_peer;
    return options;
}

SourceInput perform(bool stock = false) {
    SourceInput input{SE::perform_called};
    if (!stock) input.offer = DestinationOffer{kId, kPeer, "hostb"};
    return input;
}

SourceStory transferring(Protocol protocol, bool stock = false, bool peer_to_peer = false) {
    SourceStory story{SourceMachine(source_options(protocol, peer_to_peer))};
    if (protocol == Protocol::version3) story.on({SE::begin_called});
    story.on(perform(stock));
    if (!stock) story.on({SE::peer_linked});
    EXPECT_EQ(story.find(SV::write_record)->record.right, Right::held);
    story.on({SE::record_stored}).on({SE::screen_ready});
    EXPECT_TRUE(story.has(SV::start_transfer));
    return story;
}

SourceStory given(Protocol protocol, bool stock = false, bool peer_to_peer = false) {
    SourceStory story = transferring(protocol, stock, peer_to_peer);
    story.on({SE::transfer_completed});
    EXPECT_EQ(story.find(SV::write_record)->record.right, Right::given);
    EXPECT_FALSE(story.has(SV::reply_ok));
    story.on({SE::record_stored});
    return story;
}

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

DestinationStory prepared(bool ours, Protocol protocol = Protocol::version3) {
    DestinationOptions options;
    options.protocol = protocol;
    options.id = kId;
    options.domain_name = "gf";
    options.source_has_right = ours;
    DestinationStory story{DestinationMachine(options)};
    DestinationInput prepare{DE::prepare_called};
    prepare.peer = kPeer;
    story.on(prepare);
    EXPECT_FALSE(story.has(DV::start_incoming));
    story.on({DE::record_stored});
    EXPECT_TRUE(story.has(DV::start_incoming));
    story.on({DE::incoming_ready});
    EXPECT_EQ(story.find(DV::reply_ok)->call, DestinationCall::prepare);
    return story;
}

DestinationInput finish_with(std::optional<GivenRight> right) {
    DestinationInput input{DE::finish_succeeded};
    input.right = right;
    return input;
}

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
