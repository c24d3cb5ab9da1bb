// SPDX-License-Identifier: LGPL-2.1-or-later
// The I/O thread of a server: accepts connections, runs their link handshake, and hands those that
// passed it to the home thread. It waits for nobody there.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "base/random.h"
#include "net/listen.h"
#include "net/tls.h"
#include "spice/server/control_server.h"
#include "spice/server/link/admission.h"
#include "spice/server/link/linking_places.h"
#include "spice/server/link/ticket_key.h"
#include "spice/server/linked_socket.h"
#include "spice/server/loop_thread.h"

namespace segue::spice::server {

class LinkServer {
  public:
    static constexpr Duration kLinkTime = 20s;

    // Called on the home loop.
    struct Handlers {
        std::function<void(LinkedSocket)> on_linked;
        std::function<void(PeerEvent, std::shared_ptr<PeerInfo>)> on_peer;
        // The reply comes on the home loop, later.
        std::function<void(StatusReply)> status;
        // What `segued` wants of the clients' state (control/messages.h).
        std::function<void()> carry_state;
        std::function<void()> drop_state;
        std::function<void()> state_taken;
        std::function<void()> machine_arrived;
        std::function<void(CarriedParts, const StateKey&, Instant came_at)> state_arrived;
        std::function<void(const control::StandbyPlace&)> standby;
        // The gate holds, lets through, or passes everything.
        std::function<void()> gate_moved;
    };

    LinkServer(std::shared_ptr<Admission> admission, Loop& home, Handlers handlers,
               const LoopMaker& make_loop);
    ~LinkServer();

    Result<> start();
    void set_tls(std::shared_ptr<net::TlsContext> tls);
    // Takes a socket that is bound and listens.
    void listen(net::Descriptor socket, bool tls);
    // Between the two nobody is accepted; who connects waits.
    void close_door();
    void open_door();
    // A connection that the embedder accepted itself.
    void add(net::Descriptor socket, bool tls, bool skip_auth);

    // The control socket at this path; without it tell() says nothing. `gate` is told at once.
    void open_control(const std::string& path, std::shared_ptr<OutputGate> gate);
    void tell(const control::Event& event);
    void tell_state(CarriedMessage message);

  private:
    class Session;

    void accept(net::Descriptor socket, bool tls, bool skip_auth);
    ControlServer::Handlers control_handlers(std::shared_ptr<OutputGate> gate);
    void make_room(LinkId link, const net::SocketAddress& peer);
    void drop(LinkId link);
    void make_keys();

    const std::shared_ptr<Admission> admission_;
    Loop& home_;
    // Shared with tasks on the home loop, which find it empty when the server is gone.
    std::shared_ptr<Handlers> handlers_;
    LoopThread io_;
    // From here on: the I/O thread's own.
    SystemRandom random_;
    TicketKeys keys_;
    std::shared_ptr<net::TlsContext> tls_;
    std::vector<std::unique_ptr<net::Listener>> listeners_;
    bool is_door_open_ = true;
    std::map<LinkId, std::unique_ptr<Session>> sessions_;
    LinkingPlaces places_;
    LinkId last_link_ = 0;
    std::unique_ptr<Timer> key_timer_;
    std::unique_ptr<ControlServer> control_;
};

}  // namespace segue::spice::server
