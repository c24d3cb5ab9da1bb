// SPDX-License-Identifier: LGPL-2.1-or-later
// The destination's tables: what happens, and nothing of how. Order of rows matters only within one
// (state, event) pair: the first whose guard holds.
#include "migrate/destination.h"

namespace segue::migrate {
namespace {

using S = DestinationState;
using E = DestinationEvent;
using G = DestinationGuard;
using V = DestinationVerb;
using R = DestinationTypes::TableRow;

// The right comes with Finish's cookie.
const R kVersion3[] = {
    {S::idle, E::prepare_called, G::offline, S::defined, {V::reply_ok}},
    {S::defined,
     E::finish_succeeded,
     G::always,
     S::ended,
     {V::settle_definition, V::reply_ok, V::end_job, V::end_machine}},
    {S::defined,
     E::finish_cancelled,
     G::always,
     S::ended,
     {V::reply_error, V::end_job, V::end_machine}},
    {S::defined, E::client_closed, G::always, S::ended, {V::end_job, V::end_machine}},
};

// The right comes over the peer link, before Finish2.
const R kVersion2[] = {
    {S::prepared, E::right_given, G::has_right, S::prepared, {V::tell_received}},
    {S::finishing, E::right_given, G::has_right, S::finishing, {V::tell_received}},
};

const R kShared[] = {
    {S::idle, E::prepare_called, G::always, S::recording, {V::write_record}},

    {S::recording,
     E::record_stored,
     G::client_gone,
     S::ended,
     {V::forget_record, V::close_peer, V::end_job, V::end_machine}},
    {S::recording, E::record_stored, G::always, S::starting, {V::start_incoming}},
    {S::recording,
     E::record_failed,
     G::always,
     S::ended,
     {V::reply_error, V::forget_record, V::close_peer, V::end_job, V::end_machine}},
    {S::recording, E::client_closed, G::always, S::recording, {}},

    {S::starting, E::incoming_ready, G::always, S::prepared, {V::reply_ok}},
    // Nobody was given the id yet: there is nothing to promise.
    {S::starting,
     E::incoming_failed,
     G::always,
     S::ended,
     {V::kill_incoming, V::reply_error, V::forget_record, V::close_peer, V::end_job,
      V::end_machine}},
    {S::starting,
     E::qemu_exited,
     G::always,
     S::ended,
     {V::kill_incoming, V::reply_error, V::forget_record, V::close_peer, V::end_job,
      V::end_machine}},
    {S::starting,
     E::client_closed,
     G::always,
     S::ended,
     {V::kill_incoming, V::forget_record, V::close_peer, V::end_job, V::end_machine}},

    {S::prepared, E::finish_succeeded, G::has_right_and_state, S::taking, {V::write_record}},
    {S::prepared, E::finish_succeeded, G::has_right, S::finishing, {}},
    {S::prepared, E::finish_succeeded, G::always, S::refusing, {V::write_record}},
    {S::prepared, E::finish_cancelled, G::always, S::refusing, {V::write_record}},
    {S::prepared, E::client_closed, G::always, S::refusing, {V::write_record}},
    {S::prepared, E::peer_linked, G::always, S::prepared, {}},
    {S::prepared, E::peer_asks, G::always, S::refusing, {V::write_record}},
    {S::prepared,
     E::peer_cancels,
     G::always,
     S::withdrawn,
     {V::kill_incoming, V::forget_record, V::close_peer}},
    {S::prepared, E::loaded, G::always, S::prepared, {}},
    {S::prepared, E::load_failed, G::always, S::refusing, {V::write_record}},
    {S::prepared, E::qemu_exited, G::always, S::refusing, {V::write_record}},
    {S::prepared, E::restarted, G::always, S::refusing, {V::write_record}},

    {S::finishing, E::loaded, G::always, S::taking, {V::write_record}},
    {S::finishing, E::load_failed, G::always, S::refusing, {V::write_record}},
    {S::finishing, E::qemu_exited, G::always, S::refusing, {V::write_record}},
    {S::finishing, E::timer_expired, G::always, S::refusing, {V::write_record}},
    {S::finishing, E::client_closed, G::always, S::finishing, {}},
    // A user resolved it there: the source runs the guest, and Finish comes too late.
    {S::finishing,
     E::peer_cancels,
     G::always,
     S::ended,
     {V::kill_incoming, V::reply_error, V::forget_record, V::close_peer, V::end_job,
      V::end_machine}},

    {S::taking, E::record_stored, G::guest_gone, S::refusing, {V::write_record}},
    {S::taking, E::record_stored, G::always, S::resuming, {V::resume_guest}},
    {S::taking, E::record_failed, G::always, S::refusing, {V::write_record}},
    {S::taking, E::client_closed, G::always, S::taking, {}},
    // It died before it ever ran: the right can still be refused.
    {S::taking, E::qemu_exited, G::always, S::taking, {}},

    {S::resuming,
     E::guest_resumed,
     G::source_may_ask,
     S::running,
     {V::settle_definition, V::reply_ok, V::tell_taken, V::write_record, V::end_job}},
    {S::resuming,
     E::guest_resumed,
     G::always,
     S::ended,
     {V::settle_definition, V::reply_ok, V::forget_record, V::close_peer, V::end_job,
      V::end_machine}},
    // Paused or not, what it has done is nobody else's to forget: the guest stays this host's.
    {S::resuming,
     E::resume_failed,
     G::may_have_run,
     S::running,
     {V::settle_definition, V::reply_ok, V::tell_taken, V::write_record, V::end_job}},
    {S::resuming, E::resume_failed, G::always, S::refusing, {V::write_record}},
    // It may have run for a moment: nobody else may run it from an older state.
    {S::resuming,
     E::qemu_exited,
     G::source_may_ask,
     S::running,
     {V::kill_incoming, V::settle_definition, V::reply_error, V::tell_taken, V::write_record,
      V::end_job}},
    {S::resuming,
     E::qemu_exited,
     G::always,
     S::ended,
     {V::kill_incoming, V::reply_error, V::forget_record, V::close_peer, V::end_job,
      V::end_machine}},
    {S::resuming, E::client_closed, G::always, S::resuming, {}},
    // Told before a restart: the source will not ask again.
    {S::resuming, E::peer_released, G::always, S::resuming, {}},
    {S::resuming,
     E::restarted,
     G::guest_gone,
     S::running,
     {V::kill_incoming, V::settle_definition, V::write_record, V::end_job}},
    {S::resuming, E::restarted, G::always, S::resuming, {V::resume_guest}},

    {S::running, E::peer_asks, G::always, S::running, {V::tell_taken}},
    {S::running,
     E::peer_released,
     G::always,
     S::ended,
     {V::forget_record, V::close_peer, V::end_machine}},
    {S::running, E::restarted, G::always, S::running, {}},
    {S::running, E::record_failed, G::always, S::unsettled, {}},

    {S::unsettled, E::timer_expired, G::always, S::unsettled, {V::write_record}},
    {S::unsettled, E::record_stored, G::always, S::running, {}},
    {S::unsettled, E::peer_asks, G::always, S::unsettled, {V::tell_taken}},
    {S::unsettled,
     E::peer_released,
     G::always,
     S::ended,
     {V::forget_record, V::close_peer, V::end_machine}},

    {S::refusing,
     E::record_stored,
     G::nothing_owed,
     S::ended,
     {V::kill_incoming, V::reply_error, V::forget_record, V::close_peer, V::end_job,
      V::end_machine}},
    {S::refusing,
     E::record_stored,
     G::finish_open,
     S::promised,
     {V::kill_incoming, V::tell_refused, V::reply_error, V::end_job}},
    {S::refusing,
     E::record_stored,
     G::client_gone,
     S::promised,
     {V::kill_incoming, V::tell_refused, V::end_job}},
    {S::refusing, E::record_stored, G::always, S::refused, {V::kill_incoming, V::tell_refused}},
    // No promise without a record: the source hears nothing, and stays paused with its way on. The
    // incoming QEMU stays: a record taken(id) whose writing failed may be there after a crash, and
    // then this guest is the only one.
    {S::refusing, E::record_failed, G::always, S::silent, {V::reply_error}},
    {S::refusing, E::finish_succeeded, G::always, S::refusing, {}},
    {S::refusing, E::finish_cancelled, G::always, S::refusing, {}},
    {S::refusing, E::client_closed, G::always, S::refusing, {}},
    {S::refusing, E::peer_cancels, G::always, S::refusing, {}},
    {S::refusing, E::qemu_exited, G::always, S::refusing, {}},

    {S::silent, E::timer_expired, G::always, S::silent, {V::write_record}},
    {S::silent,
     E::record_stored,
     G::source_is_stock,
     S::ended,
     {V::kill_incoming, V::forget_record, V::close_peer, V::end_job, V::end_machine}},
    {S::silent,
     E::record_stored,
     G::always,
     S::promised,
     {V::kill_incoming, V::tell_refused, V::end_job}},
    {S::silent,
     E::peer_cancels,
     G::always,
     S::ended,
     {V::kill_incoming, V::forget_record, V::close_peer, V::end_job, V::end_machine}},

    {S::refused,
     E::finish_succeeded,
     G::source_is_stock,
     S::ended,
     {V::reply_error, V::forget_record, V::close_peer, V::end_job, V::end_machine}},
    {S::refused,
     E::finish_cancelled,
     G::source_is_stock,
     S::ended,
     {V::reply_error, V::forget_record, V::close_peer, V::end_job, V::end_machine}},
    {S::refused,
     E::client_closed,
     G::source_is_stock,
     S::ended,
     {V::forget_record, V::close_peer, V::end_job, V::end_machine}},
    {S::refused, E::finish_succeeded, G::always, S::promised, {V::reply_error, V::end_job}},
    {S::refused, E::finish_cancelled, G::always, S::promised, {V::reply_error, V::end_job}},
    {S::refused, E::client_closed, G::always, S::promised, {V::end_job}},
    {S::refused, E::peer_asks, G::always, S::refused, {V::tell_refused}},
    {S::refused, E::peer_released, G::always, S::withdrawn, {V::forget_record, V::close_peer}},
    {S::refused, E::peer_cancels, G::always, S::withdrawn, {V::forget_record, V::close_peer}},

    {S::promised, E::peer_asks, G::always, S::promised, {V::tell_refused}},
    {S::promised,
     E::peer_released,
     G::always,
     S::ended,
     {V::forget_record, V::close_peer, V::end_machine}},
    {S::promised,
     E::peer_cancels,
     G::always,
     S::ended,
     {V::forget_record, V::close_peer, V::end_machine}},
    {S::promised,
     E::restarted,
     G::source_is_stock,
     S::ended,
     {V::kill_incoming, V::forget_record, V::end_machine}},
    {S::promised, E::restarted, G::always, S::promised, {V::kill_incoming}},

    // True without a record: its QEMU is gone, and no Finish can bring it back.
    {S::withdrawn, E::peer_asks, G::always, S::withdrawn, {V::tell_refused}},
    {S::withdrawn,
     E::finish_succeeded,
     G::always,
     S::ended,
     {V::reply_error, V::end_job, V::end_machine}},
    {S::withdrawn,
     E::finish_cancelled,
     G::always,
     S::ended,
     {V::reply_error, V::end_job, V::end_machine}},
    {S::withdrawn, E::client_closed, G::always, S::ended, {V::end_job, V::end_machine}},
};

constexpr ErrorCode kInvalid = ErrorCode::operation_invalid;
constexpr ErrorCode kNone = ErrorCode::internal;

const Late<E> kLate[] = {
    {E::prepare_called, true, kInvalid, "another migration job is already running"},
    {E::finish_succeeded, true, kInvalid, "is not processing incoming migration"},
    {E::finish_cancelled, true, kInvalid, "is not processing incoming migration"},
    {E::cancel_asked, true, kInvalid, "an incoming migration is cancelled on its source host"},
    {E::client_closed, false, kNone, "the outcome is decided"},
    {E::peer_linked, false, kNone, "the source will ask, or release"},
    {E::peer_lost, false, kNone, "the source dials anew when it needs to"},
    {E::right_given, false, kNone, "no guest awaits this right"},
    {E::peer_asks, false, kNone, "the answer is about to be stored, and is sent then"},
    {E::peer_cancels, false, kNone, "the right was taken: only the record decides"},
    {E::peer_released, false, kNone, "no promise was made"},
    {E::record_stored, false, kNone, "the state does not wait for it"},
    {E::record_failed, false, kNone, "the state does not wait for it"},
    {E::timer_expired, false, kNone, "the timer of a state that was left"},
    {E::incoming_ready, false, kNone, "the incoming QEMU was given up before"},
    {E::incoming_failed, false, kNone, "the incoming QEMU was given up before"},
    {E::loaded, false, kNone, "the incoming QEMU was given up before"},
    {E::load_failed, false, kNone, "the incoming QEMU was given up before"},
    {E::guest_resumed, false, kNone, "the state does not wait for it"},
    {E::resume_failed, false, kNone, "the state does not wait for it"},
    {E::qemu_exited, false, kNone, "the guest's later life is not the migration's"},
    {E::restarted, false, kNone, "nothing was recorded that a restart must finish"},
};

}  // namespace

std::span<const R> destination_rows_version3() {
    return kVersion3;
}
std::span<const R> destination_rows_version2() {
    return kVersion2;
}
std::span<const R> destination_rows_shared() {
    return kShared;
}
std::span<const Late<E>> destination_late_rules() {
    return kLate;
}

}  // namespace segue::migrate
