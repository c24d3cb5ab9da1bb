// SPDX-License-Identifier: LGPL-2.1-or-later
// A protection's lease in etcd (v3): what is asked, and what an answer says, as the bodies of its
// JSON gateway's /v3/kv/txn. No I/O, no clock.
//
// Two keys under /segue/protections/UUID/: `holder` (shared, primary or standby) says who goes on,
// and the primary writes `beat` each time that it renews. `holder` changes only from `shared`, so
// that the first claim stands for ever. The standby's is made when it has seen the same revision of
// `beat` for a whole term of its own clock, and fails where there is a newer one: a primary counts
// its lease from when it asked for the renewal that etcd wrote (protect/lease.h), and has stopped
// by then. etcd's own leases are not used: a leader that was deposed and does not know may still
// renew and revoke them, while a transaction is nothing without a majority.
#pragma once

#include "base/json.h"
#include "protect/lease.h"

namespace segue::arbiter {

class EtcdLease {
  public:
    using Side = LeaseTable::Side;
    using Wish = LeaseTable::Wish;
    using Verdict = LeaseTable::Verdict;

    EtcdLease(const LeaseId& id, LeaseTerms terms);

    // A cluster's answers come over its network and may wait for its election: a term of seconds.
    static LeaseTerms terms();

    // Begins a lease that nobody holds alone.
    Json open() const;
    // Errors: exists, protocol.
    Result<> opened(const Json& said) const;
    Json end() const;

    // One question at a time: its answer, or the next question.
    Json ask(Side side, Wish wish, Instant now);
    // Errors: no_domain (there is no such lease), protocol.
    Result<Verdict> answered(const Json& said, Instant now);

  private:
    Json look() const;
    Json take() const;
    // The value of a key (encoded) and its revision, as an answer names them; nothing: no such key.
    struct Found {
        std::string_view value;
        std::string_view revision;
    };
    std::optional<Found> find(const Json& said, std::string_view key) const;
    Result<Verdict> standby_answered(std::string_view holder, const Json& said, Instant now);

    std::string holder_, beat_;  // the keys, encoded
    LeaseTerms terms_;
    Side side_ = Side::primary;
    std::string seen_;  // the newest revision of the beat
    std::optional<Instant> seen_at_;
};

}  // namespace segue::arbiter
