// SPDX-License-Identifier: LGPL-2.1-or-later
// A guest that went to sleep (ACPI S3) under protection. A checkpoint, and a promotion, let it run:
// half asleep then, it waits for a wakeup that QEMU refuses to one that does not sleep.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/json.h"
#include "base/loop.h"

namespace segue {

class SleepWaker : public std::enable_shared_from_this<SleepWaker> {
  public:
    using Said = std::function<void(Result<Json>)>;
    struct Guest {
        std::string name;
        // Of QEMU's monitor; an error is answered for a guest that is gone, too.
        std::function<void(const char* command, const Json& arguments, Said said)> ask;
    };
    using Answer = std::function<void(Result<>)>;

    // Wakes a guest that sleeps. One that is half asleep is put to sleep again first: by the write
    // to its power management that it has made itself. No checkpoint may begin until the answer.
    static void wake(Loop& loop, Guest guest, Answer answer);
    // The same for one that runs, where it is half asleep; others are left alone.
    static void wake_half_asleep(Loop& loop, Guest guest, Answer answer);

    SleepWaker(Loop& loop, Guest guest, Answer answer);

  private:
    void wake_up();
    void again(const Error& why);
    void look_at_state();
    void look_for_port();
    void look_at_port();
    void put_to_sleep(std::uint64_t control);
    void ask_human(const std::string& line, std::function<void(const std::string&)> answer);
    void finish(Result<> outcome);

    Loop& loop_;
    Guest guest_;
    Answer answer_;
    std::optional<std::uint64_t> port_;
    int tries_ = 0;
    std::unique_ptr<Timer> timer_;
};

// In what QEMU's monitor says ("info mtree"): the port of the register that a guest sleeps by
// (PM1a_CNT). And the value of a port ("i /h PORT"). Nothing: there is none.
std::optional<std::uint64_t> sleep_port_in(std::string_view tree);
std::optional<std::uint64_t> port_value_in(std::string_view said);
// What was written there last asked for S3, and nobody has woken it since.
bool asks_for_sleep(std::uint64_t control);

}  // namespace segue
