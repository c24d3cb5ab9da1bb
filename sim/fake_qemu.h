// SPDX-License-Identifier: LGPL-2.1-or-later
// QEMUs as a daemon sees them: they outlive it, migrate into each other, fail and die. What counts
// for the invariants is `running`: this copy executes guest code.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "sim/network.h"

namespace segue::sim {

enum class QemuEvent {
    completed,    // source: everything was sent
    failed,       // source: the migration failed
    cancelled,    // source
    loaded,       // destination: everything was loaded
    load_failed,  // destination
    exited,
};

struct FakeQemu {
    std::string incarnation;
    int domain = 0;
    int host = 0;
    bool alive = true;
    bool running = false;
    bool incoming = false;  // started to receive
    bool loaded = false;
    bool ever_ran = false;
    // query-migrate on the source
    enum class Transfer { none, active, completed, failed, cancelled } transfer = Transfer::none;
    bool ran_before_switchover = false;
    std::uint64_t transfer_number = 0;
    std::string peer;  // the incarnation it sends to
    // What the guest has done: a copy that resumes with less than another one did is stale.
    std::uint64_t ticks = 0;
    Instant ticking_since;
    std::function<void(QemuEvent)> listener;  // of the present daemon
};

// All QEMUs of the simulated cluster.
class Machines {
  public:
    Machines(World& world, Network& network) : world_(world), network_(network) {}

    FakeQemu& start(int host, int domain, const std::string& incarnation, bool incoming);
    FakeQemu* find(const std::string& incarnation);
    void kill(FakeQemu& qemu);   // by its daemon: it knows, no event
    void crash(FakeQemu& qemu);  // by itself
    // `cont`: false when QEMU refuses (dead, or an incoming one that has not loaded).
    bool resume(FakeQemu& qemu);
    void suspend(FakeQemu& qemu);
    void migrate(FakeQemu& source, const std::string& to);
    void cancel(FakeQemu& source);

    const std::map<std::string, FakeQemu>& all() const { return all_; }
    int running_copies(int domain) const;
    // A guest was resumed from a state older than one that had run elsewhere.
    bool went_back_in_time() const { return went_back_; }

  private:
    void tell(FakeQemu& qemu, QemuEvent event);
    void stop_ticking(FakeQemu& qemu);
    void switch_over(const std::string& from, std::uint64_t number);
    void finish(const std::string& from, std::uint64_t number);
    void fail_transfer(FakeQemu& source);
    FakeQemu* sending(const std::string& from, std::uint64_t number);

    World& world_;
    Network& network_;
    std::map<std::string, FakeQemu> all_;
    std::map<int, std::uint64_t> newest_;  // per domain: the most any copy has done
    bool went_back_ = false;
};

}  // namespace segue::sim
