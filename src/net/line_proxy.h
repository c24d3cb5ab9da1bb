// SPDX-License-Identifier: LGPL-2.1-or-later
// A proxy whose connections run through faulty lines: what stands between two hosts in a test.
#pragma once

#include <functional>
#include <list>
#include <memory>

#include "net/connect.h"
#include "net/connection.h"
#include "net/line.h"
#include "net/listen.h"

namespace segue::net {

class LineProxy {
  public:
    // Bytes on the way in one direction; beyond it the sender is held up, as by a full window.
    static constexpr std::size_t kWindow = 4u << 20;

    static Result<std::unique_ptr<LineProxy>> make(Loop& loop, const Address& listen,
                                                   const Address& target);
    ~LineProxy();

    const SocketAddress& local() const { return listener_->local(); }
    // For each connection there is and each one to come, both directions.
    void set_quality(const LineQuality& quality);
    const LineQuality& quality() const { return quality_; }
    // Breaks each connection there is; new ones are served.
    void cut();
    std::size_t connections() const { return pairs_.size(); }
    std::uint64_t bytes_passed() const;

  private:
    struct Direction;
    struct Pair;

    LineProxy(Loop& loop, Address target);
    void accept(Descriptor descriptor);
    void remove(Pair* pair);

    Loop& loop_;
    Address target_;
    Resolver resolver_{loop_};
    LineQuality quality_;
    std::list<std::unique_ptr<Pair>> pairs_;
    std::uint64_t passed_before_ = 0;  // by connections that are gone
    std::unique_ptr<Listener> listener_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace segue::net
