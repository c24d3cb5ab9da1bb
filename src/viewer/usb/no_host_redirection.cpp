// SPDX-License-Identifier: LGPL-2.1-or-later
// In place of host_redirection.cpp where libusb or usbredirhost was not there at build time.
#include "viewer/usb/redirection.h"

namespace segue::viewer {

namespace {

tl::unexpected<Error> absent() {
    return fail(ErrorCode::no_support, "usb: this segue-view was built without libusb");
}

}  // namespace

Result<> redirect_device(const std::string&, int) {
    return absent();
}

Result<> watch_devices(const std::string&, int) {
    return absent();
}

}  // namespace segue::viewer
