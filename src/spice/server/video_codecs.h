// SPDX-License-Identifier: LGPL-2.1-or-later
// The list of video encoders and codecs that the embedder prefers ("spice:mjpeg;gstreamer:vp8").
#pragma once

#include <string>

#include "base/result.h"

namespace segue::spice::server {

// What of the list exists here, in its order and in the same notation. "auto" stands for all.
// Fails when nothing is left, or the text is no such list.
Result<std::string> parse_video_codecs(const std::string& text);

}  // namespace segue::spice::server
