// SPDX-License-Identifier: LGPL-2.1-or-later
// One side's questions to whoever decides: each period, until nothing is left to be asked. A third
// daemon is asked over UDP (witness_line.cpp), an etcd cluster over HTTP (etcd_line.cpp).
#pragma once

#include <functional>
#include <memory>
#include <variant>

#include "arbiter/etcd_client.h"
#include "base/loop.h"
#include "net/address.h"
#include "net/descriptor.h"
#include "net/resolve.h"
#include "protect/agent_link.h"
#include "protect/lease.h"

namespace segue::standby {

struct WitnessOptions {
    std::variant<net::Address, arbiter::EtcdCluster> where;  // a daemon's host and UDP port
    LeaseId id{};
};
// "HOST:PORT,ID" or "etcd://HOST:PORT,…,ID": the form on a command line. Errors name the option.
Result<WitnessOptions> parse_witness(std::string_view text, const std::string& tls_directory);

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

    static std::unique_ptr<WitnessLine> make(Loop& loop, net::Resolver& resolver,
                                             const WitnessOptions& options, const AgentKey& key,
                                             LeaseTable::Side side, Handlers handlers);
    virtual ~WitnessLine() = default;
    WitnessLine(const WitnessLine&) = delete;
    WitnessLine& operator=(const WitnessLine&) = delete;

    // The other side is lost. Asked at once, and again until it is settled.
    void claim() {
        client_.claim();
        ask();
    }
    // The guest is gone: nothing is renewed any more.
    void rest() { timer_->cancel(); }
    bool may_release() const { return client_.may_release(loop_.now()); }
    LeaseClient::Claim state() const { return client_.state(); }
    // Whether it answered lately.
    bool is_heard() const;

  protected:
    WitnessLine(Loop& loop, LeaseTable::Side side, LeaseTerms terms, Handlers handlers);
    virtual void ask() = 0;
    void ask_again() { timer_->start(client_.terms().renew_every); }
    // True: it is settled, and this object may be gone.
    bool answered(std::uint64_t number, LeaseClient::Verdict verdict);

    Loop& loop_;
    LeaseTable::Side side_;
    LeaseClient client_;

  private:
    Handlers handlers_;
    std::unique_ptr<Timer> timer_;
    std::optional<Instant> heard_at_;
};

}  // namespace segue::standby
