// SPDX-License-Identifier: LGPL-2.1-or-later
#include "protect/lease.h"

#include <algorithm>

namespace segue {
namespace {

using Holder = LeaseTable::Holder;
using Side = LeaseTable::Side;
using Verdict = LeaseTable::Verdict;

constexpr std::size_t kMaxAsked = 64;

Holder holder_for(Side side) {
    return side == Side::primary ? Holder::primary : Holder::standby;
}

}  // namespace

std::string_view name_of(Holder holder) {
    switch (holder) {
        case Holder::shared: return "shared";
        case Holder::primary: return "primary";
        case Holder::standby: return "standby";
    }
    return "unknown";
}

std::optional<Holder> holder_of(std::string_view name) {
    for (const Holder holder : {Holder::shared, Holder::primary, Holder::standby}) {
        if (name_of(holder) == name) return holder;
    }
    return std::nullopt;
}

// -- the witness

Result<> LeaseTable::open(const LeaseId& id, Holder holder, Instant now) {
    if (leases_.size() >= kMaxLeases) {
        return fail(ErrorCode::limit_exceeded, "this witness watches {} protections already",
                    leases_.size());
    }
    if (leases_.count(id) != 0) {
        return fail(ErrorCode::exists, "this witness watches that protection already");
    }
    Lease& lease = leases_[id];
    lease.holder = holder;
    lease.runs_until = now + terms_.term;
    return {};
}

std::optional<Holder> LeaseTable::holder(const LeaseId& id) const {
    const auto found = leases_.find(id);
    if (found == leases_.end()) return std::nullopt;
    return found->second.holder;
}

std::optional<LeaseTable::Ruling> LeaseTable::ask(const LeaseId& id, Side side, Wish wish,
                                                  std::uint64_t number, Instant now) {
    const auto found = leases_.find(id);
    if (found == leases_.end()) return std::nullopt;
    Lease& lease = found->second;
    // Whoever repeats what was heard before renews nothing.
    std::uint64_t& heard = lease.heard[side == Side::primary ? 0 : 1];
    if (number <= heard) return std::nullopt;
    heard = number;
    if (wish == Wish::claim) return claim(id, side, now);
    if (side != Side::primary) return std::nullopt;
    if (lease.holder == Holder::standby) return Ruling{Verdict::refused, false};
    lease.runs_until = now + terms_.term;
    return Ruling{Verdict::granted, false};
}

std::optional<LeaseTable::Ruling> LeaseTable::claim(const LeaseId& id, Side side, Instant now) {
    const auto found = leases_.find(id);
    if (found == leases_.end()) return std::nullopt;
    Lease& lease = found->second;
    const Holder wanted = holder_for(side);
    if (lease.holder == wanted) return Ruling{Verdict::granted, false};
    if (lease.holder != Holder::shared) return Ruling{Verdict::refused, false};
    if (side == Side::standby && now < lease.runs_until) return Ruling{Verdict::later, false};
    lease.holder = wanted;
    return Ruling{Verdict::granted, true};
}

// -- the two sides

std::optional<LeaseClient::Question> LeaseClient::ask(Instant now) {
    const bool settled = claim_ == Claim::granted || claim_ == Claim::refused;
    if (settled || (claim_ == Claim::none && side_ == Side::standby)) return std::nullopt;
    const Wish wish = claim_ == Claim::asked ? Wish::claim : Wish::renew;
    asked_.push_back({next_, wish, now});
    if (asked_.size() > kMaxAsked) asked_.pop_front();
    return Question{wish, next_++};
}

bool LeaseClient::answered(std::uint64_t number, Verdict verdict) {
    const auto found = std::find_if(asked_.begin(), asked_.end(),
                                    [&](const Asked& asked) { return asked.number == number; });
    if (found == asked_.end()) return false;
    const Asked asked = *found;
    asked_.erase(asked_.begin(), found + 1);
    const bool settled = claim_ == Claim::granted || claim_ == Claim::refused;
    if (settled || verdict == Verdict::later) return false;
    if (verdict == Verdict::refused) {
        claim_ = Claim::refused;
        return true;
    }
    if (asked.wish == Wish::claim) {
        claim_ = Claim::granted;
        return true;
    }
    renewed_at_ = asked.at;
    return false;
}

bool LeaseClient::may_release(Instant now) const {
    if (claim_ == Claim::granted) return true;
    if (claim_ != Claim::none || !renewed_at_) return false;
    return now - *renewed_at_ < terms_.believed();
}

}  // namespace segue
