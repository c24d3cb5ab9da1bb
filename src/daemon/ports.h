// SPDX-License-Identifier: LGPL-2.1-or-later
// Who has which port of a range: one for each incoming migration, and those of graphics.
#pragma once

#include <set>
#include <string>

#include "daemon/settings.h"

namespace segue {

class PortBroker {
  public:
    explicit PortBroker(PortRange range) : range_(range) {}

    // A port that nobody has taken here, and on which `address` (numeric) can be bound right now:
    // other programs take ports too. Error operation_failed names the range when it is used up.
    Result<std::uint16_t> take(const std::string& address);
    // For ports that a domain names, or had before a restart: false when it is taken already.
    bool take_exactly(std::uint16_t port);
    // Whether a port that somebody names can be bound now. Error operation_failed: it is in use, or
    // the (numeric) address is not of this host.
    static Result<> check_free(const std::string& address, std::uint16_t port);
    // Ports outside the range, or not taken, are ignored.
    void give_back(std::uint16_t port);

    // For the ports that are taken from now on; those that are taken stay so.
    void set_range(PortRange range) {
        range_ = range;
        next_ = 0;
    }

    std::size_t taken() const { return taken_.size(); }

  private:
    PortRange range_;
    // Goes round, so that a port which was just given back rests a while: clients of its last
    // owner may still try it.
    std::uint32_t next_ = 0;
    std::set<std::uint16_t> taken_;
};

}  // namespace segue
