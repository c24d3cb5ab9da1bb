// SPDX-License-Identifier: LGPL-2.1-or-later
// Names and meanings of the destination's states, events, guards and actions: logs, timeline,
// documents.
#include "migrate/destination.h"

namespace segue::migrate {
namespace {

using S = DestinationState;
using E = DestinationEvent;
using G = DestinationGuard;
using V = DestinationVerb;

const Named<S> kStates[] = {
    {S::idle, "idle", "nothing was prepared"},
    {S::recording, "recording", "the record of the awaited guest is being stored"},
    {S::starting, "starting", "the incoming QEMU starts"},
    {S::prepared, "prepared", "Prepare was answered: RAM flows, Finish is awaited"},
    {S::defined, "defined", "offline: the definition is here, Finish is awaited"},
    {S::finishing, "finishing", "Finish was called with the right: the last state is loaded"},
    {S::taking, "taking", "the record taken(id) is being stored"},
    {S::resuming, "resuming", "taken(id): the guest is being resumed"},
    {S::running, "running", "taken(id), Finish was carried out: the source is to hear it"},
    {S::unsettled, "unsettled",
     "as running, but the record of it could not be stored: tried again"},
    {S::refusing, "refusing", "the record refused(id) is being stored"},
    {S::silent, "silent", "refused(id) could not be stored: tried again, nothing is promised yet"},
    {S::refused, "refused", "refused(id) is promised; Finish or the client's end is awaited"},
    {S::promised, "promised", "the job is over; the promise is kept until it is released"},
    {S::withdrawn, "withdrawn", "the right was never given; Finish or the client's end is awaited"},
    {S::ended, "ended", "nothing is owed any more"},
};

const Named<E> kEvents[] = {
    {E::prepare_called, "prepare_called", "the client calls Prepare"},
    {E::finish_succeeded, "finish_succeeded", "Finish: Perform succeeded"},
    {E::finish_cancelled, "finish_cancelled", "Finish: Perform failed"},
    {E::cancel_asked, "cancel_asked", "domjobabort on the destination"},
    {E::client_closed, "client_closed", "the client's connection is gone"},
    {E::peer_linked, "peer_linked", "the source has dialled in"},
    {E::peer_lost, "peer_lost", "the peer link is down"},
    {E::right_given, "right_given", "the right came over the peer link (v2)"},
    {E::peer_asks, "peer_asks", "the source asks: taken(id), or refused(id) for ever?"},
    {E::peer_cancels, "peer_cancels", "the source never gave the right"},
    {E::peer_released, "peer_released", "the source knows the outcome: the promise may go"},
    {E::record_stored, "record_stored", "the record is durable"},
    {E::record_failed, "record_failed", "the record could not be stored"},
    {E::timer_expired, "timer_expired", "the state's bound has passed"},
    {E::incoming_ready, "incoming_ready", "QEMU listens"},
    {E::incoming_failed, "incoming_failed", "QEMU could not be started"},
    {E::loaded, "loaded", "QEMU has loaded everything and is paused"},
    {E::load_failed, "load_failed", "QEMU's incoming migration failed"},
    {E::guest_resumed, "guest_resumed", "the guest has its run state"},
    {E::resume_failed, "resume_failed", "QEMU refused to resume: the guest never ran here"},
    {E::qemu_exited, "qemu_exited", "the incoming QEMU is gone"},
    {E::restarted, "restarted", "the daemon started and found the record"},
};

const Named<G> kGuards[] = {
    {G::always, "", ""},
    {G::offline, "offline", "only the definition moves"},
    {G::client_gone, "client gone", "nobody will call Finish"},
    {G::finish_open, "Finish open", "Finish was called and waits for its answer"},
    {G::has_right, "has right", "the right is here, or the source is a stock one without any"},
    {G::has_right_and_state, "has right, loaded", "and QEMU has loaded everything"},
    {G::source_may_ask, "source may ask", "the source is one of ours and has not released us"},
    {G::source_is_stock, "source is stock", "it knows no right, or has released us"},
    {G::nothing_owed, "stock, nobody waits", "a stock source, and Finish is open or will not come"},
    {G::guest_gone, "guest gone", "the incoming QEMU is gone"},
    {G::may_have_run, "may have run", "it was told to resume, and nobody knows whether it did"},
};

const Named<V> kVerbs[] = {
    {V::none, "", ""},
    {V::enter_phase, "enter phase", "the job's phase, as users see it"},
    {V::reply_ok, "reply OK", "answers the open call"},
    {V::reply_error, "reply error", "answers the open call with the cause"},
    {V::write_record, "**store record**", "durable before anything else happens"},
    {V::forget_record, "forget record", "deletes the record"},
    {V::start_incoming, "start incoming", "ports, and QEMU with -S"},
    {V::kill_incoming, "**kill incoming**", "ends the incoming QEMU"},
    {V::resume_guest, "**resume guest**", "gives the guest the run state it had"},
    {V::settle_definition, "settle definition",
     "defines the domain where that was asked, from what the record taken(id) has"},
    {V::tell_received, "tell received", "over the peer link, if it is up"},
    {V::tell_taken, "tell taken", "over the peer link, if it is up"},
    {V::tell_refused, "tell refused", "over the peer link, if it is up"},
    {V::close_peer, "close peer", "closes the peer link"},
    {V::start_timer, "start timer", ""},
    {V::stop_timer, "stop timer", ""},
    {V::end_job, "end job", "releases the domain"},
    {V::end_machine, "end machine", "nothing is owed any more"},
};

}  // namespace

std::span<const Named<S>> destination_states() {
    return kStates;
}
std::span<const Named<E>> destination_events() {
    return kEvents;
}
std::span<const Named<G>> destination_guards() {
    return kGuards;
}
std::span<const Named<V>> destination_verbs() {
    return kVerbs;
}

std::string_view name_of(DestinationCall call) {
    static constexpr std::string_view kNames[] = {"none", "prepare", "finish"};
    return kNames[static_cast<std::size_t>(call)];
}

Phase destination_phase(S state, Protocol protocol) {
    switch (state) {
        case S::idle:
        case S::running:
        case S::unsettled:
        case S::promised:
        case S::ended: return Phase::none;
        case S::recording:
        case S::starting:
        case S::prepared:
        case S::defined: return Phase::prepare;
        default: return protocol == Protocol::version2 ? Phase::finish2 : Phase::finish3;
    }
}

}  // namespace segue::migrate
