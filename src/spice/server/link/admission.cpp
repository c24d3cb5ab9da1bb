// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/link/admission.h"

namespace segue::spice::server {

void Admission::set_rules(LinkRules rules) {
    auto shared = std::make_shared<const LinkRules>(std::move(rules));
    const std::lock_guard lock(mutex_);
    rules_ = std::move(shared);
}

std::shared_ptr<const LinkRules> Admission::rules() const {
    const std::lock_guard lock(mutex_);
    return rules_;
}

std::uint32_t Admission::open_session(Random& random) {
    const std::lock_guard lock(mutex_);
    for (;;) {
        const auto id = static_cast<std::uint32_t>(random.next());
        if (id == 0 || sessions_.count(id) != 0) continue;
        sessions_.insert(id);
        return id;
    }
}

void Admission::adopt_session(std::uint32_t connection_id) {
    const std::lock_guard lock(mutex_);
    sessions_.insert(connection_id);
}

void Admission::close_session(std::uint32_t connection_id) {
    const std::lock_guard lock(mutex_);
    const auto found = sessions_.find(connection_id);
    if (found != sessions_.end()) sessions_.erase(found);
}

bool Admission::has_session(std::uint32_t connection_id) const {
    const std::lock_guard lock(mutex_);
    return sessions_.count(connection_id) != 0;
}

void Admission::link_told(std::uint32_t connection_id, std::uint64_t link) {
    const std::lock_guard lock(mutex_);
    told_.emplace(connection_id, link);
}

void Admission::link_arrived(std::uint32_t connection_id, std::uint64_t link) {
    const std::lock_guard lock(mutex_);
    told_.erase({connection_id, link});
}

std::set<std::uint64_t> Admission::links_on_their_way(std::uint32_t connection_id) const {
    const std::lock_guard lock(mutex_);
    std::set<std::uint64_t> links;
    for (const auto& [session, link] : told_) {
        if (session == connection_id) links.insert(link);
    }
    return links;
}

control::UnlinkedStatus Admission::unlinked() const {
    control::UnlinkedStatus made;
    made.timed_out = count(LinkEnd::timed_out);
    made.refused_tickets = count(LinkEnd::ticket);
    made.refused_channels = count(LinkEnd::channel);
    made.protocol_errors = count(LinkEnd::protocol);
    made.output_overflows = count(LinkEnd::overflow);
    return made;
}

}  // namespace segue::spice::server
