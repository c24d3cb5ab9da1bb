// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/image_size.h"

namespace segue {

Result<ImageSize> image_size(const Disk& disk, const FileFacts& facts) {
    if (facts.error != 0) {
        return fail(ErrorCode::system, "cannot look at '{}': {}", disk.source, reason_of(facts));
    }
    if (!facts.holds_data) {
        return fail(ErrorCode::operation_failed, "'{}' is neither a file nor a block device",
                    disk.source);
    }
    const bool is_raw = disk.format != "qcow2";
    if (!is_raw && !facts.qcow2_size) {
        return fail(ErrorCode::operation_failed, "'{}' is not a qcow2 image", disk.source);
    }
    return ImageSize{is_raw ? facts.size : *facts.qcow2_size, facts.allocated, facts.size};
}

}  // namespace segue
