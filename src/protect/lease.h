// SPDX-License-Identifier: LGPL-2.1-or-later
// Who may be heard when a primary and its standby lose sight of each other: a lease, kept by a
// third host, the witness. No I/O, no clock.
//
// The primary renews the lease. Whoever loses the other side claims: the primary is granted at
// once while its lease runs, the standby only when it has run out. A granted claim is for ever, and
// the other side is refused. A primary without a lease lets nothing out, and it believes less of
// its lease than the witness does: it counts from when it asked, the witness from when it heard,
// and it takes off what two clocks may drift apart. So it has stopped before the standby starts.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "protect/witness.schema.h"

namespace segue {

using LeaseId = std::array<std::uint8_t, protect::witness::kIdSize>;

struct LeaseTerms {
    Duration term = 1s;
    // No clock of a host runs faster or slower than true time by more than one part in this many.
    std::int64_t clock_error = 64;
    Duration renew_every = 100ms;

    // What the primary may believe of a lease: the term, shortened by what both clocks can be off.
    Duration believed() const { return term - 2 * term / clock_error; }
};

// The witness's side: all protections that it watches.
class LeaseTable {
  public:
    using Side = protect::witness::Side;
    using Wish = protect::witness::Wish;
    using Verdict = protect::witness::Verdict;

    // Who is heard: both while the lease is shared, one of them after a granted claim.
    enum class Holder : std::uint8_t { shared, primary, standby };

    struct Ruling {
        Verdict verdict = Verdict::refused;
        // The holder has changed: to be made durable before it is told.
        bool is_new = false;
    };

    static constexpr std::size_t kMaxLeases = 4096;

    explicit LeaseTable(LeaseTerms terms) : terms_(terms) {}
    LeaseTable() : LeaseTable(LeaseTerms()) {}

    // A lease runs from now on; also after a restart of the witness, which does not know how much
    // of the last one is left. Errors: limit_exceeded, exists.
    Result<> open(const LeaseId& id, Holder holder, Instant now);
    void close(const LeaseId& id) { leases_.erase(id); }
    std::optional<Holder> holder(const LeaseId& id) const;
    std::size_t size() const { return leases_.size(); }

    // Nothing: there is no such lease, or the question is an old one, or one that this side does
    // not ask; it is not answered.
    std::optional<Ruling> ask(const LeaseId& id, Side side, Wish wish, std::uint64_t number,
                              Instant now);
    // A daemon that asks for its own side, on a connection that proves who it is.
    std::optional<Ruling> claim(const LeaseId& id, Side side, Instant now);

  private:
    struct Lease {
        Holder holder = Holder::shared;
        Instant runs_until{};
        std::uint64_t heard[2] = {0, 0};  // the newest number of each side
    };
    LeaseTerms terms_;
    std::map<LeaseId, Lease> leases_;
};

std::string_view name_of(LeaseTable::Holder holder);
std::optional<LeaseTable::Holder> holder_of(std::string_view name);

// One side of a protection toward the witness.
class LeaseClient {
  public:
    using Side = LeaseTable::Side;
    using Wish = LeaseTable::Wish;
    using Verdict = LeaseTable::Verdict;

    enum class Claim : std::uint8_t { none, asked, granted, refused };

    // `first_number`: greater than any that this side used before (its wall clock will do).
    LeaseClient(Side side, std::uint64_t first_number, LeaseTerms terms = {})
        : side_(side), next_(first_number), terms_(terms) {}

    // The other side is lost.
    void claim() {
        if (claim_ == Claim::none) claim_ = Claim::asked;
    }
    Claim state() const { return claim_; }
    const LeaseTerms& terms() const { return terms_; }

    struct Question {
        Wish wish;
        std::uint64_t number;
    };
    // What to ask now, each renew_every; nothing when nothing is left to be asked.
    std::optional<Question> ask(Instant now);
    // True: the state of the claim has changed.
    bool answered(std::uint64_t number, Verdict verdict);
    // Primary: whether anything may leave.
    bool may_release(Instant now) const;

  private:
    struct Asked {
        std::uint64_t number;
        Wish wish;
        Instant at;
    };
    Side side_;
    std::uint64_t next_;
    LeaseTerms terms_;
    Claim claim_ = Claim::none;
    std::deque<Asked> asked_;
    std::optional<Instant> renewed_at_;  // when the newest granted renewal was asked for
};

}  // namespace segue
