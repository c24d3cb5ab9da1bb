// SPDX-License-Identifier: LGPL-2.1-or-later
// Files of the user on their way to the guest's agent.
#pragma once

#include <fstream>
#include <map>
#include <string>

#include "spice/client/agent/agent.h"

namespace segue::viewer {

class FileSender {
  public:
    explicit FileSender(spice::client::Agent& agent) : agent_(agent) {}

    // Errors: system for a file that cannot be read, and those of FileTransfers::start().
    Result<std::uint32_t> send(const std::string& path);
    // To be called from the AgentListener.
    void on_wanted(std::uint32_t id, std::size_t size);
    // The file's path; empty when it is not ours.
    std::string on_over(std::uint32_t id);

  private:
    struct File {
        std::string path;
        std::ifstream stream;
    };
    spice::client::Agent& agent_;
    std::map<std::uint32_t, File> files_;
};

}  // namespace segue::viewer
