// SPDX-License-Identifier: LGPL-2.1-or-later
// <input>, <hub>, <redirdev>, <smartcard>: what the user's hands and devices reach the guest by.
#pragma once

#include "domain/device/chardev.h"

namespace segue {

struct Input : Device {
    std::string type;  // mouse, tablet, keyboard
    std::string bus;   // ps2, usb, virtio
};

struct Hub : Device {};

struct RedirectedDevice : Device {
    Chardev chardev;
};

struct Smartcard : Device {
    Chardev chardev;
};

Result<Input> parse_input(XmlCursor& from);
XmlElement format_input(const Input& input, const FormatOptions& options);
Result<Hub> parse_hub(XmlCursor& from);
XmlElement format_hub(const Hub& hub, const FormatOptions& options);
Result<RedirectedDevice> parse_redirdev(XmlCursor& from);
XmlElement format_redirdev(const RedirectedDevice& device, const FormatOptions& options);
Result<Smartcard> parse_smartcard(XmlCursor& from);
XmlElement format_smartcard(const Smartcard& smartcard, const FormatOptions& options);

}  // namespace segue
