// SPDX-License-Identifier: LGPL-2.1-or-later
// A file in shared memory (tmpfs), mapped whole. Its content outlives the process, also after
// kill -9; memory for it is reserved with fallocate, so that writing it cannot fail later.
#pragma once

#include <span>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace segue {

class MemoryFile {
  public:
    MemoryFile() = default;
    MemoryFile(MemoryFile&& other) noexcept;
    MemoryFile& operator=(MemoryFile&& other) noexcept;
    ~MemoryFile();

    // Opens or creates `path` with exactly `size` bytes; a file of another size is replaced. With
    // `reserve` the memory is taken now; without, see reserve_to(). Errors: system, no_memory.
    static Result<MemoryFile> make(const std::string& path, std::size_t size, bool reserve);

    // False: the file held something before.
    bool is_fresh() const { return fresh_; }
    std::span<std::uint8_t> bytes() { return {data_, size_}; }
    ByteView view() const { return {data_, size_}; }
    const std::string& path() const { return path_; }

    // The first `size` bytes may be written without fear from now on. Error no_memory.
    Result<> reserve_to(std::size_t size);
    // Maps the pages of the range into the process now, so that a later write meets no page fault.
    void populate(std::size_t offset, std::size_t size);
    // Gives the memory from `size` on back to the system.
    void release_from(std::size_t size);
    std::size_t reserved() const { return reserved_; }

  private:
    void close();

    std::string path_;
    int descriptor_ = -1;
    std::uint8_t* data_ = nullptr;
    std::size_t size_ = 0;
    std::size_t reserved_ = 0;
    bool fresh_ = true;
};

}  // namespace segue
