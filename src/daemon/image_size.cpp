// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/image_size.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "net/descriptor.h"

namespace segue {
namespace {

// docs/interop/qcow2.txt: magic, version, two fields of the backing file, cluster bits, size.
constexpr std::array<unsigned char, 4> kMagic{'Q', 'F', 'I', 0xfb};
constexpr std::size_t kSizeAt = 24;

Result<std::uint64_t> qcow2_size(int file, const std::string& path) {
    std::array<unsigned char, kSizeAt + 8> header{};
    if (::pread(file, header.data(), header.size(), 0) != static_cast<ssize_t>(header.size()) ||
        !std::equal(kMagic.begin(), kMagic.end(), header.begin())) {
        return fail(ErrorCode::operation_failed, "'{}' is not a qcow2 image", path);
    }
    std::uint64_t size = 0;
    for (std::size_t at = kSizeAt; at < header.size(); ++at)
        size = size << 8 | header[at];
    return size;
}

}  // namespace

Result<ImageSize> image_size(const Disk& disk) {
    struct stat facts {};
    // Looked at before it is opened: opening a FIFO would wait.
    if (::stat(disk.source.c_str(), &facts) != 0) return fail_errno("look at", disk.source, errno);
    if (!S_ISREG(facts.st_mode) && !S_ISBLK(facts.st_mode)) {
        return fail(ErrorCode::operation_failed, "'{}' is neither a file nor a block device",
                    disk.source);
    }
    const net::Descriptor file(::open(disk.source.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!file) return fail_errno("open", disk.source, errno);
    const off_t end = ::lseek(file.get(), 0, SEEK_END);
    if (end < 0) return fail_errno("measure", disk.source, errno);
    ImageSize size;
    size.physical = static_cast<std::uint64_t>(end);
    size.capacity =
        disk.format == "qcow2" ? TRY(qcow2_size(file.get(), disk.source)) : size.physical;
    // A block device takes all of itself.
    size.allocation =
        S_ISBLK(facts.st_mode) ? size.physical : static_cast<std::uint64_t>(facts.st_blocks) * 512;
    return size;
}

}  // namespace segue
