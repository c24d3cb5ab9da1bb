// SPDX-License-Identifier: LGPL-2.1-or-later
#include "protect/disk_segment.h"

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace segue {
namespace {

constexpr std::uint32_t kMagic = 0x53474c44;  // "SGLD"
constexpr std::size_t kHeadBytes = 40;
constexpr std::size_t kCheckBytes = 256U << 10;
// Above the checksum of the data: there is one.
constexpr std::uint64_t kHasChecksum = 1ULL << 32;

constexpr std::array<std::uint32_t, 256> make_crc_table() {
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t byte = 0; byte < table.size(); ++byte) {
        std::uint32_t value = byte;
        for (int bit = 0; bit < 8; ++bit)
            value = (value >> 1) ^ ((value & 1) != 0 ? 0x82f63b78U : 0U);
        table[byte] = value;
    }
    return table;
}
constexpr auto kCrcTable = make_crc_table();

std::uint32_t crc_by_table(ByteView bytes, std::uint32_t value) {
    for (const std::uint8_t byte : bytes)
        value = kCrcTable[(value ^ byte) & 0xff] ^ (value >> 8);
    return value;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) std::uint32_t crc_by_processor(ByteView bytes,
                                                                 std::uint32_t value) {
    std::uint64_t sum = value;
    for (; bytes.size() >= 8; bytes = bytes.subspan(8)) {
        std::uint64_t word = 0;
        std::memcpy(&word, bytes.data(), sizeof word);
        sum = __builtin_ia32_crc32di(sum, word);
    }
    return crc_by_table(bytes, static_cast<std::uint32_t>(sum));
}
#endif

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
    out.u64(record.checksum ? kHasChecksum | *record.checksum : 0);
    out.u64(checksum_of(out.view()));
    return out.take();
}

}  // namespace

std::uint32_t crc32c(ByteView bytes, std::uint32_t before) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2")) return ~crc_by_processor(bytes, ~before);
#endif
    return ~crc_by_table(bytes, ~before);
}

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

// A hole where the file system knows holes: a thin disk stays thin.
Result<> zero_at(int descriptor, std::uint64_t offset, std::uint64_t length) {
    for (const int how : {FALLOC_FL_PUNCH_HOLE, FALLOC_FL_ZERO_RANGE}) {
        if (::fallocate(descriptor, how | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                        static_cast<off_t>(length)) == 0) {
            return {};
        }
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
    broken_ = false;
    while (limit - size_ >= kHeadBytes) {
        std::uint8_t head[kHeadBytes];
        TRY(read_at(*descriptor_, size_, head));
        BigReader in(head);
        const std::uint32_t magic = in.u32();
        DiskRecord record;
        record.kind = in.u32();
        record.offset = in.u64();
        record.length = in.u64();
        const std::uint64_t sum = in.u64();
        if ((sum & kHasChecksum) != 0) record.checksum = static_cast<std::uint32_t>(sum);
        if (magic != kMagic || in.u64() != checksum_of(ByteView(head).first(kHeadBytes - 8))) break;
        const std::uint64_t data = record.kind == DiskRecord::kWrite ? record.length : 0;
        if (data > limit - size_ - kHeadBytes) break;
        record.data_at = size_ + kHeadBytes;
        size_ = record.data_at + data;
        broken_ = broken_ || !TRY(is_as_written(record));
        if (!broken_ || record.kind == DiskRecord::kSeal) TRY(use(record));
    }
    if (::ftruncate(*descriptor_, static_cast<off_t>(size_)) != 0) {
        return fail_errno("cut", path_, errno);
    }
    return {};
}

Result<bool> DiskSegmentFile::is_as_written(const DiskRecord& record) const {
    if (record.kind != DiskRecord::kWrite || !record.checksum) return true;
    Bytes buffer(std::min<std::uint64_t>(kCheckBytes, record.length));
    std::uint32_t sum = 0;
    for (std::uint64_t done = 0; done < record.length;) {
        const std::size_t now = std::min<std::uint64_t>(buffer.size(), record.length - done);
        const std::span<std::uint8_t> part(buffer.data(), now);
        TRY(read_at(*descriptor_, record.data_at + done, part));
        sum = crc32c(part, sum);
        done += now;
    }
    return sum == *record.checksum;
}

Result<std::uint64_t> DiskSegmentFile::append(const DiskRecord& record, ByteView data) {
    DiskRecord whole = record;
    if (record.kind == DiskRecord::kWrite) whole.checksum = crc32c(data);
    Bytes head = encode(whole);
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
