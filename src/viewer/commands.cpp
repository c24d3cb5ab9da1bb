// SPDX-License-Identifier: LGPL-2.1-or-later
#include "viewer/commands.h"

#include <unistd.h>

namespace segue::viewer {

CommandReader::CommandReader(Loop& loop, int descriptor, OnCommand on_command)
    : descriptor_(descriptor),
      on_command_(std::move(on_command)),
      watch_(loop.watch(descriptor, [this](Loop::Ready) { read_some(); })) {
    watch_->set_interest(true, false);
}

void CommandReader::read_some() {
    char buffer[16384];
    const ssize_t size = ::read(descriptor_, buffer, sizeof buffer);
    if (size <= 0) return watch_.reset();
    line_.append(buffer, static_cast<std::size_t>(size));
    for (std::size_t end = line_.find('\n'); end != std::string::npos; end = line_.find('\n')) {
        const std::string line = line_.substr(0, end);
        line_.erase(0, end + 1);
        if (!line.empty()) on_command_(Json::parse(line));
    }
    if (line_.size() <= kMaxLine) return;
    watch_.reset();
    on_command_(fail(ErrorCode::limit_exceeded, "a command is longer than {} bytes", kMaxLine));
}

}  // namespace segue::viewer
