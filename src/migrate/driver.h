// SPDX-License-Identifier: LGPL-2.1-or-later
// The client's rules: in which order the calls of a migration are made, and what follows on each
// failure (libvirt's client library does it for a managed migration; in peer-to-peer the source's
// daemon is the client and drives this table). The simulator's clients are this machine too.
#pragma once

#include <optional>

#include "base/result.h"
#include "migrate/phase.h"
#include "migrate/table.h"

namespace segue::migrate {

enum class DriverState : std::uint8_t {
    idle,
    beginning,  // v3 Begin; v2: the XML is fetched
    preparing,
    performing,
    finishing,
    finishing_cancelled,  // Finish(cancelled): the source has cleaned up after itself
    confirming,
    confirming_cancelled,
    done,
};

enum class DriverEvent : std::uint8_t {
    start,
    begin_ok,
    begin_failed,
    prepare_ok,
    prepare_failed,
    perform_ok,
    perform_failed,
    finish_ok,      // the destination returned the domain
    finish_failed,  // an error, or the reply was lost: the driver cannot tell them apart
    confirm_ok,
    confirm_failed,
};

enum class DriverGuard : std::uint8_t { always, version2, offline, job_held };

enum class DriverVerb : std::uint8_t {
    none,
    call_begin,
    call_prepare,
    call_perform,
    call_finish,
    call_finish_cancelled,
    call_confirm,
    call_confirm_cancelled,
    close,  // the migration is over for the client: outcome() says how
};

using DriverRow = Row<DriverState, DriverEvent, DriverGuard, DriverVerb>;

struct DriverOptions {
    Protocol protocol = Protocol::version3;
    bool offline = false;
    // Begin leaves a job behind that must be ended by Confirm: CHANGE_PROTECTION, and peer-to-peer.
    bool job_held = true;
};

class Driver {
  public:
    explicit Driver(DriverOptions options) : options_(options) {}

    // The next call to make; none when the event does not fit the state (a reply that came late).
    DriverVerb handle(DriverEvent event, std::optional<Error> error = std::nullopt);
    DriverState state() const { return state_; }
    // Of the whole migration, once the state is done: the error a user is to see, or none.
    const std::optional<Error>& outcome() const { return outcome_; }

  private:
    bool holds(DriverGuard guard) const;
    void learn(DriverEvent event, std::optional<Error> error);

    DriverOptions options_;
    DriverState state_ = DriverState::idle;
    std::optional<Error> outcome_;
    bool perform_failed_ = false;
};

std::span<const DriverRow> driver_rows();
std::span<const Named<DriverState>> driver_states();
std::span<const Named<DriverEvent>> driver_events();
std::span<const Named<DriverVerb>> driver_verbs();

}  // namespace segue::migrate
