// SPDX-License-Identifier: LGPL-2.1-or-later
// The RSA keys of the link handshake. Making one takes 10 ms and more, so they are made ahead, in
// the I/O thread's idle time: not while a client links its channels.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "spice/wire/link.h"

namespace segue::spice::server {

namespace wire = segue::spice::wire;

class TicketKey {
  public:
    static Result<std::shared_ptr<const TicketKey>> make();
    ~TicketKey();
    TicketKey(const TicketKey&) = delete;
    TicketKey& operator=(const TicketKey&) = delete;

    const wire::PublicKey& public_key() const { return public_key_; }
    // The password that the client sent; nothing when it was not encrypted for this key.
    std::optional<std::string> decrypt(const wire::Ticket& ticket) const;

  private:
    explicit TicketKey(void* key) : key_(key) {}
    void* key_;  // EVP_PKEY
    wire::PublicKey public_key_{};
};

// Keys of one server, never shared with another. One key serves one link while there are enough;
// under a flood of links the last one serves several, so that a flood costs no key making.
class TicketKeys {
  public:
    static constexpr std::size_t kMadeAhead = 8;

    TicketKeys();
    Result<std::shared_ptr<const TicketKey>> take();
    // Makes one more; false when there are enough.
    bool make_one_ahead();

  private:
    std::deque<std::shared_ptr<const TicketKey>> ahead_;
    std::shared_ptr<const TicketKey> last_;
};

}  // namespace segue::spice::server
