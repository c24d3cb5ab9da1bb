// SPDX-License-Identifier: LGPL-2.1-or-later
// segue-view-usb: one USB device for the guest behind standard input, which is a socket that
// segue-view holds. The guest drives the device; a process of its own keeps it from the viewer.
#include <unistd.h>

#include <cstdio>
#include <string_view>

#include "base/log.h"
#include "viewer/usb/redirection.h"

int main(int argument_count, char** arguments) {
    using namespace segue;
    const std::string_view what = argument_count == 3 ? arguments[1] : "";
    Result<> done;
    if (what == "disc") {
        done = viewer::redirect_disc(arguments[2], STDIN_FILENO);
    } else if (what == "device") {
        done = viewer::redirect_device(arguments[2], STDIN_FILENO);
    } else if (what == "watch") {
        done = viewer::watch_devices(arguments[2], STDIN_FILENO);
    } else {
        std::fputs(
            "usage: segue-view-usb disc FILE | device BUS:ADDRESS | watch FILTER\n"
            "       (started by segue-view)\n",
            stderr);
        return 2;
    }
    if (done) return 0;
    log_error("viewer", "{}", done.error().message);
    return 1;
}
