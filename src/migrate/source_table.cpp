// SPDX-License-Identifier: LGPL-2.1-or-later
// The source's tables: what happens, and nothing of how. Order of rows matters only within one
// (state, event) pair: the first whose guard holds.
#include "migrate/source.h"

namespace segue::migrate {
namespace {

using S = SourceState;
using E = SourceEvent;
using G = SourceGuard;
using V = SourceVerb;
using R = SourceTypes::TableRow;

// Begin, and the ways that only v3 has: Confirm decides.
const R kVersion3[] = {
    {S::idle, E::begin_called, G::always, S::begun, {V::reply_ok}},

    {S::begun, E::perform_called, G::cancel_wanted, S::ended, {V::reply_error, V::end_job}},
    {S::begun, E::perform_called, G::peer_has_link, S::linking, {V::dial_peer}},
    {S::begun, E::perform_called, G::always, S::starting, {V::write_record}},
    // A client that was told "Perform failed" believes that the source has cleaned up after itself.
    {S::begun, E::perform_rejected, G::always, S::ended, {V::reply_error, V::end_job}},
    {S::begun, E::confirm_cancelled, G::always, S::ended, {V::reply_ok, V::end_job}},
    {S::begun,
     E::confirm_succeeded,
     G::offline,
     S::ended,
     {V::settle_definition, V::reply_ok, V::end_job}},
    {S::begun, E::cancel_asked, G::always, S::begun, {}},
    {S::begun, E::guest_suspended, G::always, S::begun, {}},
    {S::begun, E::client_closed, G::managed, S::ended, {V::end_job}},
    {S::begun, E::qemu_exited, G::offline, S::begun, {}},
    {S::begun, E::qemu_exited, G::always, S::ended, {V::end_job}},

    // The right travels with Perform's cookie: a link that cannot be had is no reason to stop.
    {S::linking, E::peer_lost, G::always, S::starting, {V::write_record}},
    {S::linking, E::timer_expired, G::always, S::starting, {V::write_record}},

    {S::giving, E::record_stored, G::cancel_wanted, S::taking_back, {V::write_record}},
    {S::giving, E::record_stored, G::always, S::given, {V::reply_ok}},

    {S::given, E::confirm_succeeded, G::always, S::confirming, {V::write_record}},
    {S::given, E::confirm_cancelled, G::peer_has_right, S::asking, {V::ask_peer}},
    {S::given,
     E::confirm_cancelled,
     G::always,
     S::unresolved,
     {V::reply_error, V::report_unresolved}},
    {S::given, E::peer_took, G::confirm_owed, S::taken_known, {}},
    {S::given, E::peer_took, G::always, S::confirming, {V::write_record}},

    {S::taken_known, E::confirm_succeeded, G::always, S::confirming, {V::write_record}},
    {S::taken_known, E::confirm_cancelled, G::always, S::confirming, {V::write_record}},
    {S::taken_known, E::client_closed, G::managed, S::confirming, {V::write_record}},
    {S::taken_known, E::qemu_exited, G::always, S::taken_known, {}},

    {S::asking, E::confirm_succeeded, G::always, S::confirming, {V::write_record}},
    {S::asking, E::confirm_cancelled, G::always, S::asking, {}},
    {S::unresolved, E::confirm_succeeded, G::always, S::confirming, {V::write_record}},
    {S::unresolved, E::confirm_cancelled, G::always, S::unresolved, {V::reply_error}},
    {S::confirming, E::confirm_succeeded, G::always, S::confirming, {}},
    {S::confirming, E::confirm_cancelled, G::always, S::confirming, {}},
    {S::lingering, E::confirm_succeeded, G::always, S::lingering, {V::reply_ok}},
    {S::killing, E::confirm_succeeded, G::always, S::killing, {V::reply_ok}},
    {S::returning, E::confirm_cancelled, G::always, S::returning, {}},
    {S::resuming_back, E::confirm_cancelled, G::always, S::resuming_back, {}},

    {S::awaiting_confirm, E::confirm_cancelled, G::always, S::ended, {V::reply_ok, V::end_job}},
    {S::awaiting_confirm, E::client_closed, G::managed, S::ended, {V::end_job}},
    {S::awaiting_confirm, E::guest_suspended, G::always, S::awaiting_confirm, {}},
    {S::awaiting_confirm, E::qemu_exited, G::always, S::awaiting_confirm, {}},
};

// Perform is the only call: the right travels over the peer link, and the destination's answer
// comes over it too.
const R kVersion2[] = {
    {S::linking,
     E::peer_lost,
     G::always,
     S::ended,
     {V::reply_error, V::cancel_peer, V::close_peer, V::end_job}},
    {S::linking,
     E::timer_expired,
     G::always,
     S::ended,
     {V::reply_error, V::cancel_peer, V::close_peer, V::end_job}},

    {S::giving, E::record_stored, G::cancel_wanted, S::taking_back, {V::write_record}},
    {S::giving, E::record_stored, G::peer_has_right, S::handing, {V::give_right}},
    // A stock destination runs the guest when Finish2 comes, and nobody tells us.
    {S::giving, E::record_stored, G::always, S::unresolved, {V::reply_ok, V::report_unresolved}},

    {S::handing, E::peer_received, G::always, S::given, {V::reply_ok}},
    {S::handing, E::peer_took, G::always, S::confirming, {V::write_record}},
    {S::handing, E::peer_refused, G::always, S::returning, {V::write_record}},
    {S::handing, E::peer_lost, G::always, S::asking, {V::ask_peer}},
    {S::handing, E::timer_expired, G::always, S::asking, {V::ask_peer}},
    {S::handing, E::client_closed, G::managed, S::handing, {}},
    {S::handing, E::qemu_exited, G::always, S::handing, {}},

    {S::given, E::peer_took, G::always, S::confirming, {V::write_record}},
    {S::given, E::timer_expired, G::always, S::asking, {V::ask_peer}},
};

const R kShared[] = {
    // Perform, also without a job that Begin left: v2, and v3 without CHANGE_PROTECTION.
    {S::idle, E::perform_called, G::peer_has_link, S::linking, {V::dial_peer}},
    {S::idle, E::perform_called, G::always, S::starting, {V::write_record}},

    {S::linking, E::peer_linked, G::always, S::starting, {V::write_record}},
    {S::linking, E::guest_suspended, G::always, S::linking, {}},
    {S::linking,
     E::cancel_asked,
     G::always,
     S::ended,
     {V::reply_error, V::cancel_peer, V::close_peer, V::end_job}},
    {S::linking,
     E::client_closed,
     G::managed,
     S::ended,
     {V::cancel_peer, V::close_peer, V::end_job}},
    {S::linking,
     E::peer_refused,
     G::always,
     S::ended,
     {V::reply_error, V::release_peer, V::close_peer, V::end_job}},
    {S::linking,
     E::qemu_exited,
     G::always,
     S::ended,
     {V::reply_error, V::cancel_peer, V::close_peer, V::end_job}},

    {S::starting,
     E::record_stored,
     G::cancel_wanted,
     S::ended,
     {V::reply_error, V::forget_record, V::cancel_peer, V::close_peer, V::end_job}},
    {S::starting, E::record_stored, G::always, S::screen, {V::move_screen}},
    {S::starting,
     E::record_failed,
     G::always,
     S::ended,
     {V::reply_error, V::forget_record, V::cancel_peer, V::close_peer, V::end_job}},
    {S::starting, E::cancel_asked, G::always, S::starting, {}},
    {S::starting, E::client_closed, G::managed, S::starting, {}},
    {S::starting, E::peer_refused, G::always, S::starting, {}},
    {S::starting, E::guest_suspended, G::always, S::starting, {}},
    {S::starting, E::qemu_exited, G::always, S::starting, {}},

    {S::screen, E::screen_ready, G::always, S::transferring, {V::start_transfer}},
    {S::screen,
     E::cancel_asked,
     G::always,
     S::ended,
     {V::drop_screen, V::reply_error, V::forget_record, V::cancel_peer, V::close_peer, V::end_job}},
    {S::screen,
     E::client_closed,
     G::managed,
     S::ended,
     {V::drop_screen, V::forget_record, V::cancel_peer, V::close_peer, V::end_job}},
    {S::screen,
     E::peer_refused,
     G::always,
     S::ended,
     {V::drop_screen, V::reply_error, V::forget_record, V::release_peer, V::close_peer,
      V::end_job}},
    {S::screen, E::guest_suspended, G::always, S::screen, {V::note_record}},
    {S::screen,
     E::qemu_exited,
     G::always,
     S::ended,
     {V::reply_error, V::forget_record, V::cancel_peer, V::close_peer, V::end_job}},

    {S::transferring, E::transfer_completed, G::always, S::giving, {V::write_record}},
    {S::transferring, E::transfer_failed, G::always, S::resuming, {V::resume_guest}},
    {S::transferring, E::transfer_cancelled, G::always, S::resuming, {V::resume_guest}},
    {S::transferring, E::cancel_asked, G::always, S::cancelling, {V::cancel_transfer}},
    {S::transferring, E::client_closed, G::managed, S::cancelling, {V::cancel_transfer}},
    {S::transferring, E::peer_refused, G::always, S::cancelling, {V::cancel_transfer}},
    {S::transferring, E::guest_suspended, G::always, S::transferring, {V::note_record}},
    {S::transferring,
     E::qemu_exited,
     G::always,
     S::ended,
     {V::reply_error, V::forget_record, V::cancel_peer, V::close_peer, V::end_job}},
    {S::transferring,
     E::restarted,
     G::guest_gone,
     S::ended,
     {V::forget_record, V::cancel_peer, V::close_peer, V::end_job}},
    {S::transferring, E::restarted, G::always, S::cancelling, {V::cancel_transfer}},

    {S::cancelling, E::transfer_cancelled, G::always, S::resuming, {V::resume_guest}},
    {S::cancelling, E::transfer_failed, G::always, S::resuming, {V::resume_guest}},
    // Too late for QEMU, in time for us: the right was not given.
    {S::cancelling, E::transfer_completed, G::always, S::resuming, {V::resume_guest}},
    {S::cancelling, E::cancel_asked, G::always, S::cancelling, {}},
    {S::cancelling, E::guest_suspended, G::always, S::cancelling, {V::note_record}},
    {S::cancelling, E::client_closed, G::managed, S::cancelling, {}},
    {S::cancelling,
     E::qemu_exited,
     G::always,
     S::ended,
     {V::reply_error, V::forget_record, V::cancel_peer, V::close_peer, V::end_job}},

    {S::resuming,
     E::guest_resumed,
     G::always,
     S::ended,
     {V::drop_screen, V::reply_error, V::forget_record, V::cancel_peer, V::close_peer, V::end_job}},
    // The right is here and the guest stands: a user's `resume` is all it needs.
    {S::resuming,
     E::resume_failed,
     G::always,
     S::ended,
     {V::drop_screen, V::reply_error, V::forget_record, V::cancel_peer, V::close_peer, V::end_job}},
    {S::resuming, E::cancel_asked, G::always, S::resuming, {}},
    {S::resuming, E::client_closed, G::managed, S::resuming, {}},
    {S::resuming,
     E::qemu_exited,
     G::always,
     S::ended,
     {V::reply_error, V::forget_record, V::cancel_peer, V::close_peer, V::end_job}},

    {S::giving, E::record_failed, G::always, S::resuming, {V::resume_guest}},
    {S::giving, E::client_closed, G::managed, S::giving, {}},
    {S::giving, E::peer_refused, G::always, S::giving, {}},
    {S::giving, E::guest_suspended, G::always, S::giving, {}},
    // Everything the guest is has been sent: the destination may still have it.
    {S::giving, E::qemu_exited, G::always, S::giving, {}},

    // Before the destination is told to forget: a source that wakes up with given(id) would ask it.
    {S::taking_back, E::record_stored, G::always, S::resuming, {V::resume_guest}},
    {S::taking_back, E::record_failed, G::always, S::resuming, {V::resume_guest}},
    {S::taking_back, E::cancel_asked, G::always, S::taking_back, {}},
    {S::taking_back, E::client_closed, G::managed, S::taking_back, {}},
    {S::taking_back, E::qemu_exited, G::always, S::taking_back, {}},

    {S::given, E::peer_refused, G::always, S::returning, {V::write_record}},
    {S::given, E::client_closed, G::managed, S::asking, {V::ask_peer}},
    {S::given, E::qemu_exited, G::always, S::given, {}},
    {S::given, E::restarted, G::peer_has_right, S::asking, {V::ask_peer}},
    {S::given, E::restarted, G::always, S::unresolved, {V::report_unresolved}},

    {S::asking, E::peer_took, G::always, S::confirming, {V::write_record}},
    {S::asking, E::peer_refused, G::always, S::returning, {V::write_record}},
    {S::asking, E::peer_unknown, G::always, S::unresolved, {V::reply_error, V::report_unresolved}},
    {S::asking, E::peer_lost, G::always, S::unresolved, {V::reply_error, V::report_unresolved}},
    {S::asking, E::timer_expired, G::always, S::unresolved, {V::reply_error, V::report_unresolved}},
    {S::asking, E::client_closed, G::managed, S::asking, {}},
    {S::asking, E::qemu_exited, G::always, S::asking, {}},

    {S::unresolved, E::timer_expired, G::always, S::unresolved, {V::ask_peer}},
    {S::unresolved, E::peer_took, G::always, S::confirming, {V::write_record}},
    {S::unresolved, E::peer_refused, G::always, S::returning, {V::write_record}},
    {S::unresolved,
     E::resolve_here,
     G::guest_gone,
     S::ended,
     {V::reply_ok, V::forget_record, V::cancel_peer, V::close_peer, V::end_job}},
    {S::unresolved, E::resolve_here, G::always, S::returning, {V::write_record}},
    {S::unresolved, E::resolve_there, G::always, S::confirming, {V::write_record}},
    {S::unresolved, E::client_closed, G::managed, S::unresolved, {}},
    {S::unresolved, E::qemu_exited, G::always, S::unresolved, {}},

    // The destination has the right, also if our store should fail: asked again after a crash, it
    // says so again.
    {S::confirming,
     E::record_stored,
     G::guest_gone,
     S::ended,
     {V::settle_definition, V::reply_ok, V::forget_record, V::release_peer, V::close_peer,
      V::end_job}},
    {S::confirming, E::record_stored, G::screen_moving, S::lingering, {V::reply_ok}},
    {S::confirming, E::record_stored, G::always, S::killing, {V::kill_guest, V::reply_ok}},
    {S::confirming,
     E::record_failed,
     G::guest_gone,
     S::ended,
     {V::settle_definition, V::reply_ok, V::forget_record, V::release_peer, V::close_peer,
      V::end_job}},
    {S::confirming, E::record_failed, G::always, S::killing, {V::kill_guest, V::reply_ok}},
    {S::confirming, E::client_closed, G::managed, S::confirming, {}},
    {S::confirming, E::screen_done, G::always, S::confirming, {}},
    {S::confirming, E::qemu_exited, G::always, S::confirming, {}},
    {S::confirming,
     E::restarted,
     G::guest_gone,
     S::ended,
     {V::settle_definition, V::forget_record, V::release_peer, V::close_peer, V::end_job}},
    {S::confirming, E::restarted, G::always, S::killing, {V::kill_guest}},

    {S::lingering, E::screen_done, G::always, S::killing, {V::kill_guest}},
    {S::lingering, E::timer_expired, G::always, S::killing, {V::kill_guest}},
    {S::lingering,
     E::qemu_exited,
     G::always,
     S::ended,
     {V::settle_definition, V::forget_record, V::release_peer, V::close_peer, V::end_job}},

    {S::killing,
     E::qemu_exited,
     G::always,
     S::ended,
     {V::settle_definition, V::forget_record, V::release_peer, V::close_peer, V::end_job}},

    // The guest is this host's again, and the destination is told to give up: it may not have
    // refused at all, and still await its Finish, when a user's word brought the right back.
    {S::returning,
     E::record_stored,
     G::guest_gone,
     S::ended,
     {V::reply_error, V::forget_record, V::cancel_peer, V::close_peer, V::end_job}},
    {S::returning, E::record_stored, G::always, S::resuming_back, {V::resume_guest}},
    {S::returning,
     E::record_failed,
     G::always,
     S::unresolved,
     {V::reply_error, V::report_unresolved}},
    {S::returning, E::client_closed, G::managed, S::returning, {}},
    {S::returning, E::qemu_exited, G::always, S::returning, {}},
    {S::returning,
     E::restarted,
     G::guest_gone,
     S::ended,
     {V::forget_record, V::cancel_peer, V::close_peer, V::end_job}},
    {S::returning, E::restarted, G::always, S::resuming_back, {V::resume_guest}},

    {S::resuming_back,
     E::guest_resumed,
     G::confirm_owed,
     S::awaiting_confirm,
     {V::drop_screen, V::forget_record, V::cancel_peer, V::close_peer}},
    {S::resuming_back,
     E::guest_resumed,
     G::always,
     S::ended,
     {V::drop_screen, V::reply_outcome, V::forget_record, V::cancel_peer, V::close_peer,
      V::end_job}},
    {S::resuming_back,
     E::resume_failed,
     G::always,
     S::ended,
     {V::drop_screen, V::reply_error, V::forget_record, V::cancel_peer, V::close_peer, V::end_job}},
    {S::resuming_back, E::client_closed, G::managed, S::resuming_back, {}},
    {S::resuming_back,
     E::qemu_exited,
     G::always,
     S::ended,
     {V::reply_error, V::forget_record, V::cancel_peer, V::close_peer, V::end_job}},
};

constexpr ErrorCode kInvalid = ErrorCode::operation_invalid;
constexpr ErrorCode kNone = ErrorCode::internal;

const Late<SourceEvent> kLate[] = {
    {E::begin_called, true, kInvalid, "another migration job is already running"},
    {E::perform_called, true, kInvalid, "another migration job is already running"},
    {E::perform_rejected, true, kInvalid, "another migration job is already running"},
    {E::confirm_succeeded, true, kInvalid, "Confirm came before Perform had succeeded"},
    {E::confirm_cancelled, true, kInvalid, "there is nothing left for Confirm to decide"},
    {E::cancel_asked, true, kInvalid,
     "the migration can no longer be cancelled: the right to run was given to the destination"},
    {E::resolve_here, true, kInvalid,
     "the migration decides by itself: there is nothing to resolve"},
    {E::resolve_there, true, kInvalid,
     "the migration decides by itself: there is nothing to resolve"},
    {E::client_closed, false, kNone, "the outcome is decided, or another one drives the migration"},
    {E::peer_linked, false, kNone, "the link came back: its next message matters"},
    {E::peer_lost, false, kNone, "the link is dialled anew when it is needed"},
    {E::peer_received, false, kNone, "a repeated answer"},
    {E::peer_took, false, kNone, "a repeated answer"},
    {E::peer_refused, false, kNone, "a repeated answer"},
    {E::peer_unknown, false, kNone, "nobody asked"},
    {E::record_stored, false, kNone, "the state does not wait for it"},
    {E::record_failed, false, kNone, "the state does not wait for it"},
    {E::screen_ready, false, kNone, "the wait was given up before"},
    {E::screen_done, false, kNone, "the source QEMU is not kept for it"},
    {E::timer_expired, false, kNone, "the timer of a state that was left"},
    {E::transfer_completed, false, kNone, "the transfer was given up before"},
    {E::transfer_failed, false, kNone, "the transfer was given up before"},
    {E::transfer_cancelled, false, kNone, "the transfer was given up before"},
    {E::guest_suspended, true, kInvalid,
     "it stands still while its migration is decided: suspend it afterwards, where it runs"},
    {E::guest_resumed, false, kNone, "the state does not wait for it"},
    {E::resume_failed, false, kNone, "the state does not wait for it"},
    {E::qemu_exited, false, kNone, "the migration is over"},
    {E::restarted, false, kNone, "nothing was recorded that a restart must finish"},
};

}  // namespace

std::span<const R> source_rows_version3() {
    return kVersion3;
}
std::span<const R> source_rows_version2() {
    return kVersion2;
}
std::span<const R> source_rows_shared() {
    return kShared;
}
std::span<const Late<SourceEvent>> source_late_rules() {
    return kLate;
}

}  // namespace segue::migrate
