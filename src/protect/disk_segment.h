// SPDX-License-Identifier: LGPL-2.1-or-later
// One file of a disk's write log: records, each with a checksum over its head and one over its
// data, and at last a seal. After a crash of the host a file may have its length, and even its
// heads, and not the data between them.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace segue {

// A descriptor that is closed with its last owner.
std::shared_ptr<int> shared_descriptor(int number);

// CRC-32C (Castagnoli), as RFC 3720 has it.
std::uint32_t crc32c(ByteView bytes, std::uint32_t before = 0);

Result<> write_at(int descriptor, std::uint64_t offset, ByteView bytes);
Result<> read_at(int descriptor, std::uint64_t offset, std::span<std::uint8_t> into);
Result<> zero_at(int descriptor, std::uint64_t offset, std::uint64_t length);

struct DiskRecord {
    enum Kind : std::uint32_t { kWrite = 1, kZero = 2, kSeal = 3 };
    std::uint32_t kind = kWrite;
    std::uint64_t offset = 0;  // in the image; of a seal: the epoch
    std::uint64_t length = 0;
    std::uint64_t data_at = 0;  // in the segment
    // Of the data; nothing: an older release wrote it.
    std::optional<std::uint32_t> checksum = std::nullopt;
};

class DiskSegmentFile {
  public:
    static Result<std::shared_ptr<DiskSegmentFile>> open(const std::string& path);

    // Calls back for each whole record from the front; a torn end is cut off. Behind a record whose
    // data is not what was written nothing counts but the seal: is_broken() then.
    Result<> replay(const std::function<Result<>(const DiskRecord&)>& use);
    bool is_broken() const { return broken_; }
    // Appends; returns where its data stands.
    Result<std::uint64_t> append(const DiskRecord& record, ByteView data);

    const std::string& path() const { return path_; }
    const std::shared_ptr<int>& descriptor() const { return descriptor_; }
    std::uint64_t size() const { return size_; }

  private:
    Result<bool> is_as_written(const DiskRecord& record) const;

    std::string path_;
    std::shared_ptr<int> descriptor_;
    std::uint64_t size_ = 0;
    bool broken_ = false;
};

}  // namespace segue
