// SPDX-License-Identifier: LGPL-2.1-or-later
// <sound> and <audio>: a sound card, and where its sound goes.
#pragma once

#include "domain/address.h"

namespace segue {

struct Sound : Device {
    std::string model;                // ich6, ich9, ac97, es1370
    std::vector<std::string> codecs;  // of ich6 and ich9: duplex, micro, output
};

struct Audio {
    std::uint32_t id = 1;
    std::string type = "none";  // none, spice
    // Added by completion, not the user's: left out of migratable XML.
    bool implicit = false;
    XmlElement unknown;
};

Result<Sound> parse_sound(XmlCursor& from);
XmlElement format_sound(const Sound& sound, const FormatOptions& options);
Result<Audio> parse_audio(XmlCursor& from);
XmlElement format_audio(const Audio& audio);

}  // namespace segue
