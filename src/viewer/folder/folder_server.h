// SPDX-License-Identifier: LGPL-2.1-or-later
// A folder of the user, served over WebDAV to the guest: libphodav behind a multiplexed stream. The
// only file beside its .cpp that knows of GLib.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"

namespace segue::viewer {

class FolderServer {
  public:
    // At most so many connections of the guest at a time; further ones are ended at once.
    static constexpr std::size_t kMaxClients = 64;
    // What may wait for one connection, or for the guest, before the other end is not read.
    static constexpr std::size_t kMaxWaiting = std::size_t{1} << 20;

    // Errors: invalid_argument where `folder` is none.
    static Result<std::unique_ptr<FolderServer>> make(const std::string& folder);
    virtual ~FolderServer() = default;
    // Serves the guest behind this connected socket until it ends.
    virtual void serve(int socket) = 0;
};

}  // namespace segue::viewer
