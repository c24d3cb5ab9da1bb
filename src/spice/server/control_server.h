// SPDX-License-Identifier: LGPL-2.1-or-later
// The control socket of a server: tells `segued` what the clients do, and takes and gives what they
// have. It lives on the I/O thread; what it tells comes from the home thread.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <string>

#include "base/loop.h"
#include "net/connection.h"
#include "net/listen.h"
#include "spice/control/line_reader.h"
#include "spice/control/messages.h"
#include "spice/control/screen_word.h"
#include "spice/control/standby.h"
#include "spice/server/migration/carried_state.h"

namespace segue::spice::server {

using StatusReply = std::function<void(control::Status)>;

class ControlServer {
  public:
    static constexpr std::size_t kMostPeers = 16;
    // A peer that lets more than this wait is disconnected.
    static constexpr std::size_t kMostOutput = 2 * control::kMostBytes;

    // Called on the loop of the I/O thread.
    struct Handlers {
        // Asked on the home loop; the answer goes back through `reply`.
        std::function<void(StatusReply reply)> ask_status;
        // carry_state, drop_state, state_taken, machine_arrived
        std::function<void(control::CommandKind)> command;
        // State of a move has come: none of the parts yet, or all.
        std::function<void(CarriedParts, const StateKey&)> state_arrived;
        std::function<void(const control::StandbyPlace&)> standby;
        // Done when it returns; what may leave then leaves later.
        std::function<control::ScreenAnswer(const control::ScreenWord&)> screen;
    };

    // All on the loop of the I/O thread.
    static Result<std::unique_ptr<ControlServer>> make(Loop& loop, const std::string& path,
                                                       Handlers handlers);
    ~ControlServer();
    void tell(const control::Event& event);
    void tell_state(const CarriedMessage& message);

  private:
    struct Peer {
        std::unique_ptr<net::Connection> connection;
        control::LineReader reader;
    };
    using PeerPlace = std::list<Peer>::iterator;

    ControlServer(Loop& loop, Handlers handlers) : loop_(loop), handlers_(std::move(handlers)) {}
    void accept(net::Descriptor socket);
    void input(PeerPlace peer, ByteView bytes);
    void obey(net::Connection& peer, const control::LineReader::Incoming& incoming);
    Result<bool> obey_protection(net::Connection& peer, std::string_view line);
    Result<> take_state(net::Connection& peer, ByteView bytes);
    void answer_status(net::Connection* peer);
    void send(net::Connection& connection, const std::string& line);

    Loop& loop_;
    Handlers handlers_;
    StateKeeper keeper_;
    std::unique_ptr<net::Listener> listener_;
    std::list<Peer> peers_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace segue::spice::server
