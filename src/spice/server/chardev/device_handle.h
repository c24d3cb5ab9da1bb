// SPDX-License-Identifier: LGPL-2.1-or-later
// What the embedder holds of a character device that it added.
#pragma once

#include <cstdint>

namespace segue::spice::server {

class DeviceHandle {
  public:
    virtual ~DeviceHandle() = default;
    // The device takes bytes again, or has some.
    virtual void wakeup() = 0;
    // SPICE_PORT_EVENT_*, of a named port.
    virtual void port_event(std::uint8_t event) = 0;
};

}  // namespace segue::spice::server
