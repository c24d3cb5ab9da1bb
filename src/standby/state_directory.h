// SPDX-License-Identifier: LGPL-2.1-or-later
// --state DIR: the lock, the facts that must outlive the process, and where the memory images are.
#pragma once

#include <string>

#include "base/result.h"
#include "net/descriptor.h"
#include "protect/memory_directory.h"

namespace segue::standby {

// What a standby that is started again must know. Synced to disk whenever it changes.
struct Facts {
    // Set before anything of a promotion is done, for ever: the old primary stays refused.
    bool promoted = false;
    // Set before the guest is let go: it may have run, and the image is no longer its epoch.
    bool ran = false;
    // Set before the primary hears that nobody takes over: it goes on, and what is held is old.
    bool given_up = false;
    // The user has paused the guest in the epoch that is held: whoever takes over leaves it so.
    bool paused = false;
    // Frames have left that this epoch does not know: only its shadow did. 0: none.
    std::uint64_t beyond_epoch = 0;
    // The guest that was let go is the shadow of the seat with this number less one. 0: it is not.
    std::uint64_t seat = 0;
    std::uint64_t epoch = 0;
    std::int64_t lost_at_ms = 0;  // wall clock; 0: not lost
};

class StateDirectory {
  public:
    // Makes it when it is missing. Error exists: another standby has it.
    static Result<StateDirectory> open(const std::string& path);

    const std::string& path() const { return path_; }
    std::string file(std::string_view name) const;
    // Inside it, ours alone; its path. It may be there already.
    Result<std::string> make_directory(std::string_view name) const;
    MemoryDirectory& memory() { return memory_; }

    const Facts& facts() const { return facts_; }
    // Durable when it returns.
    Result<> save(const Facts& facts);
    // Survives this process, and no crash of the host: for what that makes worthless.
    Result<> save_for_next_process(const Facts& facts);

  private:
    std::string path_;
    MemoryDirectory memory_;
    net::Descriptor lock_;
    Facts facts_;
};

}  // namespace segue::standby
