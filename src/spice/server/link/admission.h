// SPDX-License-Identifier: LGPL-2.1-or-later
// Who may link what: the rules that the home thread sets and the I/O thread follows, so that links
// are answered although the home thread is busy.
#pragma once

#include <array>
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "base/random.h"
#include "spice/control/messages.h"
#include "spice/server/channel.h"
#include "spice/server/options.h"

namespace segue::spice::server {

// One state of the rules, immutable.
struct LinkRules {
    bool authenticate = true;
    bool sasl = false;
    std::string sasl_application;
    Ticket ticket;
    struct ChannelRule {
        wire::Capabilities caps;  // what we offer
        int security = ChannelSecurity::kEither;
    };
    std::map<ChannelKey, ChannelRule> channels;
};

// Why a connection ended before its link: `flooded` is for others to have room.
enum class LinkEnd : std::uint8_t { flooded, timed_out, ticket, channel, protocol, overflow };

class Admission {
  public:
    void set_rules(LinkRules rules);
    std::shared_ptr<const LinkRules> rules() const;

    // Sessions that channels may link to. A new one gets a number that nobody can guess.
    std::uint32_t open_session(Random& random);
    // Of a client that comes from another server, with that server's number.
    void adopt_session(std::uint32_t connection_id);
    void close_session(std::uint32_t connection_id);
    bool has_session(std::uint32_t connection_id) const;

    // Channels that were told that they are linked, and have not reached the home thread yet. A
    // client that moves here acts on the one before the other has happened: its state may overtake
    // its own sockets.
    void link_told(std::uint32_t connection_id, std::uint64_t link);
    void link_arrived(std::uint32_t connection_id, std::uint64_t link);
    std::set<std::uint64_t> links_on_their_way(std::uint32_t connection_id) const;

    // Connections that ended before their link.
    void ended(LinkEnd why) { ++ends_[static_cast<std::size_t>(why)]; }
    std::uint64_t flooded_away() const { return count(LinkEnd::flooded); }
    control::UnlinkedStatus unlinked() const;

  private:
    std::uint64_t count(LinkEnd why) const { return ends_[static_cast<std::size_t>(why)]; }

    std::array<std::atomic<std::uint64_t>, 6> ends_{};
    mutable std::mutex mutex_;
    std::shared_ptr<const LinkRules> rules_ = std::make_shared<LinkRules>();
    std::multiset<std::uint32_t> sessions_;
    std::set<std::pair<std::uint32_t, std::uint64_t>> told_;  // session, link
};

}  // namespace segue::spice::server
