// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/migration/state_collection.h"

#include <exception>
#include <utility>

#include "base/log.h"

namespace segue::spice::server {

StateCollection::StateCollection(Done done) {
    outcome_->done_ = std::move(done);
}

// Under the lock: who gives it up may be about to go.
StateCollection::~StateCollection() {
    try {
        const std::lock_guard lock(outcome_->mutex_);
        const Done done = std::exchange(outcome_->done_, nullptr);
        if (done) done(std::exchange(outcome_->parts_, {}));
    } catch (const std::exception& failure) {
        log_error("spice", "the clients' state goes through them: {}", failure.what());
    }
}

bool StateCollection::Outcome::add(LinkId link, const CarriedKey& key, Bytes part) {
    const std::lock_guard lock(mutex_);
    if (!done_) return false;
    told_.insert(link);
    parts_[key] = std::move(part);
    return true;
}

void StateCollection::Outcome::give_up() {
    const std::lock_guard lock(mutex_);
    done_ = nullptr;
}

bool StateCollection::Outcome::has(LinkId link) const {
    const std::lock_guard lock(mutex_);
    return told_.count(link) != 0;
}

}  // namespace segue::spice::server
