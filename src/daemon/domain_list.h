// SPDX-License-Identifier: LGPL-2.1-or-later
// The domains of this host by uuid, name and id, and their place in the store.
#pragma once

#include <deque>
#include <functional>
#include <map>

#include "daemon/domain_object.h"
#include "store/store.h"

namespace segue {

class DomainList {
  public:
    explicit DomainList(storage::Store& store) : store_(store) {}

    // Error 42, in libvirt's words.
    Result<DomainPointer> find(const rpc::DomainRef& ref) const;
    Result<DomainPointer> find(const Uuid& uuid) const;
    Result<DomainPointer> find(const std::string& name) const;
    Result<DomainPointer> find_id(std::int32_t id) const;
    // For clients that look it up: also one that is blocked, since what they do with it then is
    // refused with the reason, which a failed look-up hides (virsh says "failed to get domain").
    Result<rpc::DomainRef> look_up(const Uuid& uuid) const;
    Result<rpc::DomainRef> look_up(const std::string& name) const;
    std::vector<rpc::DomainRef> blocked() const;
    const std::map<Uuid, DomainPointer>& all() const { return by_uuid_; }

    // What the store says of this domain was not understood: `why` says where, and the way on. It
    // is refused to everybody from now on, and nothing of it is started, changed or erased.
    void block(const Uuid& uuid, const std::string& name, const std::string& why);
    bool is_blocked(const Uuid& uuid) const { return blocked_.count(uuid) != 0; }

    // The domain of this uuid and name, made if there is none. Error operation_failed when one of
    // them belongs to another domain.
    Result<DomainPointer> obtain(const Uuid& uuid, const std::string& name);

    // Unique while the domain runs; never given twice by one daemon, and never again while a domain
    // that was adopted has it.
    std::int32_t next_id();
    void note_id(std::int32_t id) { last_id_ = std::max(last_id_, id); }

    // Writes down what must survive: definition, and what runs. Durable when it returns.
    Result<> save(const DomainObject& domain);
    // Notes what it does, for the daemon after us. Only a log line where that fails.
    void note_status(const DomainObject& domain);
    // Forgets a domain that neither runs nor is defined, here and in the store; keeps every other.
    void forget_if_nothing_is_left(const DomainObject& domain);

    // QEMUs that end in the background, after their guests have moved away.
    void keep_departing(std::unique_ptr<Incarnation> incarnation);
    std::unique_ptr<Incarnation> take_departing(const std::string& key);
    void end_departing(const std::string& key);
    // Ports and directory of a departing QEMU were given back: goes on with what waited for them.
    void tell_departed(const std::string& key);
    // Calls back, at once or later, when no departing QEMU has a port that `model` names: a guest
    // that comes back, or is started again, wants its own. Such a QEMU is given time for viewers
    // that are on their way, but not as much as one that stands still may take.
    static constexpr Duration kHurried = 20s;
    void when_ports_are_left(const Domain& model, std::function<void()> callback);

    // The last finished migration of each domain, also of those that left this host for good.
    static constexpr std::size_t kMaxRemembered = 256;
    void remember(const std::string& name, const FinishedJob& job);
    const FinishedJob* remembered(const std::string& name) const;

  private:
    struct Blocked {
        std::string name, why;
    };

    // Error operation_failed when one of this uuid or name is blocked.
    Result<> check(const std::optional<Uuid>& uuid, const std::string& name) const;

    storage::Store& store_;
    std::map<Uuid, Blocked> blocked_;
    std::map<std::string, std::unique_ptr<Incarnation>> departing_;
    std::deque<std::pair<std::string, FinishedJob>> remembered_;  // the latest first
    std::map<Uuid, DomainPointer> by_uuid_;
    std::int32_t last_id_ = 0;
    // By the departing incarnation that each waits for.
    std::multimap<std::string, std::function<void()>> departure_waiters_;
};

}  // namespace segue
