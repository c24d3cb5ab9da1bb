// SPDX-License-Identifier: LGPL-2.1-or-later
// Who wants to hear of which domain events. Registration and deregistration (procedures 316 and
// 317) are served here; the daemon only publishes.
#pragma once

#include <list>
#include <map>

#include "base/id.h"
#include "rpc/event.schema.h"
#include "rpc/session.h"

namespace segue::rpc {

class EventHub {
  public:
    // Callbacks of one connection.
    static constexpr std::size_t kMaxCallbacks = 1024;

    // Adds the handlers of registration to `calls`. The hub must outlive the sessions.
    explicit EventHub(Dispatcher& calls);

    // Sends the event to each callback for `event_id` that covers its domain. `body.callback` is
    // filled in here.
    template <class E>
    void publish(std::int32_t event_id, typename E::Body body) {
        for (const Callback& callback : callbacks_) {
            if (!callback.wants(event_id, body.domain.uuid)) continue;
            body.callback = callback.number;
            callback.session->template send_event<E>(body);
        }
    }
    // True when anybody would hear it: spares the work of making an event.
    bool is_wanted(std::int32_t event_id, const Uuid& domain) const;
    std::size_t callbacks() const { return callbacks_.size(); }

  private:
    struct Callback {
        Session* session;
        std::int32_t number;  // unique within the session
        std::int32_t event_id;
        std::optional<Uuid> domain;

        bool wants(std::int32_t event, const Uuid& uuid) const {
            return event_id == event && (!domain || *domain == uuid);
        }
    };
    struct Registrations {
        std::int32_t next_number = 0;
        std::size_t count = 0;
    };

    Result<remote::NumberReply> add(Session& session, const event::RegisterCall& call);
    Result<> remove(Session& session, std::int32_t number);
    void forget(Session* session);

    std::list<Callback> callbacks_;
    std::map<Session*, Registrations> registrations_;
};

}  // namespace segue::rpc
