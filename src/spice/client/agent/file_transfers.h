// SPDX-License-Identifier: LGPL-2.1-or-later
// Files on their way to the guest. The agent says when it wants a file's bytes, and the owner gives
// them a piece at a time: at most one piece of each file is on its way.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "spice/wire/agent.schema.h"

namespace segue::spice::client {

class FileListener {
  public:
    virtual ~FileListener() = default;
    // The next `size` bytes of this file are wanted: answer with give(), or cancel().
    virtual void on_file_wanted(std::uint32_t id, std::size_t size) { (void)id, (void)size; }
    // `success` or why not: nothing follows.
    virtual void on_file_over(std::uint32_t id, wire::agent::FileStatus result) {
        (void)id, (void)result;
    }
};

class FileTransfers {
  public:
    // The agent's message of this type, with this body.
    using Send = std::function<Result<>(std::uint32_t type, ByteView body)>;

    FileTransfers(Send send, FileListener& listener)
        : send_(std::move(send)), listener_(listener) {}

    static constexpr std::size_t kMaxFiles = 64;
    static constexpr std::size_t kPiece = std::size_t{64} << 10;

    // Offers a file. The number names it from now on. Errors: limit_exceeded for more than
    // kMaxFiles at once, invalid_argument for a name that is a path, operation_invalid without an
    // agent.
    Result<std::uint32_t> start(const std::string& name, std::uint64_t size);
    // Bytes that were wanted; never more than that.
    void give(std::uint32_t id, ByteView bytes);
    void cancel(std::uint32_t id);
    bool empty() const { return files_.empty(); }

    // From the agent.
    void on_status(const wire::agent::FileXferStatus& status);
    // What was sent has left.
    void pump();
    void fail_all(wire::agent::FileStatus why);

  private:
    struct File {
        std::uint64_t left = 0;
        bool open = false;    // the agent takes its bytes
        bool wanted = false;  // the owner was asked
        bool all_sent = false;
    };
    void ask(std::uint32_t id, File& file);
    void end(std::uint32_t id, wire::agent::FileStatus result);

    Send send_;
    FileListener& listener_;
    std::map<std::uint32_t, File> files_;
    std::uint32_t next_id_ = 1;
};

}  // namespace segue::spice::client
