// SPDX-License-Identifier: LGPL-2.1-or-later
// The one place that says what a page store holds. Two slots are written in turn and carry a
// checksum: whoever reads after a kill at any byte finds the newer whole one.
#pragma once

#include <optional>

#include "protect/memory_file.h"

namespace segue {

struct StoreRecord {
    enum class Content : std::uint32_t { nothing = 0, synchronising = 1, committed = 2 };

    Content content = Content::nothing;
    // The log holds an epoch that the images may not have yet (in whole or in part).
    bool pending = false;
    std::uint64_t epoch = 0;
    std::int64_t committed_at_ms = 0;  // wall clock
    std::uint64_t state_bytes = 0;     // the device state of `epoch`
    // Where in the log a pending epoch stands.
    std::uint64_t sections_at = 0;
    std::uint64_t sections_bytes = 0;
    std::uint64_t state_at = 0;
    std::uint32_t current_block = 0;  // of the RAM reader, before the sections

    friend bool operator==(const StoreRecord&, const StoreRecord&) = default;
};

class RecordFile {
  public:
    // Opens or creates it; a file without a whole slot reads as "nothing".
    static Result<RecordFile> open(const std::string& path);

    const StoreRecord& get() const { return current_; }
    // Whole or not at all, in the order of the program's other stores to shared memory.
    void put(const StoreRecord& record);

    static constexpr std::size_t kSlotBytes = 4096;

  private:
    MemoryFile file_;
    StoreRecord current_;
    std::uint64_t sequence_ = 0;
};

}  // namespace segue
