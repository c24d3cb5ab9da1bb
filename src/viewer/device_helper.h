// SPDX-License-Identifier: LGPL-2.1-or-later
// A program that is one device of the guest: segue-view-usb, -folder or -card. It holds a socket as
// its standard input and speaks what the guest speaks. A process of its own: what a guest can do to
// it does not reach the viewer, and who shares nothing loads none of its libraries.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/loop.h"
#include "net/connection.h"

namespace segue::viewer {

class DeviceHelper {
  public:
    struct Handlers {
        std::function<void(ByteView)> on_bytes;
        // The program has ended. The last callback: it may destroy the helper.
        std::function<void()> on_over;
        // Everything that was given is nearly gone.
        std::function<void()> on_drained;
    };
    // What is given beyond this waits in the server instead.
    static constexpr std::size_t kMaxWaiting = std::size_t{4} << 20;

    // `program` stands beside segue-view. Errors: no_support where it is not installed.
    static Result<std::unique_ptr<DeviceHelper>> start(Loop& loop, const std::string& program,
                                                       std::vector<std::string> arguments,
                                                       Handlers handlers);

    void give(ByteView bytes) { connection_->send_copy(bytes); }
    bool is_full() const { return connection_->output_waiting() > kMaxWaiting; }
    // The program says goodbye to the guest; on_over follows.
    void finish() { connection_->end_output(); }
    // No callback follows. The program ends by itself.
    void stop() { connection_->close(); }
    void set_reading(bool reading) { connection_->set_reading(reading); }

  private:
    DeviceHelper() = default;
    std::unique_ptr<net::Connection> connection_;
};

}  // namespace segue::viewer
