// SPDX-License-Identifier: LGPL-2.1-or-later
// Hybrid mode's second guest: a QEMU that runs from the committed image without changing it, and
// the colo-compare beside it. One runs, the next one is ready: a checkpoint ends the first and
// begins the second.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "standby/comparer.h"
#include "standby/standby_vm.h"

namespace segue::standby {

class Shadow {
  public:
    // A shadow and the next one have places of their own: sockets, log, pid.
    static constexpr std::size_t kSeats = 2;
    static constexpr Duration kPrepareBound = 30s;

    struct Handlers {
        // The command line and the files of the QEMU in this seat.
        std::function<Result<VmCommand>(std::size_t seat)> command;
        std::function<StandbyVm::Files(std::size_t seat)> files;
        std::function<void(std::size_t card, ByteView frame)> passed;
        std::function<void(std::size_t card)> differs;
        // The one that runs, or its colo-compare, has ended by itself. Not from inside a call.
        std::function<void(const std::string& how)> lost;
        // The next one is none: it has ended, or does not prepare itself.
        std::function<void(const std::string& how)> next_lost;
        // The one that has taken over has ended.
        std::function<void(const std::string& how)> guest_ended;
        // One is ready that was not.
        std::function<void()> ready;
    };

    Shadow(Loop& loop, std::string emulator, std::size_t cards, Handlers handlers);
    ~Shadow();

    // Starts the next one, unless there is one.
    Result<> prepare();
    bool is_ready() const;
    // The next one takes over the place of the one before, which must have been ended, and loads
    // this state; it stands still then. Only when it is ready. An error tells that it is gone.
    void load(std::function<std::unique_ptr<FailoverStream>()> make_stream,
              std::function<void(Result<>)> outcome);
    // Lets the one that was loaded run.
    void run();
    bool is_running() const { return running_; }
    // The seat of the one that was loaded.
    std::optional<std::size_t> seat() const { return current_; }
    Comparer& comparer() { return *seats_[*current_].comparer; }
    pid_t process() const;

    // The state that it runs from is over, or it is of no use.
    void end();
    // No next one is wanted; or none at all.
    void end_next();
    void end_all();
    // It is the guest from here on, and nobody's shadow.
    std::unique_ptr<StandbyVm> take_over();

  private:
    struct Seat {
        std::unique_ptr<StandbyVm> vm;
        std::unique_ptr<Comparer> comparer;
        // Counts those that have had it: the end of one before says nothing of the next one.
        std::uint64_t tenant = 0;
    };

    void clear(Seat& seat);
    void lose(std::size_t seat, std::uint64_t tenant, const std::string& how);
    void guest_or_shadow_ended(std::size_t seat, std::uint64_t tenant, const std::string& how);
    void reap();
    void watch_ready();

    Loop& loop_;
    std::string emulator_;
    std::size_t cards_;
    Handlers handlers_;
    std::array<Seat, kSeats> seats_;
    // Killed, and not gone yet.
    std::vector<std::unique_ptr<StandbyVm>> leaving_;
    std::optional<std::size_t> current_, next_, taken_;
    bool running_ = false;
    bool told_ready_ = false;
    Instant prepared_since_{};
    std::unique_ptr<Timer> look_;
};

}  // namespace segue::standby
