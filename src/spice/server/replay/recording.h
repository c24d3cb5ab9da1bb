// SPDX-License-Identifier: LGPL-2.1-or-later
// A recording of what a display device was given, read step by step: commands as the device had
// them, with all that they point to, and the calls that made and destroyed its surfaces.
#pragma once

#include <spice/qxl_dev.h>

#include <memory>
#include <variant>
#include <vector>

#include "spice/server/device.h"
#include "spice/server/replay/recording_reader.h"

namespace segue::spice::server {

// A command and its memory, whose addresses are plain pointers.
struct RecordedCommand {
    QXLCommandExt command{};
    std::vector<Bytes> memory;
};

struct RecordedPrimary {
    PrimarySurface surface;
    std::unique_ptr<std::uint8_t[]> pixels;
};
struct RecordedDestroyPrimary {};
struct RecordedDestroySurfaces {};
// A call that has nothing to do in a replay, or whose arguments were not recorded.
struct RecordedNothing {};

using RecordedStep = std::variant<RecordedNothing, std::unique_ptr<RecordedCommand>,
                                  RecordedPrimary, RecordedDestroyPrimary, RecordedDestroySurfaces>;

class Recording {
  public:
    // The file stands at its beginning and stays the caller's. Fails when it is no recording.
    static Result<std::unique_ptr<Recording>> open(std::FILE* file);

    bool at_end() { return reader_.at_end(); }
    Result<RecordedStep> next();

  private:
    explicit Recording(std::FILE* file) : reader_(file) {}

    RecordingReader reader_;
};

}  // namespace segue::spice::server
