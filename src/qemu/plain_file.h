// SPDX-License-Identifier: LGPL-2.1-or-later
// Files in a directory that another user owns: QEMU's. What bears the name of a log may be a link
// to a file of the daemon's, a FIFO that nobody writes to, or a device.
#pragma once

#include <cstddef>
#include <string>

#include "base/result.h"

namespace segue {

// open(2) with these flags (and mode 0600 where O_CREAT is among them), never waiting, never
// through a symbolic link at the end of the path. Whatever is not a regular file with one name at
// most is error denied: a second name could be a file of somebody else's. The caller closes it.
Result<int> open_plain(const std::string& path, int flags);

// The whole of such a file; error limit_exceeded where it has more than `most` bytes.
Result<std::string> read_plain(const std::string& path, std::size_t most);

// The last bytes of such a file, at most `most`; empty where it cannot be read.
std::string read_plain_tail(const std::string& path, std::size_t most);

// Where such a file has more than `most` bytes: only its last `kept` are left. Those who append to
// it (O_APPEND) go on behind them; what they write in this moment may be lost.
void bound_log(const std::string& path, std::size_t most, std::size_t kept);

}  // namespace segue
