// SPDX-License-Identifier: LGPL-2.1-or-later
// The user's clipboard and the guest's, kept the same as far as they are text.
#pragma once

#include <array>
#include <string>

#include "spice/client/agent/agent.h"

namespace segue::viewer {

class Clipboard {
  public:
    using Selection = spice::wire::agent::Selection;
    using ClipboardType = spice::wire::agent::ClipboardType;

    // Longer texts are left to those who copied them.
    static constexpr std::size_t kMaxText = std::size_t{16} << 20;

    // The agent has come, or the user's clipboard has changed: what is new is offered.
    void offer(spice::client::Agent& agent, bool again = false);
    void on_guest_offer(spice::client::Agent& agent, Selection selection,
                        const std::vector<ClipboardType>& types);
    void on_guest_request(spice::client::Agent& agent, Selection selection, ClipboardType type);
    void on_guest_clipboard(Selection selection, ClipboardType type, ByteView data);

  private:
    // What each selection held last, whoever put it there.
    std::array<std::string, 2> last_;
};

}  // namespace segue::viewer
