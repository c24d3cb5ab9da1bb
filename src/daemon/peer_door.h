// SPDX-License-Identifier: LGPL-2.1-or-later
// Where sources knock: the listener for peer links on the migration address, and who of this host
// answers for which migration, while it lasts and as long as its promise is kept. One port serves
// both forms of the link: a first byte that begins a TLS handshake tells them apart.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <vector>

#include "base/id.h"
#include "daemon/peer_line.h"
#include "daemon/settings.h"
#include "net/listen.h"
#include "net/tls.h"

namespace segue {

class DestinationConduct;

class PeerDoor {
  public:
    // Connections that have not shown their hello yet.
    static constexpr std::size_t kMaxUnknown = 64;
    static constexpr Duration kHelloBound = 5s;

    PeerDoor(Loop& loop, const Settings& settings) : loop_(loop), settings_(settings) {}
    ~PeerDoor();

    // `address` is numeric; the port is the kernel's choice, unless one was in use before a
    // restart: promises name it.
    Result<> open(const std::string& address, std::uint16_t port);
    // Who came before this is answered from here on: a migration that is taken up again hears of
    // its own restart first, and of its peer then.
    void let_in();
    bool is_open() const { return listener_ != nullptr; }
    const std::string& address() const { return address_; }
    std::uint16_t port() const { return listener_ ? listener_->local().port() : 0; }

    // Until remove(), questions about this migration are this conduct's to answer.
    void add(const Uuid& migration, std::shared_ptr<DestinationConduct> conduct);
    void remove(const Uuid& migration);
    const std::map<Uuid, std::shared_ptr<DestinationConduct>>& conducts() const {
        return conducts_;
    }

    // Keeps a line until its last words have left, at most kSeeOffBound.
    void see_off(std::unique_ptr<PeerLine> line);
    static constexpr Duration kSeeOffBound = 2s;

  private:
    struct Stranger {
        net::Descriptor socket;  // until its first byte
        std::unique_ptr<Watch> watch;
        std::unique_ptr<PeerLine> line;
        std::unique_ptr<Timer> deadline;
    };
    void accept(net::Descriptor socket);
    void look(Stranger& stranger);
    void talk(Stranger& stranger, bool secure);
    void greet(Stranger& stranger, const migrate::PeerMessage& hello);
    void drop(Stranger* stranger);

    Loop& loop_;
    const Settings& settings_;
    std::string address_;
    std::unique_ptr<net::Listener> listener_;
    bool lets_in_ = false;
    std::vector<net::Descriptor> waiting_;
    std::list<Stranger> strangers_;
    std::map<Uuid, std::shared_ptr<DestinationConduct>> conducts_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace segue
