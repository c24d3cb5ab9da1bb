// SPDX-License-Identifier: LGPL-2.1-or-later
// The directory of a standby's memory images, on a tmpfs: below the state directory where that is
// on one, else under /dev/shm, where it outlives both the process and the state directory. So it
// says whose it is, and is locked by who lives.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/result.h"
#include "net/descriptor.h"

namespace segue {

class MemoryDirectory {
  public:
    // Of the standby with this state directory, which no other process has: made when it is
    // missing, and ours alone. Error denied: somebody else's.
    static Result<MemoryDirectory> open(const std::string& state);
    static Result<MemoryDirectory> open_at(const std::string& path, const std::string& state);

    const std::string& path() const { return path_; }
    // Removes it with everything inside: nothing is held any more.
    void remove();

  private:
    std::string path_;
    net::Descriptor lock_;
};

// Removes what killed standbys of this user have left under `root`: nobody lives who has it locked,
// and its state directory is gone, so that nobody will ever ask for it. Returns how many there
// were.
int sweep_memory(uid_t owner, const std::string& root = "/dev/shm");

}  // namespace segue
