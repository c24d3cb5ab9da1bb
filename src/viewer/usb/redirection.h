// SPDX-License-Identifier: LGPL-2.1-or-later
// USB devices for a guest, in usbredir's protocol over a connected socket, whose other end is a
// channel of the guest. Each function returns when the other end is gone.
#pragma once

#include <string>

#include "base/result.h"

namespace segue::viewer {

// An image file as a disc in a USB drive.
Result<> redirect_disc(const std::string& image, int socket);

// A device of this machine, by its place on the USB ("BUS:ADDRESS"). Errors: no_support without
// libusb at build time, invalid_argument, system where it cannot be opened.
Result<> redirect_device(const std::string& place, int socket);

// Says which devices of this machine may be redirected, and when they come and go, one line each:
// "+ BUS:ADDRESS" and "- BUS:ADDRESS", and "." behind those that are there at first. `filter` has
// usbredir's form: rules of class,vendor,product,version,allow, separated by '|'; the first that
// fits decides.
Result<> watch_devices(const std::string& filter, int socket);

}  // namespace segue::viewer
