// SPDX-License-Identifier: LGPL-2.1-or-later
#include "protect/image_lock.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "net/descriptor.h"

namespace segue {
namespace {

// RAW_LOCK_PERM_BASE, and the bit number of BLK_PERM_WRITE.
constexpr off_t kPermissions = 100, kWrite = 1;

}  // namespace

Result<ImageFacts> look_at_image(const std::string& path) {
    const net::Descriptor image(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!image) return fail_errno("open", path, errno);
    struct stat facts {};
    if (::fstat(image.get(), &facts) != 0) return fail_errno("look at", path, errno);
    if (!S_ISREG(facts.st_mode)) {
        return fail(ErrorCode::config_unsupported,
                    "'{}' is no file: of a device no other host sees QEMU's lock", path);
    }
    struct flock lock {};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = kPermissions + kWrite;
    lock.l_len = 1;
    if (::fcntl(image.get(), F_OFD_GETLK, &lock) != 0) {
        return fail_errno("ask for the lock of", path, errno);
    }
    return ImageFacts{facts.st_ino, lock.l_type != F_UNLCK};
}

}  // namespace segue
