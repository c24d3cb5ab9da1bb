// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/protection/shared_disks.h"

#include "protect/image_lock.h"

namespace segue {

Result<Json> describe_images(const std::vector<std::string>& paths) {
    Json described = Json::array();
    for (const std::string& path : paths) {
        const ImageFacts facts = TRY(look_at_image(path));
        if (!facts.is_written) {
            return fail(ErrorCode::config_unsupported,
                        "--shared-storage: '{}' shows no lock of the QEMU that writes to it: its "
                        "file system, or its definition, has them off",
                        path);
        }
        described.push(Json::object({{"path", path}, {"inode", facts.inode}}));
    }
    return described;
}

Result<> check_same_images(const Json& described) {
    for (const Json& one : described.items()) {
        const std::string path(one.text("path"));
        const ImageFacts facts = TRY(look_at_image(path));
        if (facts.inode != one.u64("inode")) {
            return fail(ErrorCode::config_unsupported,
                        "--shared-storage: '{}' is another file on this host: it is not shared",
                        path);
        }
        if (!facts.is_written) {
            return fail(ErrorCode::config_unsupported,
                        "--shared-storage: '{}' shows no lock of the primary's QEMU on this host: "
                        "nothing would keep the two from writing to it at once",
                        path);
        }
    }
    return {};
}

}  // namespace segue
