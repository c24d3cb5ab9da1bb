// SPDX-License-Identifier: LGPL-2.1-or-later
// segue-standby: the session, the link, the gate, the disk, the VM and the operator, in one
// process.
#pragma once

#include <memory>

#include "protect/secondary_session.h"
#include "standby/agent_port.h"
#include "standby/control_socket.h"
#include "standby/disk_port.h"
#include "standby/event_printer.h"
#include "standby/heartbeat.h"
#include "standby/hybrid.h"
#include "standby/migration_port.h"
#include "standby/network_port.h"
#include "standby/standby_options.h"
#include "standby/standby_vm.h"
#include "standby/state_directory.h"
#include "standby/witness_line.h"

namespace segue::standby {

class Standby final : private SecondarySession::Owner {
  public:
    // Listens when it returns. Errors name what could not be had.
    static Result<std::unique_ptr<Standby>> make(RunLoop& loop, Options options);
    ~Standby() override;

  private:
    Standby(RunLoop& loop, Options options, StateDirectory state);
    Result<> open();
    Result<> listen();
    Result<> open_disks(const std::shared_ptr<net::TlsContext>& tls);
    Result<> open_networks(const std::shared_ptr<net::TlsContext>& tls);
    Result<DiskEpochs*> disk_with(std::size_t number, std::uint64_t offset, std::uint64_t length);
    // "disk.sock", "disk1.sock", and so on.
    std::string socket(std::string_view name, std::size_t number) const;
    // Of the VM that is, or may be, promoted.
    std::string vm_socket(std::string_view name, std::size_t number) const;
    Result<> prepare_hybrid();
    // Where the writes of a disk's shadow are.
    static std::string shadow_disk(std::size_t number);
    StandbyVm::Files seat_files(std::size_t seat) const;
    Places seat_places(std::size_t seat) const;
    // That an earlier process left. The guest is none of them any more.
    void end_shadows();
    bool mark_beyond();
    // Frames have left that what is held does not know, and no shadow is there that does.
    bool is_outrun() const;
    Error outrun() const;
    // Nobody has asked: by bias, or as the witness says.
    void take_over_unasked();
    void take_over_shadow();
    Result<> prepare_vm();
    Result<> listen_to_primary(std::shared_ptr<net::TlsContext> tls);
    Result<> listen_to_agent(std::shared_ptr<net::TlsContext> tls);
    bool take_primary();
    Result<> take_stream(ByteView bytes);
    void agent_in_trouble(BeatJudge::Verdict verdict);
    void primary_left(AgentLink::Kind how);
    void ask_witness();
    void witness_settled(LeaseClient::Claim claim);
    std::string_view witness_says() const;
    void drop_primary(const std::string& reason);
    std::string primary_address() const;
    Places places() const;
    StandbyVm::Files vm_files() const;

    // SecondarySession::Owner
    void send(ColoMessage message) override;
    Result<> check_head(const StreamHead& head) override;
    void pass_output() override;
    void hold_output() override;
    void seal_output() override;
    void begin_commit(std::uint64_t epoch) override;
    void release_output(std::uint64_t epoch) override;
    void drop_link(const std::string& reason) override;
    void tell_protected() override;
    void tell_checkpoint(const SecondarySession::CheckpointFacts& facts) override;
    void tell_lost(const std::string& reason) override;
    void promote_vm() override;
    void suspend_vm() override;
    void load_vm() override;
    void resume_vm() override;

    void link_ended(const Error& reason, bool at_fault);
    void watch_time();
    void settle(DiskEpochs& disk);
    bool is_behind() const;
    void sync(DiskEpochs::Job job);
    void commit_if_durable();
    void fail_session(const Error& error);
    // Error: what was asked of a disk has failed. Nothing more is taken, and nothing is committed.
    Result<> is_whole() const;

    void on_request(const Json& request, ControlSocket::Reply reply);
    Json status() const;
    std::string_view promotion() const;
    void give_up(const ControlSocket::Reply& reply);
    Result<> mark_given_up();
    Result<Json> dump(const Json& request);
    void ask_promotion(bool force, ControlSocket::Reply reply);
    void ask_primary_to_yield();
    void begin_promotion();
    // A shared disk that somebody has open for writing, or that cannot be asked; empty: none.
    std::string kept_from() const;
    void wait_for_disks(const std::string& disk);
    Duration still_promised();
    void refuse_promotion(const Error& error);
    Result<> may_promote(bool force) const;
    std::unique_ptr<FailoverStream> make_stream() const;
    Result<> mark_ran(bool ran);
    Result<> mark_paused(bool paused);
    void promotion_ended(const Result<>& outcome);
    void print_error(std::string_view message);
    std::int64_t wall_ms() const;

    RunLoop& loop_;
    Options options_;
    StateDirectory state_;
    EventPrinter events_;
    std::unique_ptr<PageStore> store_;
    std::unique_ptr<SecondarySession> session_;
    // One of the two: a bare QEMU's link, or its agent's.
    std::unique_ptr<MigrationPort> migration_;
    std::unique_ptr<AgentPort> agent_;
    std::unique_ptr<Heartbeat> heartbeat_;
    net::Resolver resolver_;
    std::unique_ptr<WitnessLine> witness_;
    // What the agent said when it left.
    bool primary_is_dead_ = false;
    bool protection_ended_ = false;
    bool stream_began_ = false;
    // The operator gave it up: nothing is kept for a next process.
    bool ends_ = false;
    std::unique_ptr<Worker> worker_;
    std::vector<std::unique_ptr<NetworkPort>> networks_;
    std::vector<std::unique_ptr<DiskPort>> disks_;
    std::unique_ptr<Hybrid> hybrid_;
    std::unique_ptr<ControlSocket> control_;
    std::unique_ptr<StandbyVm> vm_;
    std::unique_ptr<Timer> tick_;
    colo::Limits limits_;
    // Held from an earlier process: the primary may have gone on.
    bool stale_ = false;
    // An earlier process promoted, and its guest may run: nothing is left to do.
    bool is_over_ = false;
    colo::Secondary watched_state_ = colo::Secondary::idle;
    Instant last_progress_{};
    Instant commit_began_{};
    // Sealed disk epochs that are being synced; a commit waits for all of them.
    std::size_t disk_syncs_ = 0;
    bool commit_waits_ = false;
    // A step of a copied image is on its way to its disk.
    bool settling_ = false;
    // Until the session has been told.
    std::optional<Error> failed_;
    Instant promotion_began_{};
    bool was_prestarted_ = false;
    std::int64_t promotion_us_ = 0;
    std::int64_t last_commit_us_ = 0;
    std::uint64_t checkpoints_ = 0;
    ControlSocket::Reply promotion_reply_;
    // The primary is linked, and has been told: it must say that it stands still.
    bool yield_waits_ = false;
    bool yielded_ = false;
    std::unique_ptr<Timer> yield_bound_;
    // What this side has promised the primary is waited for.
    bool promise_waits_ = false;
    std::unique_ptr<Timer> promise_;
    // The same of a shared disk that is still written to; until then.
    std::optional<Instant> disks_bound_;
};

}  // namespace segue::standby
