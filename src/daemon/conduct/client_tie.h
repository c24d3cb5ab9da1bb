// SPDX-License-Identifier: LGPL-2.1-or-later
// What happens when a client's connection ends, for as long as somebody cares: with this object the
// hook goes, so that a client that stays keeps nothing of the migrations that are over.
#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "rpc/session.h"

namespace segue {

class ClientTie {
  public:
    ClientTie() = default;
    ClientTie(rpc::Session& session, std::function<void()> gone)
        : session_(session.weak_from_this()), hook_(session.on_close(std::move(gone))) {}
    ClientTie(ClientTie&& other) noexcept
        : session_(std::move(other.session_)), hook_(other.hook_) {
        other.session_.reset();
    }
    ClientTie& operator=(ClientTie&& other) noexcept {
        if (this == &other) return *this;
        cut();
        session_ = std::exchange(other.session_, {});
        hook_ = other.hook_;
        return *this;
    }
    ~ClientTie() { cut(); }

    void cut() {
        if (const auto session = std::exchange(session_, {}).lock())
            session->remove_on_close(hook_);
    }

  private:
    std::weak_ptr<rpc::Session> session_;
    std::uint64_t hook_ = 0;
};

}  // namespace segue
