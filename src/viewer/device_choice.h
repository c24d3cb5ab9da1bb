// SPDX-License-Identifier: LGPL-2.1-or-later
// What of the user's the guest may use.
#pragma once

#include <string>
#include <vector>

namespace segue::viewer {

struct DeviceChoice {
    std::string folder;
    std::vector<std::string> discs;  // image files
    // Filters in usbredir's form. What fits is redirected when it is there at the start, or when
    // it is plugged in while a window has the keyboard. Empty: nothing is.
    std::string usb_on_connect;
    std::string usb_when_plugged;
    bool cards = false;
    std::string card_database;  // of NSS
    // Three nicknames in it: a card made of them. None: cards in real readers.
    std::vector<std::string> card_certificates;

    bool wants_usb() const {
        return !discs.empty() || !usb_on_connect.empty() || !usb_when_plugged.empty();
    }
};

// Everything but keyboards and mice (class 3), as spice-gtk has it.
inline constexpr const char* kUsualUsbFilter = "0x03,-1,-1,-1,0|-1,-1,-1,-1,1";

}  // namespace segue::viewer
