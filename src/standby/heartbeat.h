// SPDX-License-Identifier: LGPL-2.1-or-later
// Heartbeats between an agent and a standby: small datagrams with a proof of the key, from a thread
// that does nothing else, apart from the data. UDP on the port of the agent's link.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <thread>

#include "base/loop.h"
#include "net/address.h"
#include "net/descriptor.h"
#include "protect/agent_link.h"
#include "protect/beat_judge.h"

namespace segue::standby {

class Heartbeat {
  public:
    // On the loop, once for each change for the worse.
    using OnTrouble = std::function<void(BeatJudge::Verdict)>;

    // Waits for a peer at `local`, and answers it.
    static Result<std::unique_ptr<Heartbeat>> listen(Loop& loop, const net::SocketAddress& local,
                                                     const AgentKey& key, OnTrouble on_trouble);
    static Result<std::unique_ptr<Heartbeat>> dial(Loop& loop, const net::SocketAddress& remote,
                                                   const AgentKey& key, OnTrouble on_trouble);
    ~Heartbeat();
    Heartbeat(const Heartbeat&) = delete;
    Heartbeat& operator=(const Heartbeat&) = delete;

  private:
    Heartbeat(Loop& loop, net::Descriptor socket, const AgentKey& key, bool dials,
              OnTrouble on_trouble);
    void run();
    void send();
    void receive();
    void tell(BeatJudge::Verdict verdict);

    Loop& loop_;
    net::Descriptor socket_, stop_;
    AgentKey key_;
    bool dials_;
    OnTrouble on_trouble_;
    BeatJudge::Limits limits_;
    BeatJudge judge_{limits_};
    BeatJudge::Verdict last_ = BeatJudge::Verdict::alive;
    net::SocketAddress peer_;
    std::uint64_t number_ = 0;
    // How often the loop came by: what "hung" is judged by at the other end.
    std::atomic<std::uint64_t> work_{1};
    std::unique_ptr<Timer> tick_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
    std::thread thread_;
};

}  // namespace segue::standby
