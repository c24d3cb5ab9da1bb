// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/domain_list.h"

#include <algorithm>
#include <set>
#include <vector>

#include "base/log.h"
#include "daemon/guest.h"

namespace segue {
namespace {

// Of its graphics: what a definition demands, or, `given`, what a running domain has.
std::set<std::int32_t> named_ports(const Domain& model, bool given) {
    std::set<std::int32_t> ports;
    for (const Graphics& graphics : model.graphics) {
        if (graphics.autoport && !given) continue;
        for (const std::int32_t port : {graphics.port, graphics.tls_port})
            if (port > 0) ports.insert(port);
    }
    return ports;
}

}  // namespace

void DomainList::block(const Uuid& uuid, const std::string& name, const std::string& why) {
    log_error("daemon", "domain '{}' is blocked: {}", name, why);
    blocked_[uuid] = {name, why};
}

Result<> DomainList::check(const std::optional<Uuid>& uuid, const std::string& name) const {
    for (const auto& [blocked, entry] : blocked_) {
        if (uuid != blocked && (name.empty() || entry.name != name)) continue;
        return fail(ErrorCode::operation_failed, "domain '{}' is blocked: {}", entry.name,
                    entry.why);
    }
    return {};
}

Result<DomainPointer> DomainList::find(const rpc::DomainRef& ref) const {
    TRY(check(ref.uuid, ""));
    const auto found = by_uuid_.find(ref.uuid);
    if (found == by_uuid_.end()) {
        return fail(ErrorCode::no_domain, "no domain with matching uuid '{}' ({})", ref.uuid.text(),
                    ref.name);
    }
    return found->second;
}

Result<DomainPointer> DomainList::find(const Uuid& uuid) const {
    TRY(check(uuid, ""));
    const auto found = by_uuid_.find(uuid);
    if (found == by_uuid_.end()) {
        return fail(ErrorCode::no_domain, "no domain with matching uuid '{}'", uuid.text());
    }
    return found->second;
}

Result<DomainPointer> DomainList::find(const std::string& name) const {
    TRY(check(std::nullopt, name));
    for (const auto& entry : by_uuid_) {
        if (entry.second->name == name) return entry.second;
    }
    return fail(ErrorCode::no_domain, "no domain with matching name '{}'", name);
}

Result<DomainPointer> DomainList::find_id(std::int32_t id) const {
    for (const auto& entry : by_uuid_) {
        if (id < 0 || entry.second->id() != id) continue;
        TRY(check(entry.first, ""));
        return entry.second;
    }
    return fail(ErrorCode::no_domain, "no domain with matching id {}", id);
}

Result<rpc::DomainRef> DomainList::look_up(const Uuid& uuid) const {
    const auto found = blocked_.find(uuid);
    if (found != blocked_.end()) return rpc::DomainRef{found->second.name, uuid, -1};
    return find(uuid).map([](const DomainPointer& domain) { return domain->ref(); });
}

Result<rpc::DomainRef> DomainList::look_up(const std::string& name) const {
    for (const rpc::DomainRef& ref : blocked())
        if (ref.name == name) return ref;
    return find(name).map([](const DomainPointer& domain) { return domain->ref(); });
}

std::vector<rpc::DomainRef> DomainList::blocked() const {
    std::vector<rpc::DomainRef> refs;
    for (const auto& [uuid, entry] : blocked_)
        refs.push_back({entry.name, uuid, -1});
    return refs;
}

Result<DomainPointer> DomainList::obtain(const Uuid& uuid, const std::string& name) {
    TRY(check(uuid, name));
    const auto found = by_uuid_.find(uuid);
    if (found != by_uuid_.end()) {
        if (found->second->name == name) return found->second;
        return fail(ErrorCode::operation_failed, "domain '{}' is already defined with uuid {}",
                    found->second->name, uuid.text());
    }
    if (const auto other = find(name)) {
        return fail(ErrorCode::operation_failed, "domain '{}' already exists with uuid {}", name,
                    (*other)->uuid.text());
    }
    auto domain = std::make_shared<DomainObject>(uuid, name);
    by_uuid_.emplace(uuid, domain);
    return domain;
}

std::int32_t DomainList::next_id() {
    return ++last_id_;
}

Result<> DomainList::save(const DomainObject& domain) {
    storage::DomainRecord record;
    record.uuid = domain.uuid;
    record.name = domain.name;
    record.autostart = domain.autostart;
    if (domain.persistent) {
        record.definition = print_domain(*domain.persistent, {.secure = true});
    }
    if (domain.incarnation) {
        record.live = print_domain(domain.incarnation->live, {.secure = true, .inactive = false});
        record.incarnation = domain.incarnation->key;
    }
    return store_.commit({record});
}

void DomainList::note_status(const DomainObject& domain) {
    const storage::StatusRecord record{
        .domain = domain.uuid,
        .incarnation = domain.incarnation ? domain.incarnation->key : "",
        .status = text_of(domain.status)};
    if (const auto noted = store_.note({record}); !noted) {
        log_warning("daemon", "domain '{}': {}", domain.name, noted.error().message);
    }
}

void DomainList::forget_if_nothing_is_left(const DomainObject& domain) {
    if (domain.is_active() || domain.is_persistent() || is_blocked(domain.uuid)) return;
    if (domain.source || domain.destination || domain.primary || domain.standby) return;
    const auto erased =
        store_.commit({storage::EraseDomain{domain.uuid}, storage::EraseStatus{domain.uuid}});
    if (!erased) {
        log_error("daemon", "domain '{}': {}", domain.name, erased.error().message);
    }
    by_uuid_.erase(domain.uuid);
}

void DomainList::keep_departing(std::unique_ptr<Incarnation> incarnation) {
    const std::string key = incarnation->key;
    departing_[key] = std::move(incarnation);
}

void DomainList::remember(const std::string& name, const FinishedJob& job) {
    std::erase_if(remembered_, [&](const auto& one) { return one.first == name; });
    remembered_.emplace_front(name, job);
    if (remembered_.size() > kMaxRemembered) remembered_.pop_back();
}

const FinishedJob* DomainList::remembered(const std::string& name) const {
    for (const auto& one : remembered_) {
        if (one.first == name) return &one.second;
    }
    return nullptr;
}

void DomainList::end_departing(const std::string& key) {
    const auto found = departing_.find(key);
    if (found != departing_.end()) found->second->guest->end();
}

void DomainList::tell_departed(const std::string& key) {
    const auto [first, last] = departure_waiters_.equal_range(key);
    std::vector<std::function<void()>> told;
    for (auto one = first; one != last; ++one)
        told.push_back(std::move(one->second));
    departure_waiters_.erase(first, last);
    for (const auto& callback : told)
        callback();
}

void DomainList::when_ports_are_left(const Domain& model, std::function<void()> callback) {
    const std::set<std::int32_t> wanted = named_ports(model, false);
    const auto holder = std::find_if(departing_.begin(), departing_.end(), [&](const auto& one) {
        const std::set<std::int32_t> held = named_ports(one.second->live, true);
        return std::any_of(wanted.begin(), wanted.end(),
                           [&](std::int32_t port) { return held.contains(port); });
    });
    if (holder == departing_.end()) return callback();
    log_info("daemon", "domain '{}': waits for a port that the QEMU of '{}' still has", model.name,
             holder->second->live.name);
    holder->second->guest->end_later(kHurried);
    departure_waiters_.emplace(holder->first, [this, model, callback = std::move(callback)] {
        when_ports_are_left(model, callback);
    });
}

std::unique_ptr<Incarnation> DomainList::take_departing(const std::string& key) {
    const auto found = departing_.find(key);
    if (found == departing_.end()) return nullptr;
    auto incarnation = std::move(found->second);
    departing_.erase(found);
    return incarnation;
}

}  // namespace segue
