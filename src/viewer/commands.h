// SPDX-License-Identifier: LGPL-2.1-or-later
// What a script tells a headless viewer: one JSON object a line, as the man page lists them.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/json.h"
#include "base/loop.h"

namespace segue::viewer {

class CommandReader {
  public:
    using OnCommand = std::function<void(Result<Json>)>;

    // A longer line is an error, and the last one that is read.
    static constexpr std::size_t kMaxLine = std::size_t{1} << 20;

    // Reads this descriptor until its end; it is not closed.
    CommandReader(Loop& loop, int descriptor, OnCommand on_command);

  private:
    void read_some();

    int descriptor_;
    OnCommand on_command_;
    std::string line_;
    std::unique_ptr<Watch> watch_;
};

}  // namespace segue::viewer
