// SPDX-License-Identifier: LGPL-2.1-or-later
#include "protect/disk_segment.h"

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace segue {
namespace {

constexpr std::uint32_t kMagic = 0x53474c44;  // "SGLD"
constexpr std::size_t kHeadBytes = 40;

std::uint64_t checksum_of(ByteView bytes) {
    std::uint64_t hash = 0xcbf29ce484222325;
    for (const std::uint8_t byte : bytes)
        hash = (hash ^ byte) * 0x100000001b3;
    return hash;
}

Bytes encode(const DiskRecord& record) {
    BigWriter out;
    out.u32(kMagic);
    out.u32(record.kind);
    out.u64(record.offset);
    out.u64(record.length);
    out.u64(0);
    out.u64(checksum_of(out.view()));
    return out.take();
}

}  // namespace

std::shared_ptr<int> shared_descriptor(int number) {
    return std::shared_ptr<int>(new int(number), [](int* descriptor) {
        ::close(*descriptor);
        delete descriptor;
    });
}

Result<> write_at(int descriptor, std::uint64_t offset, ByteView bytes) {
    while (!bytes.empty()) {
        const ssize_t done =
            ::pwrite(descriptor, bytes.data(), bytes.size(), static_cast<off_t>(offset));
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return fail_errno("write", "the disk", errno);
        bytes = bytes.subspan(static_cast<std::size_t>(done));
        offset += static_cast<std::uint64_t>(done);
    }
    return {};
}

Result<> read_at(int descriptor, std::uint64_t offset, std::span<std::uint8_t> into) {
    while (!into.empty()) {
        const ssize_t done =
            ::pread(descriptor, into.data(), into.size(), static_cast<off_t>(offset));
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return fail_errno("read", "the disk", errno);
        if (done == 0) return fail(ErrorCode::system, "the disk ends early");
        into = into.subspan(static_cast<std::size_t>(done));
        offset += static_cast<std::uint64_t>(done);
    }
    return {};
}

Result<> zero_at(int descriptor, std::uint64_t offset, std::uint64_t length) {
    if (::fallocate(descriptor, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
                    static_cast<off_t>(offset), static_cast<off_t>(length)) == 0) {
        return {};
    }
    const Bytes zeros(std::min<std::uint64_t>(length, 1U << 20));
    while (length > 0) {
        const std::uint64_t now = std::min<std::uint64_t>(length, zeros.size());
        TRY(write_at(descriptor, offset, ByteView(zeros).first(now)));
        offset += now;
        length -= now;
    }
    return {};
}

Result<std::shared_ptr<DiskSegmentFile>> DiskSegmentFile::open(const std::string& path) {
    auto file = std::make_shared<DiskSegmentFile>();
    const int number = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (number < 0) return fail_errno("open", path, errno);
    file->path_ = path;
    file->descriptor_ = shared_descriptor(number);
    return file;
}

Result<> DiskSegmentFile::replay(const std::function<Result<>(const DiskRecord&)>& use) {
    const off_t end = ::lseek(*descriptor_, 0, SEEK_END);
    if (end < 0) return fail_errno("seek", path_, errno);
    const auto limit = static_cast<std::uint64_t>(end);
    size_ = 0;
    while (limit - size_ >= kHeadBytes) {
        std::uint8_t head[kHeadBytes];
        TRY(read_at(*descriptor_, size_, head));
        BigReader in(head);
        const std::uint32_t magic = in.u32();
        DiskRecord record;
        record.kind = in.u32();
        record.offset = in.u64();
        record.length = in.u64();
        in.skip(8);
        if (magic != kMagic || in.u64() != checksum_of(ByteView(head).first(kHeadBytes - 8))) break;
        const std::uint64_t data = record.kind == DiskRecord::kWrite ? record.length : 0;
        if (data > limit - size_ - kHeadBytes) break;
        record.data_at = size_ + kHeadBytes;
        size_ = record.data_at + data;
        TRY(use(record));
    }
    if (::ftruncate(*descriptor_, static_cast<off_t>(size_)) != 0) {
        return fail_errno("cut", path_, errno);
    }
    return {};
}

Result<std::uint64_t> DiskSegmentFile::append(const DiskRecord& record, ByteView data) {
    Bytes head = encode(record);
    iovec parts[2] = {{head.data(), head.size()},
                      {const_cast<std::uint8_t*>(data.data()), data.size()}};
    const ssize_t done = ::pwritev(*descriptor_, parts, 2, static_cast<off_t>(size_));
    if (done < 0) return fail_errno("write", path_, errno);
    const auto written = static_cast<std::size_t>(done);
    if (written < head.size()) return fail(ErrorCode::system, "'{}': no room", path_);
    // The rest, should the kernel have taken a part only.
    TRY(write_at(*descriptor_, size_ + written, data.subspan(written - head.size())));
    const std::uint64_t data_at = size_ + head.size();
    size_ = data_at + data.size();
    return data_at;
}

}  // namespace segue
