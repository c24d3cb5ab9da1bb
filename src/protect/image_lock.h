// SPDX-License-Identifier: LGPL-2.1-or-later
// QEMU's lock of an image (block/file-posix.c): who writes to a file holds a byte of it, on
// whatever host that has the file. What is on shared storage may be opened where nobody holds that
// byte.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace segue {

struct ImageFacts {
    std::uint64_t inode = 0;
    bool is_written = false;  // a QEMU has it open for that, here or on another host
};
// Errors: it cannot be opened, is no regular file, or its file system knows no such locks. May wait
// for a file server.
Result<ImageFacts> look_at_image(const std::string& path);

}  // namespace segue
