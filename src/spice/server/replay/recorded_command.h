// SPDX-License-Identifier: LGPL-2.1-or-later
// One command of a recording: every field by its name, in the order of the stock recorder.
#pragma once

#include "spice/server/replay/recording.h"

namespace segue::spice::server {

// On failure the reader says why, and the command is incomplete.
std::unique_ptr<RecordedCommand> read_command(RecordingReader& reader, std::uint32_t type);

}  // namespace segue::spice::server
