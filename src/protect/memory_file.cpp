// SPDX-License-Identifier: LGPL-2.1-or-later
#include "protect/memory_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace segue {

MemoryFile::MemoryFile(MemoryFile&& other) noexcept {
    *this = std::move(other);
}

MemoryFile& MemoryFile::operator=(MemoryFile&& other) noexcept {
    if (this == &other) return *this;
    close();
    path_ = std::move(other.path_);
    descriptor_ = std::exchange(other.descriptor_, -1);
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
    reserved_ = std::exchange(other.reserved_, 0);
    fresh_ = other.fresh_;
    return *this;
}

MemoryFile::~MemoryFile() {
    close();
}

void MemoryFile::close() {
    if (data_ != nullptr) ::munmap(data_, size_);
    if (descriptor_ >= 0) ::close(descriptor_);
    data_ = nullptr;
    descriptor_ = -1;
}

Result<MemoryFile> MemoryFile::make(const std::string& path, std::size_t size, bool reserve) {
    MemoryFile file;
    file.path_ = path;
    file.descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file.descriptor_ < 0) return fail_errno("open", path, errno);
    struct stat status {};
    if (::fstat(file.descriptor_, &status) != 0) return fail_errno("stat", path, errno);
    file.fresh_ = static_cast<std::size_t>(status.st_size) != size;
    if (file.fresh_ && (::ftruncate(file.descriptor_, 0) != 0 ||
                        ::ftruncate(file.descriptor_, static_cast<off_t>(size)) != 0)) {
        return fail_errno("resize", path, errno);
    }
    file.size_ = size;
    if (size == 0) return file;
    if (reserve) TRY(file.reserve_to(size));
    void* data = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
                        file.descriptor_, 0);
    if (data == MAP_FAILED) return fail_errno("map", path, errno);
    file.data_ = static_cast<std::uint8_t*>(data);
    return file;
}

Result<> MemoryFile::reserve_to(std::size_t size) {
    if (size <= reserved_) return {};
    const auto from = static_cast<off_t>(reserved_);
    if (::fallocate(descriptor_, 0, from, static_cast<off_t>(size) - from) != 0) {
        if (errno != ENOSPC && errno != ENOMEM) return fail_errno("allocate", path_, errno);
        return fail(ErrorCode::no_memory,
                    "no shared memory for {} MiB of '{}': free some, or enlarge the tmpfs",
                    size >> 20, path_);
    }
    reserved_ = size;
    return {};
}

void MemoryFile::populate(std::size_t offset, std::size_t size) {
    constexpr int kPopulateWrite = 23;  // MADV_POPULATE_WRITE, Linux 5.14; older ones ignore it
    constexpr std::size_t kPage = 4096;
    const std::size_t begin = offset & ~(kPage - 1);
    const std::size_t end = std::min(offset + size, reserved_);
    if (end > begin) (void)::madvise(data_ + begin, end - begin, kPopulateWrite);
}

void MemoryFile::release_from(std::size_t size) {
    constexpr std::size_t kPage = 4096;
    const std::size_t from = (size + kPage - 1) & ~(kPage - 1);
    if (from >= reserved_) return;
    if (::fallocate(descriptor_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                    static_cast<off_t>(from), static_cast<off_t>(reserved_ - from)) == 0) {
        reserved_ = from;
    }
}

}  // namespace segue
