// SPDX-License-Identifier: LGPL-2.1-or-later
// The source's side of one migration, protocols v2 and v3. See migrate.h for how to drive it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "migrate/machine.h"
#include "migrate/record.h"

namespace segue::migrate {

enum class SourceState : std::uint8_t {
    idle,
    begun,             // v3: Begin was answered, Perform is awaited
    linking,           // the peer link is dialled
    starting,          // the record that a transfer is coming is being stored
    screen,            // the clients of the screen are being linked to the destination
    transferring,      // QEMU sends
    cancelling,        // QEMU was told to cancel
    resuming,          // never given: the guest goes on here, alone
    giving,            // the record given(id) is being stored
    taking_back,       // cancelled meanwhile: the record held(id) is being stored again
    handing,           // v2: the right travels over the peer link
    given,             // the right is out of our hands
    taken_known,       // v3: the destination said taken; Confirm is awaited
    asking,            // the destination is asked: taken, or refused for ever?
    unresolved,        // no answer: paused, with the recorded way on
    confirming,        // taken: the record is being stored
    lingering,         // taken: the source QEMU stays until the screen has moved
    killing,           // taken: the source QEMU is ending
    returning,         // refused(id) was promised: the record is being stored
    resuming_back,     // refused: the guest goes on here
    awaiting_confirm,  // refused, and the guest runs: only Confirm is missing
    ended,
};

enum class SourceEvent : std::uint8_t {
    // calls of the client (in peer-to-peer, of our own driver)
    begin_called,
    perform_called,
    perform_rejected,  // Perform was called with arguments that nothing can be done with
    confirm_succeeded,
    confirm_cancelled,
    cancel_asked,
    resolve_here,
    resolve_there,
    client_closed,  // the connection that drives the migration is gone
    // the peer link
    peer_linked,
    peer_lost,      // also: could not be dialled
    peer_received,  // v2: the destination holds the right
    peer_took,
    peer_refused,
    peer_unknown,  // it never heard of this migration
    // what our own actions lead to
    record_stored,
    record_failed,
    screen_ready,  // the clients are linked, or the bound passed, or there is none
    screen_done,   // SPICE_MIGRATE_COMPLETED
    timer_expired,
    // QEMU
    transfer_completed,
    transfer_failed,
    transfer_cancelled,
    guest_suspended,  // a user's `suspend`: the guest arrives paused, or stays here paused
    guest_resumed,
    resume_failed,
    qemu_exited,
    // the daemon started again, and found the record
    restarted,
};

enum class SourceGuard : std::uint8_t {
    always,
    cancel_wanted,   // cancel was asked, or the client left, while a record was being stored
    offline,         // no guest to move, only the definition
    peer_has_link,   // the destination's cookie carried our element
    peer_has_right,  // the destination knows the right to run
    managed,         // driven from outside: the client's death ends it
    guest_gone,      // the source's QEMU is gone
    screen_moving,   // a client follows the guest
    confirm_owed,    // v3: Confirm was neither called nor became impossible
};

enum class SourceVerb : std::uint8_t {
    none,
    enter_phase,        // Job::set_phase(action.phase), log, timeline event
    reply_ok,           // answer action.call; Perform's cookie carries the right when it is given
    reply_error,        // answer action.call with action.error
    reply_outcome,      // resumed here: Perform failed, while Confirm and resolve are answered OK
    write_record,       // store action.record durably, then feed record_stored or record_failed
    note_record,        // store action.record; nobody waits for it
    forget_record,      // delete the record (no answer awaited)
    dial_peer,          // -> peer_linked | peer_lost
    ask_peer,           // over the link, dialled anew if need be -> peer_took|refused|unknown|lost
    give_right,         // v2: send the right over the link -> peer_received | peer_lost
    cancel_peer,        // tell the destination: never given, forget it (lost is harmless)
    release_peer,       // tell the destination: outcome known here, forget your promise
    close_peer,         // close the link
    move_screen,        // client_migrate_info and the wait -> screen_ready
    drop_screen,        // the migration will not happen: stop waiting
    start_transfer,     // QMP migrate -> transfer_completed | failed | cancelled
    cancel_transfer,    // QMP migrate_cancel
    resume_guest,       // QMP cont if action.run, else nothing -> guest_resumed | resume_failed
    kill_guest,         // end QEMU in the background -> qemu_exited
    settle_definition,  // carry out UNDEFINE_SOURCE; the domain is no longer active here
    report_unresolved,  // domstate reason, status, log: action.error names the command
    start_timer,        // one timer a machine, replaced by the next start -> timer_expired
    stop_timer,
    end_job,  // Job::finish; outcome in action.error (none: completed). The last action.
};

enum class SourceCall : std::uint8_t { none, begin, perform, confirm, resolve };

struct SourceAction {
    SourceVerb verb = SourceVerb::none;
    SourceCall call = SourceCall::none;
    Phase phase = Phase::none;
    std::optional<Error> error;
    Record record;
    Duration delay{};
    bool run = false;
};

// What the destination's Prepare cookie says about it (nothing, for a stock peer).
struct DestinationOffer {
    Uuid id;
    PeerAddress peer;
    std::string host;
    bool protects = false;  // it goes on with a protection that comes with Finish's cookie
};

struct SourceInput {
    SourceEvent event;
    std::optional<Error> cause{};             // why, for failures; a fitting text is made otherwise
    std::optional<DestinationOffer> offer{};  // perform_called
    bool screen_moving = false;               // screen_ready
};

struct SourceOptions {
    Protocol protocol = Protocol::version3;
    Uuid fallback_id;  // random; used toward a stock peer
    Uuid domain;
    std::string domain_name;
    std::string incarnation;
    bool peer_to_peer = false;
    bool offline = false;
    // The guest runs now: it is to run again if it stays here.
    std::uint64_t flags = 0;  // virDomainMigrateFlags, for the record
    bool run_guest = true;
};

struct SourceTypes {
    using State = SourceState;
    using Event = SourceEvent;
    using Verb = SourceVerb;
    using Action = SourceAction;
    using Input = SourceInput;
    using TableRow = Row<SourceState, SourceEvent, SourceGuard, SourceVerb>;
};

class SourceMachine : public Machine<SourceMachine, SourceTypes> {
  public:
    explicit SourceMachine(SourceOptions options);
    // After a restart of the daemon: then feed `restarted`. guest_alive: the source's QEMU exists.
    static SourceMachine restored(const Record& record, bool guest_alive);

    const Record& record() const { return record_; }
    // The right is out of our hands and no answer is known: only `segue resolve` or the peer help.
    bool unresolved() const { return state() == SourceState::unresolved; }

    // Bounds, as documented in docs/migration.md.
    static constexpr Duration kLinkBound = 2s;
    static constexpr Duration kHandBound = 5s;
    static constexpr Duration kTakeBound = 30s;
    static constexpr Duration kAskBound = 3s;
    static constexpr Duration kAskAgain = 2s;
    static constexpr Duration kLingerBound = 5s;

  private:
    friend class Machine<SourceMachine, SourceTypes>;
    std::vector<std::span<const TableRow>> rows() const;
    std::span<const Late<SourceEvent>> late_rules() const;
    Error refusal(const Late<SourceEvent>& rule) const;
    bool holds(SourceGuard guard, const SourceInput& input) const;
    void learn(const SourceInput& input);
    void learn_call(const SourceInput& input);
    void entered(SourceState to);
    std::optional<SourceAction> fill(SourceVerb verb);
    std::optional<SourceAction> reply(SourceVerb verb);
    Error default_cause(SourceEvent event) const;
    Error given_up_cause() const;
    std::string destination_name() const;
    Error unresolved_error() const;
    SourceAction stop_timer() const;
    SourceAction start_timer(Duration bound) const;
    SourceAction enter_phase(Phase phase) const;

  public:
    Phase phase_of(SourceState state) const;
    Duration bound_of(SourceState state) const;
    static bool rearms(SourceState state) { return state == SourceState::unresolved; }
    static std::string_view step_name(SourceState state);

  private:
    SourceOptions options_;
    Record record_;
    std::optional<Error> cause_;
    SourceCall call_ = SourceCall::none;
    bool cancel_wanted_ = false;
    bool guest_gone_ = false;
    bool screen_moving_ = false;
    bool confirm_owed_ = false;
};

// The tables, for the tests and the documents. `phase_of` a state depends on the protocol alone.
std::span<const SourceTypes::TableRow> source_rows_version3();
std::span<const SourceTypes::TableRow> source_rows_version2();
std::span<const SourceTypes::TableRow> source_rows_shared();
std::span<const Late<SourceEvent>> source_late_rules();
std::span<const Named<SourceState>> source_states();
std::span<const Named<SourceEvent>> source_events();
std::span<const Named<SourceGuard>> source_guards();
std::span<const Named<SourceVerb>> source_verbs();
std::string_view name_of(SourceCall call);
Phase source_phase(SourceState state, Protocol protocol);

}  // namespace segue::migrate
