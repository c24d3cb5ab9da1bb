// SPDX-License-Identifier: LGPL-2.1-or-later
// The last word to the other end of a migration that is over here (forget the migration; forget
// your promise), when no line is up any more: on a line of its own, tried for half a minute. If it
// is never heard, the other end keeps a record longer than it must, and nothing else.
#pragma once

#include <list>
#include <memory>

#include "daemon/peer_line.h"
#include "daemon/settings.h"
#include "migrate/record.h"
#include "net/connect.h"

namespace segue {

class PeerErrands {
  public:
    static constexpr Duration kBound = 2s;  // of one try, and between two
    static constexpr int kTries = 15;
    // More at once are not run: the oldest is given up.
    static constexpr std::size_t kMost = 64;

    PeerErrands(Loop& loop, net::Resolver& resolver, const Settings& settings)
        : loop_(loop), resolver_(resolver), settings_(settings) {}

    void send(const migrate::Record& record, migrate::peer::Kind word);

  private:
    struct Errand {
        migrate::Record record;
        migrate::peer::Kind word{};
        int tries_left = kTries;
        std::unique_ptr<net::Connector> connector;
        std::unique_ptr<PeerLine> line;
        std::unique_ptr<Timer> timer;
    };
    void try_once(Errand& errand);
    void speak(Errand& errand, net::Descriptor socket);
    void drop(Errand* errand);

    Loop& loop_;
    net::Resolver& resolver_;
    const Settings& settings_;
    std::list<Errand> errands_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace segue
