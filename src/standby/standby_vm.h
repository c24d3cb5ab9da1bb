// SPDX-License-Identifier: LGPL-2.1-or-later
// The QEMU that a standby promotes: started paused (ahead, or at the promotion), fed the stream of
// the committed state, and let go. It outlives the standby once it runs.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/loop.h"
#include "net/descriptor.h"
#include "qemu/qmp_connection.h"
#include "qemu/stream_writer.h"
#include "standby/vm_command.h"

namespace segue::standby {

class StandbyVm {
  public:
    struct Files {
        std::string own_qmp;
        std::string incoming;  // unix socket of the stream
        std::string log;       // QEMU's own output
        std::string pid;       // for a standby that is started again
    };
    // The process ended; not called after stop(). May not destroy the VM.
    using OnExit = std::function<void(const std::string& how)>;

    // QEMU answers each question within this time, or is asked again, or is given up.
    static constexpr Duration kAnswerBound = 30s;

    StandbyVm(Loop& loop, VmCommand command, Files files, OnExit on_exit,
              Duration answer_bound = kAnswerBound);
    // Ends the process unless it runs the guest.
    ~StandbyVm();

    // Starts the process; it then prepares itself for a stream.
    Result<> start();
    bool is_started() const { return process_ > 0; }
    bool is_prepared() const { return prepared_; }
    bool is_running() const { return running_; }
    // It was told to run, and has not said that it does not: from here on nobody but itself ends
    // it.
    bool is_let_go() const { return let_go_; }
    pid_t process() const { return process_; }
    const VmCommand& command() const { return command_; }

    // It stands still when it is promoted, until somebody else lets it run. Before promote().
    void leave_paused() { stays_paused_ = true; }
    // Feeds the stream as soon as QEMU is prepared, and lets the guest run. All are called on the
    // loop. `mark_ran(true)`: the guest is about to run, an error keeps it; `mark_ran(false)`: QEMU
    // said that it did not. Again only after stop().
    void promote(std::function<std::unique_ptr<FailoverStream>()> make_stream,
                 std::function<Result<>(bool)> mark_ran, std::function<void(Result<>)> outcome);
    // A QEMU that reads nothing of its state for this long does not load it: meanwhile the caller's
    // loop stands still.
    void set_write_bound(Duration bound) { write_bound_ = bound; }
    // One that was left paused runs from here on. The outcome is QEMU's answer.
    void go_on(std::function<void(Result<>)> outcome);
    // A guest whose state is of the moment in which it went to sleep is run half asleep.
    void wake_half_asleep();
    // May be called from any callback of ours.
    void stop();
    // The same without waiting for its end, which OnExit tells. Its memory may be much to give
    // back.
    void end_soon();

    // The process that an earlier standby left in the pid file, if it is still the same; or 0.
    static pid_t living(const Files& files);
    static void end_leftover(const Files& files);

  private:
    void watch_exit();
    void prepare();
    void prepare_cold();
    void feed();
    Result<> write_stream(FailoverStream& stream);
    void on_event(const QmpEvent& event);
    void let_run();
    void ask_to_run();
    void forget_process();
    void fail_promotion(const Error& error);

    Loop& loop_;
    VmCommand command_;
    Files files_;
    OnExit on_exit_;
    Duration answer_bound_;
    Duration write_bound_ = 30s;
    pid_t process_ = -1;
    net::Descriptor process_handle_;
    std::unique_ptr<Watch> exit_watch_;
    std::shared_ptr<QmpConnection> qmp_;
    bool prepared_ = false;
    bool running_ = false;
    bool stays_paused_ = false;
    bool let_go_ = false;
    bool fed_ = false;
    std::function<std::unique_ptr<FailoverStream>()> make_stream_;
    std::function<Result<>(bool)> mark_ran_;
    std::function<void(Result<>)> outcome_;
};

}  // namespace segue::standby
