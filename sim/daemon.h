// SPDX-License-Identifier: LGPL-2.1-or-later
// A daemon of the simulation: carries out what the real engine decides, with the real store
// records, cookies and peer links. It dies with its host's `crash()` and is made anew; disk and
// QEMUs stay.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>

#include "migrate/cookie.h"
#include "migrate/migrate.h"
#include "migrate/peer_link.h"
#include "rpc/server.h"
#include "sim/call.h"
#include "sim/fake_qemu.h"
#include "sim/sim_loop.h"
#include "store/memory_store.h"
#include "store/migration_ledger.h"

namespace segue::sim {

// Deliberate mistakes: the invariants must find each of them.
enum class Mistake : std::uint8_t {
    none,
    resume_unasked,     // the source takes silence for a promise
    acknowledge_early,  // a record counts as stored before it is
    forget_to_kill,     // a refused incoming QEMU is left behind
    forget_the_job,     // the job of a failed migration is never ended
    kill_on_silence,    // the source takes silence for success
};
std::string_view name_of(Mistake mistake);

class Daemon;

// What stays when the daemon dies.
struct Host {
    int number = 0;
    bool stock = false;  // knows neither offer nor right
    Uuid uuid;
    storage::MemoryStore disk;
    Mistake mistake = Mistake::none;
    std::unique_ptr<Daemon> daemon;
    int crashes = 0;
    int started = 0;  // incarnations, for their names
    // Set to die just before the n-th action from now.
    int actions_to_live = 0;
    // The operator's view: how often the daemon named the recorded way on.
    int reports = 0;
    // And which incarnations it said would not resume: the operator remembers, whatever dies.
    std::set<std::string> left_paused;
    std::string name() const { return "host" + std::to_string(number); }
};

struct Cluster {
    World& world;
    Network network;
    Machines machines;
    std::vector<std::unique_ptr<Host>> hosts;
    std::vector<std::string> violations;
    // A peer link was given up because the network was too slow for it: what it had said may arrive
    // behind the last word on another line, which is then not heard.
    bool link_was_late = false;

    explicit Cluster(World& the_world)
        : world(the_world), network(the_world), machines(the_world, network) {}
    void crash(Host& host);
    void restart(Host& host);
    Host* named(const std::string& name);
};

class Daemon {
  public:
    Daemon(Cluster& cluster, Host& host);
    ~Daemon();

    // Reads the disk and goes on with what it finds.
    void start();
    // A connection for calls, or for a peer link: the other end is `1`.
    void accept(const std::shared_ptr<Connection>& connection, bool peer_link);

    bool resolve(int domain, bool runs_here);
    bool unresolved(int domain) const;
    // The domain is this host's, running or not: what `virsh list` shows.
    bool holds(int domain) { return active(domain) != nullptr; }
    // The log said that an arrived guest could not be resumed; a user does it.
    void resume_what_was_left_paused();
    // A user's `suspend`; false when the domain's job refuses it.
    bool suspend(const std::string& incarnation);
    // For the checks at the end.
    std::size_t machines_at_work() const;
    std::size_t jobs() const;

  private:
    struct Source;
    struct Destination;

    // calls, as they come over the line (daemon_rpc.cpp)
    void serve_version3();
    void serve_version2();
    void on_call(rpc::Session& session, Request request, std::function<void(Outcome)> reply);
    void answer(const Caller& caller, std::optional<Error> error, Bytes cookie = {},
                std::string address = {});

    // what they are about, and the rest of a daemon's life (daemon.cpp)
    void on_closed(const rpc::Session& session);
    void begin(const Caller& caller);
    void perform(const Caller& caller);
    void prepare(const Caller& caller);
    void finish(const Caller& caller);
    void confirm(const Caller& caller);
    void abort(const Caller& caller);
    migrate::DomainJobs& jobs_of(int domain);
    void recover(const migrate::Record& record);
    FakeQemu* active(int domain);
    Source* source_of(int domain);
    Destination* destination_of(int domain);
    migrate::CookieExpectation expectation(migrate::CookieStep step, int domain) const;
    migrate::Cookie own_cookie(int domain) const;
    void listen(FakeQemu& qemu);
    void on_qemu(const std::string& incarnation, QemuEvent event);
    bool dies_now();
    void store_record(const migrate::Record& record, std::function<void(bool)> done);
    void erase_record(const migrate::Record& record);
    void settle_records();
    bool set_phase(migrate::DomainJobs& jobs, migrate::Phase phase);

    // the source (daemon_source.cpp)
    Source* make_source(const Caller& caller, FakeQemu& qemu);
    void refused(Source& source, migrate::SourceEvent event, const std::optional<Caller>& caller,
                 const Error& error);
    void feed(Source& source, migrate::SourceInput input, std::optional<Caller> caller = {});
    void run_queue(Source& source);
    void feed_later(Source& source, Duration delay, migrate::SourceEvent event);
    void carry_out(Source& source, const migrate::SourceAction& action);
    void use_qemu(Source& source, const migrate::SourceAction& action);
    void reply(Source& source, const migrate::SourceAction& action);
    void dial(Source& source, std::function<void(Source&)> when_ready);
    void peer_bytes(Source& source, const Bytes& bytes);
    void tell_peer(Source& source, migrate::peer::Kind kind);
    void sweep();

    // peer-to-peer (daemon_peer.cpp)
    void drive(Source& source, migrate::DriverEvent event, std::optional<Error> error = {});
    void call_destination(Source& source, Call call, bool cancelled);
    void connect_destination(Source& source, std::function<void(Source&)> connected);
    void destination_answered(Source& source, Call call, const Outcome& outcome);
    void reply_to_driver(Source& source, const migrate::SourceAction& action);

    // the destination (daemon_destination.cpp)
    void feed(Destination& destination, migrate::DestinationInput input,
              std::optional<Caller> caller = {});
    void run_queue(Destination& destination);
    void carry_out(Destination& destination, const migrate::DestinationAction& action);
    void reply(Destination& destination, const migrate::DestinationAction& action);
    void start_incoming(Destination& destination);
    void accept_peer(const std::shared_ptr<Connection>& connection);

    Cluster& cluster_;
    World& world_;
    Host& host_;
    Lifeline lifeline_ = make_lifeline();
    bool dead_ = false;
    storage::MigrationLedger ledger_{host_.disk};
    SimLoop loop_{world_};
    rpc::Dispatcher calls_;
    std::unique_ptr<rpc::Server> server_;
    // Peer links that came in.
    std::map<int, std::shared_ptr<Connection>> connections_;
    // Of each domain, whichever machine started its job.
    std::map<int, migrate::DomainJobs> jobs_;
    // One per migration; the key is the incarnation of the QEMU here.
    std::map<std::string, std::unique_ptr<Source>> sources_;
    std::map<std::string, std::unique_ptr<Destination>> destinations_;
};

Uuid domain_uuid(int domain);
std::string domain_name(int domain);

}  // namespace segue::sim
