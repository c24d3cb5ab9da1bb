// SPDX-License-Identifier: LGPL-2.1-or-later
#include "protect/image_lock.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/log.h"

namespace segue {
namespace {

// RAW_LOCK_PERM_BASE, and the bit number of BLK_PERM_WRITE.
constexpr off_t kPermissions = 100, kWrite = 1;

struct Opened {
    explicit Opened(const std::string& path)
        : descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {}
    ~Opened() {
        if (descriptor >= 0) ::close(descriptor);
    }
    Opened(const Opened&) = delete;
    Opened& operator=(const Opened&) = delete;
    int descriptor;
};

}  // namespace

Result<ImageFacts> look_at_image(const std::string& path) {
    const Opened image(path);
    if (image.descriptor < 0) return fail_errno("open", path, errno);
    struct stat facts {};
    if (::fstat(image.descriptor, &facts) != 0) return fail_errno("look at", path, errno);
    if (!S_ISREG(facts.st_mode)) {
        return fail(ErrorCode::config_unsupported,
                    "'{}' is no file: of a device no other host sees QEMU's lock", path);
    }
    struct flock lock {};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = kPermissions + kWrite;
    lock.l_len = 1;
    if (::fcntl(image.descriptor, F_OFD_GETLK, &lock) != 0) {
        return fail_errno("ask for the lock of", path, errno);
    }
    return ImageFacts{facts.st_ino, lock.l_type != F_UNLCK};
}

}  // namespace segue
