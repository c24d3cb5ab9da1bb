// SPDX-License-Identifier: LGPL-2.1-or-later
// How large a disk is for its guest, and what it takes of its host.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "daemon/file_facts.h"
#include "domain/device/disk.h"

namespace segue {

struct ImageSize {
    std::uint64_t capacity = 0;    // bytes that the guest sees
    std::uint64_t allocation = 0;  // bytes that the file takes of its file system
    std::uint64_t physical = 0;    // bytes from the file's begin to its end
};

// Of a file or block device, raw or qcow2, that has been looked at. An error names the file.
Result<ImageSize> image_size(const Disk& disk, const FileFacts& facts);

}  // namespace segue
