// SPDX-License-Identifier: LGPL-2.1-or-later
// Heartbeats between an agent and a standby: small datagrams with a proof of the key, from a thread
// that does nothing else, apart from the data. UDP on the port of the agent's link.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "base/loop.h"
#include "net/address.h"
#include "net/descriptor.h"
#include "protect/agent_link.h"
#include "protect/beat_judge.h"
#include "protect/release_promise.h"

namespace segue::standby {

class Heartbeat {
  public:
    struct Handlers {
        // On the loop, once for each change for the worse.
        std::function<void(BeatJudge::Verdict)> trouble;
        // On the loop: the first beat of the peer. May be empty.
        std::function<void()> heard;
    };

    // Waits for a peer at `local`, and answers it. Nobody is missed before expect().
    static Result<std::unique_ptr<Heartbeat>> listen(Loop& loop, const net::SocketAddress& local,
                                                     const AgentKey& key, Handlers handlers,
                                                     BeatJudge::Limits limits = {});
    // The peer is linked already: its beats are due.
    static Result<std::unique_ptr<Heartbeat>> dial(Loop& loop, const net::SocketAddress& remote,
                                                   const AgentKey& key, Handlers handlers,
                                                   BeatJudge::Limits limits = {});
    ~Heartbeat();
    Heartbeat(const Heartbeat&) = delete;
    Heartbeat& operator=(const Heartbeat&) = delete;

    // A peer has linked: what was told of the one before is over.
    void expect();
    // Its guest is protected from now on: silence is judged strictly.
    void guard();
    // Its link has spoken.
    void heard_otherwise() { heard_otherwise_ = true; }

    // At the standby: the peer is lost. How long it may still count on us not to take over.
    Duration part();
    // At the agent: the standby has given its word that it is not taking over now.
    bool may_release();

  private:
    Heartbeat(Loop& loop, net::Descriptor socket, const AgentKey& key, bool dials,
              Handlers handlers, BeatJudge::Limits limits);
    void run();
    void send();
    void receive();
    void judge();
    void post(std::function<void()> what);

    Loop& loop_;
    net::Descriptor socket_, stop_;
    AgentKey key_;
    bool dials_;
    Handlers handlers_;
    BeatJudge::Limits limits_;
    // Of the judge, and of what was told last and to whose peer it belongs.
    std::mutex judging_;
    BeatJudge judge_;
    BeatJudge::Verdict last_ = BeatJudge::Verdict::alive;
    std::uint64_t turn_ = 0;
    // And of the word of the one that takes over toward the one whose guest runs.
    SystemClock clock_;
    PromiseGiver given_;
    PromiseTaker taken_;
    net::SocketAddress peer_;
    std::uint64_t number_ = 0;
    std::atomic<bool> heard_otherwise_ = false;
    // How often the loop came by: what "hung" is judged by at the other end.
    std::atomic<std::uint64_t> work_{1};
    std::unique_ptr<Timer> tick_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
    std::thread thread_;
};

}  // namespace segue::standby
