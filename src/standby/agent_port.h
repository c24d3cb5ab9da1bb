// SPDX-License-Identifier: LGPL-2.1-or-later
// The standby's end of an agent's connection: the stream, the frames and the disk writes of a
// primary, in the order in which they happened there. While a checkpoint is being committed nothing
// behind it is looked at, so that everything is part of the epoch to which it belongs.
#pragma once

#include <functional>
#include <memory>

#include "net/connection.h"
#include "net/listen.h"
#include "net/tls.h"
#include "protect/agent_link.h"

namespace segue::standby {

class AgentPort {
  public:
    struct Handlers {
        // False: the newcomer is refused.
        std::function<bool()> connected;
        std::function<Result<>(ByteView)> stream;
        // The VM's cards and disks are numbered; who hears of one that is not there says so.
        std::function<Result<>(std::size_t card, ByteView)> frames;
        std::function<Result<>(std::size_t disk, std::uint64_t offset, ByteView data)> write;
        std::function<Result<>(std::size_t disk, std::uint64_t offset, std::uint64_t length)> zero;
        // A checkpoint is whole and not committed, or a disk is slow: what follows must wait for
        // resume().
        std::function<bool()> must_wait;
        // The agent says how it ends: dead or ends. `lost` follows.
        std::function<void(AgentLink::Kind)> farewell;
        // The link is closed already; `at_fault` when the agent sent something wrong.
        std::function<void(const Error& reason, bool at_fault)> lost;
    };

    static Result<std::unique_ptr<AgentPort>> make(Loop& loop, const net::Address& address,
                                                   const AgentKey& key,
                                                   std::shared_ptr<net::TlsContext> tls,
                                                   Handlers handlers);

    void send(ColoMessage message);
    void send_frames(std::size_t card, ByteView frames);
    // This side takes over though the agent is linked: it hears so before the link is dropped.
    void say_taken();
    // This side will never take over. `heard` when the agent has closed the link, or is late.
    void give_up(std::function<void()> heard);
    // Looks at what waits: the commit is over.
    void resume();
    // Closes the link without telling `lost`. A farewell in what waits is still told: it says
    // whether the primary goes on.
    void drop();
    // When the agent was heard last.
    Instant heard_at() const { return heard_at_; }
    bool is_linked() const { return linked_; }
    const net::SocketAddress& local() const { return listener_->local(); }
    std::string address() const { return listener_->local().text(); }

    // Input that waits for a commit; beyond, the agent's connection is not read.
    static constexpr std::size_t kMaxWaiting = 64U << 20;
    static constexpr Duration kHelloBound = 5s;
    static constexpr Duration kGivenUpBound = 2s;

  private:
    AgentPort(Loop& loop, const AgentKey& key, std::shared_ptr<net::TlsContext> tls,
              Handlers handlers);
    void accept(net::Descriptor socket);
    // Its output has not ended.
    bool may_send() const { return connection_ && linked_ && !heard_given_up_; }
    void on_input(ByteView bytes);
    void look();
    void hear_farewell();
    Result<> take(const AgentLink::Message& message);
    void close_with(const Error& reason, bool at_fault);

    Loop& loop_;
    AgentKey key_;
    std::shared_ptr<net::TlsContext> tls_;
    Handlers handlers_;
    std::unique_ptr<net::Listener> listener_;
    std::unique_ptr<net::Connection> connection_;
    std::unique_ptr<Timer> hello_bound_;
    std::unique_ptr<Timer> given_up_bound_;
    std::function<void()> heard_given_up_;
    AgentLink link_{AgentLink::End::standby};
    Bytes input_;
    std::size_t looked_at_ = 0;  // bytes of the input
    Instant heard_at_{};
    bool linked_ = false;   // behind the greeting
    bool looking_ = false;  // resume() may be called from inside a handler
    std::uint64_t number_ = 0;
};

}  // namespace segue::standby
