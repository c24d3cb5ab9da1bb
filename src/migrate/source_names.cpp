// SPDX-License-Identifier: LGPL-2.1-or-later
// Names and meanings of the source's states, events, guards and actions: logs, timeline, documents.
#include "migrate/source.h"

namespace segue::migrate {
namespace {

using S = SourceState;
using E = SourceEvent;
using G = SourceGuard;
using V = SourceVerb;

const Named<S> kStates[] = {
    {S::idle, "idle", "nothing was begun"},
    {S::begun, "begun", "Begin was answered, Perform is awaited"},
    {S::linking, "linking", "the peer link is being dialled"},
    {S::starting, "starting", "the record of the coming transfer is being stored"},
    {S::screen, "screen", "the clients of the screen are being linked to the destination"},
    {S::transferring, "transferring", "QEMU sends the guest"},
    {S::cancelling, "cancelling", "QEMU was told to cancel"},
    {S::resuming, "resuming", "the right was never given: the guest goes on here, alone"},
    {S::giving, "giving", "the record given(id) is being stored"},
    {S::taking_back, "taking_back", "not handed out after all: held(id) is being stored again"},
    {S::handing, "handing", "the right travels over the peer link"},
    {S::given, "given", "the right is with the destination or on its way"},
    {S::taken_known, "taken_known", "the destination said taken(id); Confirm is awaited"},
    {S::asking, "asking", "the destination is asked: taken(id), or refused(id) for ever?"},
    {S::unresolved, "unresolved", "no answer: the guest stays paused, with the recorded way on"},
    {S::confirming, "confirming", "taken(id): the record is being stored"},
    {S::lingering, "lingering", "taken(id): the source QEMU stays until the screen has moved"},
    {S::killing, "killing", "taken(id): the source QEMU is ending"},
    {S::returning, "returning", "refused(id) was promised: the record is being stored"},
    {S::resuming_back, "resuming_back", "refused(id) was promised: the guest goes on here"},
    {S::awaiting_confirm, "awaiting_confirm", "the guest runs here again; Confirm is awaited"},
    {S::ended, "ended", "the job is over"},
};

const Named<E> kEvents[] = {
    {E::begin_called, "begin_called", "the client calls Begin"},
    {E::perform_called, "perform_called", "the client calls Perform"},
    {E::perform_rejected, "perform_rejected", "Perform's arguments cannot be used"},
    {E::confirm_succeeded, "confirm_succeeded", "Confirm: Finish returned the domain"},
    {E::confirm_cancelled, "confirm_cancelled",
     "Confirm: Prepare or Finish failed, or its reply was lost"},
    {E::cancel_asked, "cancel_asked", "domjobabort"},
    {E::resolve_here, "resolve_here", "`segue resolve --runs-here`"},
    {E::resolve_there, "resolve_there", "`segue resolve --runs-there`"},
    {E::client_closed, "client_closed", "the client's connection is gone"},
    {E::peer_linked, "peer_linked", "the peer link is up"},
    {E::peer_lost, "peer_lost", "the peer link is down, or cannot be dialled"},
    {E::peer_received, "peer_received", "the destination holds the right (v2)"},
    {E::peer_took, "peer_took", "the destination says taken(id)"},
    {E::peer_refused, "peer_refused", "the destination promises refused(id)"},
    {E::peer_unknown, "peer_unknown", "the destination does not know the migration"},
    {E::record_stored, "record_stored", "the record is durable"},
    {E::record_failed, "record_failed", "the record could not be stored"},
    {E::screen_ready, "screen_ready", "the screen's clients are linked, or are not waited for"},
    {E::screen_done, "screen_done", "the screen's clients have moved"},
    {E::timer_expired, "timer_expired", "the state's bound has passed"},
    {E::transfer_completed, "transfer_completed", "QEMU has sent everything and is paused"},
    {E::transfer_failed, "transfer_failed", "QEMU's migration failed"},
    {E::transfer_cancelled, "transfer_cancelled", "QEMU's migration was cancelled"},
    {E::guest_suspended, "guest_suspended", "a user suspends the guest on the way"},
    {E::guest_resumed, "guest_resumed", "the guest is as it was before"},
    {E::resume_failed, "resume_failed", "QEMU would not resume the guest"},
    {E::qemu_exited, "qemu_exited", "the source QEMU is gone"},
    {E::restarted, "restarted", "the daemon started and found the record"},
};

const Named<G> kGuards[] = {
    {G::always, "", ""},
    {G::cancel_wanted, "cancel wanted", "cancelled, refused or deserted while a record was stored"},
    {G::offline, "offline", "only the definition moves"},
    {G::peer_has_link, "peer has link", "the destination's cookie carried our element"},
    {G::peer_has_right, "peer knows the right", "the destination is one of ours"},
    {G::managed, "managed", "driven from outside this daemon"},
    {G::guest_gone, "guest gone", "the source QEMU is gone"},
    {G::screen_moving, "screen moving", "a client follows the guest"},
    {G::confirm_owed, "Confirm owed", "the client lives and has not called Confirm"},
};

const Named<V> kVerbs[] = {
    {V::none, "", ""},
    {V::enter_phase, "enter phase", "the job's phase, as users see it"},
    {V::reply_ok, "reply OK", "answers the open call"},
    {V::reply_error, "reply error", "answers the open call with the cause"},
    {V::reply_outcome, "reply outcome", "Perform gets the cause, Confirm and resolve get OK"},
    {V::write_record, "**store record**", "durable before anything else happens"},
    {V::note_record, "note record", "stores the record anew; nobody waits for it"},
    {V::forget_record, "forget record", "deletes the record"},
    {V::dial_peer, "dial peer", "opens the peer link"},
    {V::ask_peer, "ask peer", "asks over the peer link, dialled anew if need be"},
    {V::give_right, "give right", "sends the right over the peer link"},
    {V::cancel_peer, "cancel peer", "tells the destination that the right was never given"},
    {V::release_peer, "release peer", "tells the destination to forget its promise"},
    {V::close_peer, "close peer", "closes the peer link"},
    {V::move_screen, "move screen", "announces the destination to the clients and waits for them"},
    {V::drop_screen, "drop screen", "takes the announcement back"},
    {V::start_transfer, "start transfer", "QMP migrate"},
    {V::cancel_transfer, "cancel transfer", "QMP migrate_cancel"},
    {V::resume_guest, "**resume guest**", "gives the guest the run state it had"},
    {V::kill_guest, "**kill guest**", "ends the source QEMU"},
    {V::settle_definition, "settle definition", "undefines the domain where that was asked"},
    {V::report_unresolved, "report unresolved", "state, status and log name the command"},
    {V::start_timer, "start timer", ""},
    {V::stop_timer, "stop timer", ""},
    {V::end_job, "end job", "releases the domain"},
};

}  // namespace

std::span<const Named<S>> source_states() {
    return kStates;
}
std::span<const Named<E>> source_events() {
    return kEvents;
}
std::span<const Named<G>> source_guards() {
    return kGuards;
}
std::span<const Named<V>> source_verbs() {
    return kVerbs;
}

std::string_view name_of(SourceCall call) {
    static constexpr std::string_view kNames[] = {"none", "begin", "perform", "confirm", "resolve"};
    return kNames[static_cast<std::size_t>(call)];
}

Phase source_phase(S state, Protocol protocol) {
    if (state == S::idle || state == S::ended) return Phase::none;
    if (protocol == Protocol::version2) return Phase::perform2;
    switch (state) {
        case S::begun: return Phase::begin3;
        case S::given:
        case S::taken_known:
        case S::asking: return Phase::perform3_done;
        // Also reached from `returning`, whose record could not be stored: never backwards.
        case S::unresolved:
        case S::returning:
        case S::resuming_back:
        case S::awaiting_confirm: return Phase::confirm3_cancelled;
        case S::confirming:
        case S::lingering:
        case S::killing: return Phase::confirm3;
        default: return Phase::perform3;
    }
}

}  // namespace segue::migrate
