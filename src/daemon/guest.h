// SPDX-License-Identifier: LGPL-2.1-or-later
// A running QEMU as the daemon steers it: its process, its monitor, and who is linked to its
// screen.
#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "daemon/answer.h"
#include "daemon/transfer.h"
#include "net/descriptor.h"
#include "qemu/process.h"
#include "qemu/qmp_connection.h"

namespace segue {

class Guest {
  public:
    struct Handlers {
        std::function<void(const QmpEvent&)> event;
        // The monitor answers again after it was lost: what happened meanwhile was not heard.
        std::function<void()> returned;
        // Once, and last: the process has ended, and its monitor's events were heard.
        std::function<void()> gone;
    };

    // (type, id) in SPICE's numbers.
    using Viewers = std::set<std::pair<std::uint32_t, std::uint32_t>>;

    // `process` is what serves the monitor, where that is not a socket which the daemon has made
    // before its QEMU ran (0); see QmpConnection::Options.
    Guest(Loop& loop, const std::string& monitor_socket, std::int32_t process, Handlers handlers);
    ~Guest();

    // The process whose end is `gone`.
    void set_process(std::unique_ptr<QemuProcess> process);
    // Once: the monitor is agreed, or was not within its bound. It is tried again as long as the
    // process lives; Handlers::returned tells.
    void when_ready(Answer<> answer);

    // As soon as the monitor is agreed, at once or later: also of a QEMU that stood still when it
    // was first tried. The error is that it has ended.
    void when_steerable(Answer<> answer);
    bool is_steerable() const { return steerable_; }

    // Expires with this object: for timers that would outlive it.
    std::weak_ptr<const bool> life() const { return alive_; }

    pid_t pid() const { return process_ ? process_->identity().pid : -1; }
    QmpConnection& monitor() { return *monitor_; }
    // The reply, or the error, within `bound`.
    void execute(std::string command, Json arguments, Answer<Json> answer, Duration bound = 30s);
    void execute(std::string command, Answer<> answer) { run(std::move(command), {}, answer); }
    void run(std::string command, Json arguments, Answer<> answer);
    void query_transfer(Answer<TransferStatistics> answer);
    // QEMU knows it as `name` from then on, and our copy is closed.
    void pass_descriptor(const std::string& name, net::Descriptor descriptor, Answer<> answer);

    // SIGTERM; SIGKILL when it does not help within the bound. `gone` follows.
    void end(Duration patience = 5s);
    void kill();
    // end(), when this time is over; never later than an earlier call has said.
    void end_later(Duration delay);

    // Channels of SPICE clients that are linked and authenticated right now.
    Viewers viewers() const;
    void note_viewers(const Json& query_spice_reply);

  private:
    void connect();
    void on_monitor_ready();
    void on_monitor_closed(const Error& error);
    void on_event(const QmpEvent& event);
    void on_exit();
    void answer_ready(Result<> ready);
    void answer_steering(Result<> steerable);

    Loop& loop_;
    std::string monitor_socket_;
    Handlers handlers_;
    std::unique_ptr<QemuProcess> process_;
    std::unique_ptr<QmpConnection> monitor_;
    // By the address of their client, which is all that SPICE_DISCONNECTED names.
    std::multimap<std::string, Viewers::value_type> viewers_;
    std::unique_ptr<Timer> later_;
    std::optional<Instant> ends_at_;
    std::unique_ptr<Timer> reconnect_;
    Duration reconnect_delay_;
    bool lost_ = false;                // the monitor, once it was tried again
    std::int32_t process_of_monitor_;  // see QmpConnection::Options
    std::optional<Result<>> ready_;
    std::vector<Answer<>> ready_waiters_;
    bool steerable_ = false;  // the monitor is agreed now
    std::vector<Answer<>> steering_waiters_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

// `cont`, as soon as the monitor answers: no guest stays paused for a QEMU that hung for a while.
void continue_guest(Guest& guest, Answer<> answer);

}  // namespace segue
