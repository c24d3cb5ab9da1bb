// SPDX-License-Identifier: LGPL-2.1-or-later
// What the file system says about files that domains name. Storage of another host may not answer
// for minutes, and stat(2) with it: it is asked on threads, and given up after a bound.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/loop.h"
#include "daemon/workers.h"

namespace segue {

struct FileFacts {
    int error = 0;                  // errno; ETIMEDOUT: its storage has not answered in time
    bool holds_data = false;        // a file or a block device, and nothing else that has a path
    bool is_no_storage = false;     // a directory, a socket, or a FIFO, whose opening would wait
    std::uint64_t size = 0;         // bytes from its begin to its end
    std::uint64_t allocated = 0;    // bytes; a block device takes all of itself
    std::uint64_t file_system = 0;  // the magic number of statfs(2); 0: it cannot be told
    // What its guest sees, where it begins as a qcow2 image does. A raw one may, too: its guest
    // writes there.
    std::optional<std::uint64_t> qcow2_size = {};
};
using FactsOfFiles = std::map<std::string, FileFacts>;

// Blocks as long as the storage does.
FileFacts look_at_file(const std::string& path);
// In words for users.
std::string reason_of(const FileFacts& facts);

class FileAsker {
  public:
    static constexpr Duration kBound = 5s;
    using Look = std::function<FileFacts(const std::string&)>;
    using OnTold = std::function<void(const FactsOfFiles&)>;

    FileAsker(Loop& loop, Workers& workers, Look look = look_at_file, Duration bound = kBound);
    ~FileAsker();

    // Calls back once, on the loop and never from inside this call, with facts of each path. A path
    // that is being looked at already is not given to one more thread.
    void ask(const std::vector<std::string>& paths, OnTold on_told);

  private:
    struct Question {
        std::set<std::string> open;
        FactsOfFiles facts;
        OnTold on_told;
        std::unique_ptr<Timer> bound;
    };
    void told(const std::string& path, const FileFacts& facts);
    void answer(const std::shared_ptr<Question>& question);
    void give_up(const std::shared_ptr<Question>& question);

    Loop& loop_;
    Workers& workers_;
    Look look_;
    Duration bound_;
    std::set<std::string> asked_;  // a thread is on its way to these
    std::list<std::shared_ptr<Question>> questions_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace segue
