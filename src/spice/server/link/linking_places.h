// SPDX-License-Identifier: LGPL-2.1-or-later
// The connections in their handshake, and which of them gives way where there are too many: one of
// the address that has the most, and none that names a session which lives, while there are others.
// It does no I/O.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "net/address.h"
#include "spice/server/linked_socket.h"

namespace segue::spice::server {

class LinkingPlaces {
  public:
    static constexpr std::size_t kMost = 128;
    // More than two clients open at once, of all channels that there are; behind one address may be
    // an office.
    static constexpr std::size_t kMostOfOne = 64;

    // All that one peer can choose freely counts as one: the port, the lower half of an IPv6
    // address. Unix sockets have one in common.
    static std::string origin_of(const net::SocketAddress& peer);

    // A connection from there begins; what it returns has to go.
    std::optional<LinkId> add(LinkId link, const std::string& origin);
    // It names a session that lives, whose number nobody can guess.
    void know(LinkId link);
    void remove(LinkId link);

    std::size_t size() const { return links_.size(); }
    // Those that had to go since the server began.
    std::uint64_t closed() const { return closed_; }

  private:
    struct Place {
        std::string origin;
        bool is_known = false;
    };
    std::optional<LinkId> oldest_of(const std::string& origin, bool known) const;
    std::string fullest(bool known) const;

    std::map<LinkId, Place> links_;  // oldest first
    std::uint64_t closed_ = 0;
};

}  // namespace segue::spice::server
