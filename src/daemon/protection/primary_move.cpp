// SPDX-License-Identifier: LGPL-2.1-or-later
// A protected guest that is migrated while it runs.
#include "base/log.h"
#include "daemon/domain_list.h"
#include "daemon/protection/primary.h"

namespace segue {

Result<> PrimaryProtection::may_move() const {
    const auto domain = domain_.lock();
    const std::string name = domain ? domain->name : "";
    if (state_ == State::isolated) {
        return fail(ErrorCode::operation_invalid,
                    "domain '{}' stands still because its standby may have taken over: it cannot "
                    "be migrated",
                    name);
    }
    const bool ready =
        (state_ == State::guarding && !agent_is_dead_ && !pauses_) || state_ == State::unprotected;
    if (ready) return {};
    return fail(ErrorCode::operation_invalid,
                "the protection of domain '{}' is {}: ask again when that is over", name,
                pauses_ ? "pausing" : name_of(state_));
}

Result<> PrimaryProtection::may_move_to(const std::optional<migrate::Cookie>& destination) const {
    const auto domain = domain_.lock();
    const std::string name = domain ? domain->name : "";
    if (!destination || !destination->offer || !destination->offer->protects) {
        return fail(ErrorCode::operation_invalid,
                    "domain '{}' is protected, and the destination cannot go on with that: `segue "
                    "unprotect {}` first",
                    name, name);
    }
    const std::string host = destination->host_uuid.text();
    if (host == standby_host_ && wish_.shared_storage) {
        return fail(ErrorCode::operation_invalid,
                    "domain '{}' has its standby at that host: `segue unprotect {}` first", name,
                    name);
    }
    if (host == standby_host_) {
        return fail(ErrorCode::operation_invalid,
                    "domain '{}' has its standby at that host: `segue failover --planned {}` moves "
                    "it there without loss",
                    name, name);
    }
    if (host == witness_host_) {
        return fail(ErrorCode::operation_invalid,
                    "domain '{}' has its witness at that host, and a witness is a third one: "
                    "`segue unprotect {}` first",
                    name, name);
    }
    return {};
}

void PrimaryProtection::leave(Answer<> answer) {
    if (const auto may = may_move(); !may) return answer(may);
    if (state_ == State::unprotected) return answer({});
    const Self self = shared_from_this();
    const auto answered = not_lost(std::move(answer));
    log_event("protection ends: the guest is migrated");
    take_down(Force::no, [self, answered](Result<>) {
        if (self->state_ != State::taking_down) {
            return answered(fail(ErrorCode::operation_failed, "{}", self->reason_));
        }
        self->reason_ = "the guest is migrated";
        self->wait_alone();
        answered({});
    });
}

void PrimaryProtection::migration_over() {
    if (state_ != State::unprotected) return;
    after(Duration{0}, [self = shared_from_this()] { self->try_again(); });
}

void PrimaryProtection::guest_left() {
    const auto domain = domain_.lock();
    if (!domain || domain->primary.get() != this) return;
    const Self self = shared_from_this();
    log_event("protection goes along with the guest");
    services_.metrics.forget("domain", domain->name);
    services_.loop.post([self] { self->timer_.reset(); });
    domain->primary = nullptr;
    forget_record();
}

void PrimaryProtection::arrive(const Services& services, const DomainPointer& domain,
                               ProtectionWish wish) {
    const auto self = std::make_shared<PrimaryProtection>(services, domain, std::move(wish));
    domain->primary = self;
    self->reason_ = "the guest has just come here";
    self->wait_alone();
}

}  // namespace segue
