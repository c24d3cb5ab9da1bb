// SPDX-License-Identifier: LGPL-2.1-or-later
// The destination's side of one migration, protocols v2 and v3. See migrate.h for how to drive it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "migrate/machine.h"
#include "migrate/record.h"

namespace segue::migrate {

enum class DestinationState : std::uint8_t {
    idle,
    recording,  // the record that a guest is awaited is being stored
    starting,   // the incoming QEMU starts
    prepared,   // Prepare was answered: RAM flows, Finish is awaited
    defined,    // offline: only the definition came
    finishing,  // Finish was called with the right: the last of the state is being loaded
    taking,     // the record taken(id) is being stored
    resuming,   // taken: the guest is being resumed
    running,    // taken, and Finish was carried out: the source is to hear it
    unsettled,  // as running, but the record of it could not be stored: tried again
    refusing,   // the record refused(id) is being stored
    silent,     // refused(id) could not be stored: tried again, nothing is promised yet
    refused,    // promised; Finish, or the client's end, is awaited
    promised,   // promised; the job is over, the promise is kept until the source releases it
    withdrawn,  // the source took the offer back before it gave the right: Finish is awaited
    ended,
};

enum class DestinationEvent : std::uint8_t {
    // calls of the client (in peer-to-peer, of the source's daemon)
    prepare_called,
    finish_succeeded,
    finish_cancelled,
    cancel_asked,   // domjobabort on the destination
    client_closed,  // the connection that drives the migration is gone
    // the peer link
    peer_linked,
    peer_lost,
    right_given,    // v2: the right came over the link
    peer_asks,      // taken, or refused for ever?
    peer_cancels,   // never given: forget it
    peer_released,  // the outcome is known there: forget the promise
    // what our own actions lead to
    record_stored,
    record_failed,
    timer_expired,
    incoming_ready,   // QEMU listens; the ports are known
    incoming_failed,  // it could not be started
    // QEMU
    loaded,       // its incoming migration is complete, and it is paused
    load_failed,  // its incoming migration failed
    guest_resumed,
    resume_failed,  // `cont` was answered with an error: the guest never ran
    qemu_exited,
    // the daemon started again, and found the record
    restarted,
};

enum class DestinationGuard : std::uint8_t {
    always,
    offline,
    client_gone,          // nobody waits for Finish any more
    finish_open,          // Finish was called and waits for its answer
    has_right,            // the right is here, or the source is a stock one that has none to give
    has_right_and_state,  // and QEMU has loaded everything
    source_may_ask,       // the source knows the right to run, and has not released us
    source_is_stock,      // it does not, or it has
    nothing_owed,         // a stock source, and Finish was called or nobody will call it
    guest_gone,           // the incoming QEMU died
    may_have_run,         // it was told to resume, and nobody knows whether it did
};

enum class DestinationVerb : std::uint8_t {
    none,
    enter_phase,
    reply_ok,           // answer action.call: Prepare's cookie carries the offer
    reply_error,        // answer action.call with action.error
    write_record,       // -> record_stored | record_failed
    forget_record,      // delete the record; no answer is awaited, the daemon tries until it can
    start_incoming,     // ports, QEMU with -S and -incoming -> incoming_ready | incoming_failed
    kill_incoming,      // end QEMU in the background; the domain is no longer active here
    resume_guest,       // QMP cont if action.run, else nothing -> guest_resumed | resume_failed
    settle_definition,  // carry out PERSIST_DEST; the domain belongs to this host
    tell_received,      // v2, over the link if it is up
    tell_taken,         // over the link if it is up
    tell_refused,       // over the link if it is up
    close_peer,
    start_timer,
    stop_timer,
    end_job,      // Job::finish; outcome in action.error (none: completed)
    end_machine,  // nothing is owed any more: destroy the machine. The last action.
};

enum class DestinationCall : std::uint8_t { none, prepare, finish };

struct DestinationAction {
    DestinationVerb verb = DestinationVerb::none;
    DestinationCall call = DestinationCall::none;
    Phase phase = Phase::none;
    std::optional<Error> error;
    Record record;
    Duration delay{};
    bool run = false;
};

// The right to run as a cookie or a peer link carries it.
struct GivenRight {
    Uuid id;
    PeerKey key{};
    // The guest is to run; false: it was suspended on the way.
    bool run_guest = true;

    friend bool operator==(const GivenRight&, const GivenRight&) = default;
};

struct DestinationInput {
    DestinationEvent event;
    std::optional<Error> cause{};
    std::optional<GivenRight> right{};  // finish_succeeded (v3), right_given (v2)
    PeerAddress peer{};                 // prepare_called: what our offer says
    std::string definition{};           // finish_succeeded: what is to be kept, checked
};

struct DestinationOptions {
    Protocol protocol = Protocol::version3;
    Uuid id;  // random: the id of this migration
    Uuid domain;
    std::string domain_name;
    std::string incarnation;
    std::string source_host;
    bool peer_to_peer = false;
    bool offline = false;
    std::uint64_t flags = 0;  // virDomainMigrateFlags, for the record
    bool run_guest = true;    // false: VIR_MIGRATE_PAUSED
    // v3: the source's Begin cookie says that it knows the right to run. v2: unknown until it
    // links.
    bool source_has_right = false;
};

struct DestinationTypes {
    using State = DestinationState;
    using Event = DestinationEvent;
    using Verb = DestinationVerb;
    using Action = DestinationAction;
    using Input = DestinationInput;
    using TableRow = Row<DestinationState, DestinationEvent, DestinationGuard, DestinationVerb>;
};

class DestinationMachine : public Machine<DestinationMachine, DestinationTypes> {
  public:
    explicit DestinationMachine(DestinationOptions options);
    // After a restart of the daemon: then feed `restarted`. guest_alive: the incoming QEMU exists.
    static DestinationMachine restored(const Record& record, bool guest_alive);

    const Record& record() const { return record_; }
    // The guest is this host's: the machine lives on only for the source's question.
    bool arrived() const {
        return state() == DestinationState::running || state() == DestinationState::unsettled;
    }
    // A source that dials in must show these.
    bool key_fits(const Uuid& id, const PeerKey& key) const;

    static constexpr Duration kLoadBound = 60s;
    static constexpr Duration kStoreAgain = 5s;
    // A promise that no source has released is kept this long; then the store may prune it.
    static constexpr Duration kPromiseKept = std::chrono::hours(30 * 24);

  private:
    friend class Machine<DestinationMachine, DestinationTypes>;
    std::vector<std::span<const TableRow>> rows() const;
    std::span<const Late<DestinationEvent>> late_rules() const;
    Error refusal(const Late<DestinationEvent>& rule) const;
    bool holds(DestinationGuard guard, const DestinationInput& input) const;
    void learn(const DestinationInput& input);
    void learn_cause(const DestinationInput& input);
    void entered(DestinationState to);
    std::optional<DestinationAction> fill(DestinationVerb verb);
    std::optional<DestinationAction> reply(DestinationVerb verb);
    Error default_cause(DestinationEvent event) const;
    bool right_fits(const DestinationInput& input) const;
    DestinationAction stop_timer() const;
    DestinationAction start_timer(Duration bound) const;
    DestinationAction enter_phase(Phase phase) const;

  public:
    Phase phase_of(DestinationState state) const;
    Duration bound_of(DestinationState state) const;
    static bool rearms(DestinationState state) {
        return state == DestinationState::silent || state == DestinationState::unsettled;
    }
    static std::string_view step_name(DestinationState state);

  private:
    DestinationOptions options_;
    Record record_;
    std::optional<Error> cause_;
    DestinationCall call_ = DestinationCall::none;
    bool cause_of_qemu_ = false;
    bool client_gone_ = false;
    bool source_may_ask_ = false;
    bool right_here_ = false;
    bool loaded_ = false;
    bool guest_gone_ = false;
    bool resumed_before_ = false;  // by a daemon that died
};

std::span<const DestinationTypes::TableRow> destination_rows_version3();
std::span<const DestinationTypes::TableRow> destination_rows_version2();
std::span<const DestinationTypes::TableRow> destination_rows_shared();
std::span<const Late<DestinationEvent>> destination_late_rules();
std::span<const Named<DestinationState>> destination_states();
std::span<const Named<DestinationEvent>> destination_events();
std::span<const Named<DestinationGuard>> destination_guards();
std::span<const Named<DestinationVerb>> destination_verbs();
std::string_view name_of(DestinationCall call);
Phase destination_phase(DestinationState state, Protocol protocol);

}  // namespace segue::migrate
