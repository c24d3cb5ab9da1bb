// SPDX-License-Identifier: LGPL-2.1-or-later
// One file of a disk's write log: records, each with a checksum over its head, and at last a seal.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace segue {

// A descriptor that is closed with its last owner.
std::shared_ptr<int> shared_descriptor(int number);

Result<> write_at(int descriptor, std::uint64_t offset, ByteView bytes);
Result<> read_at(int descriptor, std::uint64_t offset, std::span<std::uint8_t> into);
Result<> zero_at(int descriptor, std::uint64_t offset, std::uint64_t length);

struct DiskRecord {
    enum Kind : std::uint32_t { kWrite = 1, kZero = 2, kSeal = 3 };
    std::uint32_t kind = kWrite;
    std::uint64_t offset = 0;  // in the image; of a seal: the epoch
    std::uint64_t length = 0;
    std::uint64_t data_at = 0;  // in the segment
};

class DiskSegmentFile {
  public:
    static Result<std::shared_ptr<DiskSegmentFile>> open(const std::string& path);

    // Calls back for each whole record from the front; a torn end is cut off.
    Result<> replay(const std::function<Result<>(const DiskRecord&)>& use);
    // Appends; returns where its data stands.
    Result<std::uint64_t> append(const DiskRecord& record, ByteView data);

    const std::string& path() const { return path_; }
    const std::shared_ptr<int>& descriptor() const { return descriptor_; }
    std::uint64_t size() const { return size_; }

  private:
    std::string path_;
    std::shared_ptr<int> descriptor_;
    std::uint64_t size_ = 0;
};

}  // namespace segue
