// SPDX-License-Identifier: LGPL-2.1-or-later
// The source's side of one migration: carries out what migrate::SourceMachine decides, on the
// domain's QEMU, the store and the peer link. Managed migrations call it through calls/, and
// peer-to-peer through conduct/peer_to_peer.
#pragma once

#include <memory>
#include <optional>

#include "daemon/answer.h"
#include "daemon/conduct/client_tie.h"
#include "daemon/conduct/request.h"
#include "daemon/conduct/runner.h"
#include "daemon/conduct/screen_move.h"
#include "daemon/conduct/transfer_out.h"
#include "daemon/domain_object.h"
#include "daemon/peer_line.h"
#include "daemon/services.h"
#include "migrate/source.h"
#include "net/connect.h"

namespace segue {

class TunnelOut;

class SourceConduct : public std::enable_shared_from_this<SourceConduct> {
  public:
    SourceConduct(const Services& services, const DomainPointer& domain,
                  migrate::SourceMachine machine, migrate::MigrateOptions options);
    ~SourceConduct();

    // --- Calls: each answer comes once, or never when its client is gone ---
    void begin(Answer<> answer);
    void perform(PerformRequest request, Answer<Bytes> answer);
    // Perform came with arguments that nothing can be done with.
    void reject_perform(const Error& error, Answer<Bytes> answer);
    // `finish_cookie`: what the destination answered; empty where nothing came.
    // `cause`: why it was cancelled, where the driver is our own; a client does not say.
    void confirm(bool cancelled, const Bytes& finish_cookie, std::optional<Error> cause,
                 Answer<> answer);
    void cancel(Answer<> answer);
    // Cancels because of this; too late, it is a line in the log.
    void give_up(const Error& cause);
    void resolve(bool runs_here, Answer<> answer);

    // --- What happens meanwhile ---
    void client_closed();
    // Until the job is over.
    void bind(ClientTie tie) { client_ = std::move(tie); }
    // The client that wants this migration.
    void driven_by(std::weak_ptr<rpc::Session> client) { driver_ = std::move(client); }
    void restarted();
    void qemu_exited();
    void qemu_event(const QmpEvent& event);
    // A `suspend` over this connection: before QEMU is told, whether the guest may be suspended
    // now; and when it was, unless it is too late meanwhile. A user's own lets it arrive paused.
    // That of the migration's client (--timeout) only lets the transfer come to its end: the guest
    // goes on where it ends up.
    Result<> may_suspend() const;
    Result<> guest_suspended(const rpc::Session& client);
    // Stops a guest that runs in QEMU while its right to run is not here.
    void hold_guest();

    const migrate::SourceMachine& machine() const { return runner_.machine(); }
    const migrate::MigrateOptions& options() const { return options_; }
    const Timeline& timeline() const { return timeline_; }
    std::uint64_t elapsed_ms() const;
    // Statistics, and what may be changed while it runs.
    TransferOut& transfer() { return transfer_; }

  private:
    void feed(migrate::SourceInput input, std::function<void(const Error&)> refused = {});
    void feed(migrate::SourceEvent event) { feed(migrate::SourceInput{.event = event}); }
    void disk_failed(const QmpEvent& event);
    void take_statistics(const Bytes& finish_cookie);
    void carry_out(const migrate::SourceAction& action);
    void enter_phase(migrate::Phase phase);
    void reply(const migrate::SourceAction& action);
    void answer_call(const migrate::SourceAction& action);
    void write_record(const migrate::Record& record);
    void note_record(const migrate::Record& record);
    void forget_record(const migrate::Record& record);
    void dial_peer(const migrate::Record& record);
    void tell_peer(migrate::SourceVerb verb, const migrate::Record& record);
    void say(migrate::SourceVerb verb);
    void peer_message(const migrate::PeerMessage& message);
    void peer_lost();
    void close_peer();
    void leave_protection();
    void move_screen();
    void start_transfer();
    void cancel_transfer();
    TransferOut::Handlers transfer_handlers();
    void connect_transfer(TransferPlan plan);
    void hand_over(net::Descriptor line, TransferPlan plan, const char* name);
    void begin_transfer(TransferPlan plan);
    void settle_transfer();
    void transfer_failed(const Error& error);
    void resume_guest(bool run);
    void kill_guest();
    void settle_definition();
    void report_unresolved(const Error& error);
    void end_job(const std::optional<Error>& cause);
    Bytes perform_cookie(const migrate::Record& record) const;

    const Services& services_;
    std::weak_ptr<DomainObject> domain_;
    migrate::MigrateOptions options_;
    Runner<migrate::SourceMachine> runner_;
    ClientTie client_;
    std::weak_ptr<rpc::Session> driver_;
    std::unique_ptr<Timer> timer_;
    Timeline timeline_;
    TransferOut transfer_;
    ScreenMove screen_;
    std::unique_ptr<TunnelOut> tunnel_;
    std::optional<Result<>> tunnel_outcome_;
    std::unique_ptr<net::Connector> transfer_connector_;
    bool transfer_wanted_ = false;  // and not cancelled before QEMU was told
    bool transfer_done_ = false;    // QEMU says "completed"
    PerformRequest perform_;
    std::unique_ptr<net::Connector> connector_;
    std::unique_ptr<PeerLine> line_;
    bool line_ready_ = false;
    bool asked_on_old_line_ = false;
    bool screen_done_ = false;  // SPICE_MIGRATE_COMPLETED was heard
    std::vector<migrate::SourceVerb> waiting_for_line_;
    Answer<> begin_answer_, confirm_answer_, resolve_answer_;
    std::optional<std::int64_t> control_ms_;  // as TransferStatistics
    Answer<Bytes> perform_answer_;
};

}  // namespace segue
