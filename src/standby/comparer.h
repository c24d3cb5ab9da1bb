// SPDX-License-Identifier: LGPL-2.1-or-later
// QEMU's colo-compare in a process of its own: a QEMU without a machine. It parses what a guest
// sends, and a guest that makes it fail costs a comparison, neither of the two guests. Nothing of
// an older shadow is left in a new one.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "net/connection.h"
#include "protect/frame_gate.h"

namespace segue::standby {

class Comparer {
  public:
    struct Handlers {
        // One frame of the primary's, which the shadow has said too.
        std::function<void(std::size_t card, ByteView frame)> passed;
        std::function<void(std::size_t card)> differs;
        // The process is gone, or speaks nonsense. May not destroy the comparer.
        std::function<void(const std::string& how)> failed;
    };
    // `emulator`: any QEMU that the standby runs guests with. `log`: its own output.
    static Result<std::unique_ptr<Comparer>> make(Loop& loop, const std::string& emulator,
                                                  std::size_t cards, const std::string& log,
                                                  Handlers handlers);
    // Ends the process.
    ~Comparer();

    void primary_sent(std::size_t card, Bytes frames);
    void shadow_sent(std::size_t card, Bytes frames);
    pid_t process() const { return process_; }

    // Its command line; each card's sockets are the four descriptors from kFirstDescriptor on.
    static std::vector<std::string> command(const std::string& emulator, std::size_t cards);
    static constexpr int kFirstDescriptor = 10;

  private:
    struct Card {
        std::unique_ptr<net::Connection> primary, shadow, out, notice;
        FrameSplitter passed, said;
    };

    Comparer(Loop& loop, Handlers handlers);
    Result<> start(const std::string& emulator, std::size_t cards, const std::string& log);
    std::unique_ptr<net::Connection> connect(net::Descriptor socket,
                                             std::function<void(ByteView)> on_input);
    void on_passed(std::size_t card, ByteView bytes);
    void on_notice(std::size_t card, ByteView bytes);
    void fail_with(const std::string& how);

    Loop& loop_;
    Handlers handlers_;
    pid_t process_ = -1;
    bool failed_ = false;
    std::vector<Card> cards_;
};

}  // namespace segue::standby
