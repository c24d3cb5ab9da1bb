// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/domain_object.h"

#include "daemon/conduct/destination.h"
#include "daemon/conduct/source.h"
#include "daemon/guest.h"
#include "daemon/protection/primary.h"
#include "daemon/protection/standby.h"

namespace segue {

Incarnation::Incarnation() = default;
Incarnation::~Incarnation() = default;
DomainObject::DomainObject(Uuid own_uuid, std::string own_name)
    : uuid(own_uuid), name(std::move(own_name)), jobs(name) {
    remains.uuid = uuid;
    remains.name = name;
}
DomainObject::~DomainObject() = default;

std::int32_t DomainObject::id() const {
    return incarnation ? incarnation->live.id.value_or(-1) : -1;
}

const Domain& DomainObject::model() const {
    if (incarnation) return incarnation->live;
    return persistent ? *persistent : remains;
}

std::unique_ptr<Incarnation> DomainObject::take_incarnation() {
    if (incarnation) remains = incarnation->live;
    return std::exchange(incarnation, nullptr);
}

Result<Guest*> DomainObject::running_guest() const {
    if (!incarnation || !incarnation->guest) {
        return fail(ErrorCode::operation_invalid, "domain '{}' is not running", name);
    }
    return incarnation->guest.get();
}

std::string recovering(const DomainObject& domain) {
    if (!domain.incarnation || !domain.incarnation->guest) return "";
    const Guest& guest = *domain.incarnation->guest;
    // One that we start, also to receive a migration, has not answered yet, and nothing is lost.
    const bool is_new = !domain.incarnation->status_before;
    const bool starts = is_new && (domain.status == DomainStatus(PausedReason::starting_up) ||
                                   domain.status == DomainStatus(PausedReason::migration));
    if (guest.pid() <= 0 || guest.is_steerable() || starts) return "";
    return fmt::format(
        "recovering: QEMU {} does not answer; what it does is not known, and what is under way "
        "goes on when it answers",
        guest.pid());
}

}  // namespace segue
