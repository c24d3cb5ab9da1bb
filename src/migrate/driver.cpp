// SPDX-License-Identifier: LGPL-2.1-or-later
#include "migrate/driver.h"

#include <utility>

namespace segue::migrate {
namespace {

using S = DriverState;
using E = DriverEvent;
using G = DriverGuard;
using V = DriverVerb;

// The order of libvirt's client library (virDomainMigrateVersion2 and 3).
const DriverRow kRows[] = {
    {S::idle, E::start, G::always, S::beginning, {V::call_begin}},

    {S::beginning, E::begin_ok, G::always, S::preparing, {V::call_prepare}},
    {S::beginning, E::begin_failed, G::always, S::done, {V::close}},

    {S::preparing, E::prepare_ok, G::offline, S::finishing, {V::call_finish}},
    {S::preparing, E::prepare_ok, G::always, S::performing, {V::call_perform}},
    {S::preparing, E::prepare_failed, G::version2, S::done, {V::close}},
    {S::preparing,
     E::prepare_failed,
     G::job_held,
     S::confirming_cancelled,
     {V::call_confirm_cancelled}},
    {S::preparing, E::prepare_failed, G::always, S::done, {V::close}},

    {S::performing, E::perform_ok, G::always, S::finishing, {V::call_finish}},
    // The source has cleaned up: no Confirm follows.
    {S::performing,
     E::perform_failed,
     G::always,
     S::finishing_cancelled,
     {V::call_finish_cancelled}},

    {S::finishing, E::finish_ok, G::version2, S::done, {V::close}},
    {S::finishing, E::finish_failed, G::version2, S::done, {V::close}},
    {S::finishing, E::finish_ok, G::always, S::confirming, {V::call_confirm}},
    {S::finishing,
     E::finish_failed,
     G::always,
     S::confirming_cancelled,
     {V::call_confirm_cancelled}},
    {S::finishing_cancelled, E::finish_ok, G::always, S::done, {V::close}},
    {S::finishing_cancelled, E::finish_failed, G::always, S::done, {V::close}},

    {S::confirming, E::confirm_ok, G::always, S::done, {V::close}},
    {S::confirming, E::confirm_failed, G::always, S::done, {V::close}},
    {S::confirming_cancelled, E::confirm_ok, G::always, S::done, {V::close}},
    {S::confirming_cancelled, E::confirm_failed, G::always, S::done, {V::close}},
};

const Named<S> kStates[] = {
    {S::idle, "idle", ""},
    {S::beginning, "beginning", "v3 Begin; v2 DumpXML"},
    {S::preparing, "preparing", "Prepare"},
    {S::performing, "performing", "Perform"},
    {S::finishing, "finishing", "Finish"},
    {S::finishing_cancelled, "finishing_cancelled", "Finish(cancelled)"},
    {S::confirming, "confirming", "Confirm"},
    {S::confirming_cancelled, "confirming_cancelled", "Confirm(cancelled)"},
    {S::done, "done", ""},
};

const Named<E> kEvents[] = {
    {E::start, "start", ""},
    {E::begin_ok, "begin_ok", ""},
    {E::begin_failed, "begin_failed", ""},
    {E::prepare_ok, "prepare_ok", ""},
    {E::prepare_failed, "prepare_failed", ""},
    {E::perform_ok, "perform_ok", ""},
    {E::perform_failed, "perform_failed", ""},
    {E::finish_ok, "finish_ok", ""},
    {E::finish_failed, "finish_failed", ""},
    {E::confirm_ok, "confirm_ok", ""},
    {E::confirm_failed, "confirm_failed", ""},
};

const Named<V> kVerbs[] = {
    {V::none, "", ""},
    {V::call_begin, "Begin", "on the source (v2: DumpXML)"},
    {V::call_prepare, "Prepare", "on the destination"},
    {V::call_perform, "Perform", "on the source"},
    {V::call_finish, "Finish", "on the destination"},
    {V::call_finish_cancelled, "Finish(cancelled)", "on the destination"},
    {V::call_confirm, "Confirm", "on the source"},
    {V::call_confirm_cancelled, "Confirm(cancelled)", "on the source"},
    {V::close, "done", ""},
};

}  // namespace

std::span<const DriverRow> driver_rows() {
    return kRows;
}
std::span<const Named<S>> driver_states() {
    return kStates;
}
std::span<const Named<E>> driver_events() {
    return kEvents;
}
std::span<const Named<V>> driver_verbs() {
    return kVerbs;
}

bool Driver::holds(G guard) const {
    switch (guard) {
        case G::always: return true;
        case G::version2: return options_.protocol == Protocol::version2;
        case G::offline: return options_.offline;
        case G::job_held: return options_.job_held;
    }
    return false;
}

V Driver::handle(E event, std::optional<Error> error) {
    for (const DriverRow& row : kRows) {
        if (row.from != state_ || row.on != event || !holds(row.when)) continue;
        learn(event, std::move(error));
        state_ = row.to;
        return row.verbs[0];
    }
    return V::none;
}

// Which error the user sees: the first, except that Finish may know better than a Perform that
// only says "failed". A failed Confirm is a warning, for the guest runs on the destination.
void Driver::learn(E event, std::optional<Error> error) {
    const auto told = error.value_or(Error{ErrorCode::operation_failed, "the call failed"});
    switch (event) {
        case E::begin_failed:
        case E::prepare_failed: outcome_ = told; break;
        case E::perform_failed:
            outcome_ = told;
            perform_failed_ = true;
            break;
        case E::finish_ok:
            if (perform_failed_) break;
            outcome_.reset();
            break;
        case E::finish_failed:
            if (!perform_failed_) {
                outcome_ = told;
            } else if (outcome_->code == ErrorCode::operation_failed &&
                       told.code != ErrorCode::migrate_finish_ok) {
                outcome_ = told;
            }
            break;
        default: break;
    }
}

}  // namespace segue::migrate
