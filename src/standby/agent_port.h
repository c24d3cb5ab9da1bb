// SPDX-License-Identifier: LGPL-2.1-or-later
// The standby's end of an agent's connection: the stream, the frames and the disk writes of a
// primary, in the order in which they happened there. While a checkpoint is being committed nothing
// behind it is looked at, so that everything is part of the epoch to which it belongs.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

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
        // Something has come, whatever it is. May be empty.
        std::function<void()> heard;
        std::function<Result<>(ByteView)> stream;
        // The VM's cards and disks are numbered; who hears of one that is not there says so.
        std::function<Result<>(std::size_t card, ByteView)> frames;
        std::function<Result<>(std::size_t disk, std::uint64_t offset, ByteView data)> write;
        std::function<Result<>(std::size_t disk, std::uint64_t offset, std::uint64_t length)> zero;
        // Hybrid mode: what the guest has read, in the state that follows. May be empty.
        std::function<void(std::size_t card, std::uint64_t read, bool waits)> input = {};
        // A checkpoint is whole and not committed, or a disk is slow: what follows must wait for
        // resume().
        std::function<bool()> must_wait;
        // The agent says how it ends: dead, ends or yields. Who hears it closes the link.
        std::function<void(AgentLink::Kind)> farewell;
        // Its user has paused the guest in the state that follows, or lets it go on.
        std::function<Result<>(bool paused)> paused;
        // The link is closed already; `at_fault` when the agent sent something wrong.
        std::function<void(const Error& reason, bool at_fault)> lost;
    };

    static Result<std::unique_ptr<AgentPort>> make(Loop& loop, const net::Address& address,
                                                   const AgentKey& key,
                                                   std::shared_ptr<net::TlsContext> tls,
                                                   Handlers handlers);

    void send(ColoMessage message);
    // False: they were dropped.
    bool send_frames(std::size_t card, ByteView frames);
    // Hybrid mode: one more checkpoint, or all that QEMU asks for.
    void ask(bool one);
    // This side takes over though the agent is linked: it answers "yields" when nothing of its
    // guest leaves any more.
    void say_taken();
    // This side will never take over. `heard` when the agent has closed the link, or is late;
    // `lost` is told, too.
    void give_up(std::function<void()> heard);
    // Looks at what waits: the commit is over.
    void resume();
    // Closes the link without telling `lost`; the agent hears why. A farewell in what waits is
    // still told: it says whether the primary goes on.
    void drop(const std::string& reason);
    // When the agent was heard last.
    Instant heard_at() const { return heard_at_; }
    bool is_linked() const { return linked_; }
    const net::SocketAddress& local() const { return listener_->local(); }
    std::string address() const { return listener_->local().text(); }

    // Input that waits for a commit; beyond, the agent's connection is not read.
    static constexpr std::size_t kMaxWaiting = 64U << 20;
    static constexpr Duration kHelloBound = 5s;
    // Who has connected and not greeted: he holds nobody's place. Another one takes the oldest's.
    static constexpr std::size_t kMaxStrangers = 32;
    static constexpr std::size_t kMaxGreeting = 64U << 10;
    static constexpr Duration kGivenUpBound = 2s;
    // For the peer to read why.
    static constexpr Duration kPartingBound = 2s;
    static constexpr std::size_t kMaxParting = 16;
    // Lines of the log about peers that are no agent of ours, in each period; the rest is counted.
    static constexpr std::uint64_t kMaxNotes = 8;
    static constexpr Duration kNotePeriod = 60s;

  private:
    AgentPort(Loop& loop, const AgentKey& key, std::shared_ptr<net::TlsContext> tls,
              Handlers handlers);
    void accept(net::Descriptor socket);
    std::unique_ptr<net::Connection> connect(net::Descriptor socket, std::uint64_t number);
    void refuse(net::Descriptor socket);
    void stranger_said(std::uint64_t number, ByteView bytes);
    Result<bool> has_greeted(ByteView input) const;
    void let_in(std::uint64_t number);
    void send_away(std::uint64_t number, const std::string& reason);
    void note(const std::string& refusal);
    // Says why, and closes behind it.
    void part_with(std::unique_ptr<net::Connection> connection, std::uint64_t number,
                   const std::string& reason);
    void ended(std::uint64_t number, const Error& reason);
    // Its output has not ended.
    bool may_send() const { return connection_ && linked_ && !heard_given_up_; }
    void on_input(ByteView bytes);
    void look();
    void hear_farewell();
    void input_ended();
    bool farewell_waits() const;
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
    bool linked_ = false;  // behind the greeting
    bool farewell_heard_ = false;
    bool closing_heard_ = false;
    std::uint64_t notes_ = 0;  // in this period
    Instant notes_since_{};
    bool looking_ = false;  // resume() may be called from inside a handler
    std::uint64_t refused_ = 0;
    std::uint64_t number_ = 0;  // of the link; 0: there is none
    std::uint64_t last_number_ = 0;
    struct Stranger {
        std::unique_ptr<net::Connection> connection;
        Bytes input;
        std::unique_ptr<Timer> bound;
    };
    std::map<std::uint64_t, Stranger> strangers_;
    // Those that are told why they are not listened to.
    std::map<std::uint64_t, std::unique_ptr<net::Connection>> parting_;
};

}  // namespace segue::standby
