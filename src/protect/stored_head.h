// SPDX-License-Identifier: LGPL-2.1-or-later
// A stream's head as a small file, and files that are replaced whole.
#pragma once

#include <string>

#include "base/result.h"
#include "qemu/stream_format.h"

namespace segue {

Bytes encode_head(const StreamHead& head);
Result<StreamHead> decode_head(ByteView bytes);
Result<StreamHead> load_head(const std::string& path);

// Writes beside `path` and renames: readers see the old or the new content.
Result<> save_bytes(const std::string& path, ByteView bytes);
// Exactly `size` bytes, or error persist_failed.
Result<Bytes> load_bytes(const std::string& path, std::size_t size);

}  // namespace segue
