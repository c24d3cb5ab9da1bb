// SPDX-License-Identifier: LGPL-2.1-or-later
// One side's questions to its witness: UDP, each period, until nothing is left to be asked.
#pragma once

#include <functional>
#include <memory>

#include "base/loop.h"
#include "net/address.h"
#include "net/descriptor.h"
#include "net/resolve.h"
#include "protect/agent_link.h"
#include "protect/lease.h"

namespace segue::standby {

struct WitnessOptions {
    net::Address address;  // its host and UDP port
    LeaseId id{};
};
// "HOST:PORT,ID": the form on a command line. Errors name the option.
Result<WitnessOptions> parse_witness(std::string_view text);

// What the two sides and the witness prove themselves with: made of the key of the protection, so
// that a witness cannot speak as one of them on their own link.
AgentKey witness_key(const AgentKey& key);

class WitnessLine {
  public:
    struct Handlers {
        // The claim was granted or refused; refused comes without a claim, too.
        std::function<void(LeaseClient::Claim)> settled;
        // The lease was renewed: what waited for it may leave.
        std::function<void()> renewed;
    };

    WitnessLine(Loop& loop, net::Resolver& resolver, WitnessOptions options, const AgentKey& key,
                LeaseTable::Side side, Handlers handlers);

    // The other side is lost. Asked at once, and again until it is settled.
    void claim();
    // The guest is gone: nothing is renewed any more.
    void rest() { timer_->cancel(); }
    bool may_release() const { return client_.may_release(loop_.now()); }
    LeaseClient::Claim state() const { return client_.state(); }
    // Whether it answered lately.
    bool is_heard() const;

  private:
    void resolved(Result<std::vector<net::SocketAddress>> addresses);
    void ask();
    void receive();

    Loop& loop_;
    net::Resolver& resolver_;
    WitnessOptions options_;
    AgentKey key_;
    LeaseTable::Side side_;
    LeaseClient client_;
    Handlers handlers_;
    std::shared_ptr<void> resolving_;
    bool resolves_ = false;
    bool complained_ = false;
    net::Descriptor socket_;
    std::unique_ptr<Watch> watch_;
    std::unique_ptr<Timer> timer_;
    std::optional<Instant> heard_at_;
};

}  // namespace segue::standby
