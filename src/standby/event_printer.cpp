// SPDX-License-Identifier: LGPL-2.1-or-later
#include "standby/event_printer.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>

namespace segue::standby {
namespace {

// How often a writer that waits for its reader looks whether the program ends.
constexpr int kPollMs = 100;

}  // namespace

EventPrinter::EventPrinter(int descriptor) : descriptor_(descriptor), thread_([this] { run(); }) {}

EventPrinter::~EventPrinter() {
    {
        const std::lock_guard lock(mutex_);
        ending_ = true;
    }
    changed_.notify_one();
    thread_.join();
}

void EventPrinter::print(const Json& event) {
    {
        const std::lock_guard lock(mutex_);
        if (waiting_.size() >= kMaxWaiting) return;
        waiting_.push_back(event.dump() + '\n');
    }
    changed_.notify_one();
}

void EventPrinter::run() {
    for (;;) {
        std::string line;
        bool ending = false;
        {
            std::unique_lock lock(mutex_);
            changed_.wait(lock, [this] { return ending_ || !waiting_.empty(); });
            if (waiting_.empty()) return;
            line = std::move(waiting_.front());
            waiting_.pop_front();
            ending = ending_;
        }
        std::size_t at = 0;
        while (at < line.size()) {
            pollfd ready{descriptor_, POLLOUT, 0};
            if (::poll(&ready, 1, kPollMs) == 0) {
                const std::lock_guard lock(mutex_);
                if (ending_ || ending) return;
                continue;
            }
            const ssize_t written = ::write(descriptor_, line.data() + at, line.size() - at);
            if (written < 0 && errno != EINTR && errno != EAGAIN) break;  // nobody reads any more
            if (written > 0) at += static_cast<std::size_t>(written);
        }
    }
}

}  // namespace segue::standby
