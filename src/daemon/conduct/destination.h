// SPDX-License-Identifier: LGPL-2.1-or-later
// The destination's side of one migration: carries out what migrate::DestinationMachine decides. It
// lives on after its job, in the peer door, as long as its promise is kept.
#pragma once

#include <memory>
#include <optional>

#include "daemon/answer.h"
#include "daemon/conduct/client_tie.h"
#include "daemon/conduct/request.h"
#include "daemon/conduct/runner.h"
#include "daemon/conduct/screen_arrival.h"
#include "daemon/domain_object.h"
#include "daemon/peer_line.h"
#include "daemon/services.h"
#include "migrate/destination.h"

namespace segue {

class DestinationConduct : public std::enable_shared_from_this<DestinationConduct> {
  public:
    DestinationConduct(const Services& services, const DomainPointer& domain,
                       migrate::DestinationMachine machine);
    ~DestinationConduct();

    // --- Calls: each answer comes once, or never when its client is gone ---
    // `model` is checked and complete; it becomes the incarnation.
    void prepare(PrepareRequest request, Domain model, Answer<PrepareResult> answer);
    void finish(FinishRequest request, Answer<FinishResult> answer);
    void cancel(Answer<> answer);

    // --- What happens meanwhile ---
    void client_closed();
    // Until the job is over.
    void bind(ClientTie tie) { client_ = std::move(tie); }
    void restarted();
    // After a restart: only the promise is left.
    void job_is_over() { job_over_ = true; }
    // Nobody is about to ask for it, or to be told.
    bool is_idle_promise() const { return job_over_ && !line_; }
    void qemu_exited(const Error& why);
    void qemu_event(const QmpEvent& event);
    // A source has shown the migration's key.
    bool key_fits(const Uuid& id, const migrate::PeerKey& key) const {
        return machine().key_fits(id, key);
    }
    bool demands_tls() const { return !machine().record().peer.tls_name.empty(); }
    void peer_linked(std::unique_ptr<PeerLine> line);

    const migrate::DestinationMachine& machine() const { return runner_.machine(); }
    std::uint64_t elapsed_ms() const;
    const TransferStatistics& statistics() const { return statistics_; }

  private:
    using Event = migrate::DestinationEvent;

    void feed(migrate::DestinationInput input, std::function<void(const Error&)> refused = {});
    void feed(Event event) { feed(migrate::DestinationInput{.event = event}); }
    void carry_out(const migrate::DestinationAction& action);
    void enter_phase(migrate::Phase phase);
    void reply(const migrate::DestinationAction& action);
    void answer_call(const migrate::DestinationAction& action);
    void write_record(const migrate::Record& record);
    void start_incoming();
    void decide_incoming(const DomainPointer& domain, Domain model);
    void launch_incoming(const DomainPointer& domain, Domain model);
    Result<> check_cpu() const;
    Result<std::uint16_t> take_port();
    void listen();
    void listen_at(Guest& guest, const std::string& uri);
    void open_tunnel(Guest& guest);
    void incoming_failed(const Error& error);
    void forget_record(const migrate::Record& record);
    void kill_incoming();
    void resume_guest(bool run);
    void resumed(bool run);
    void settle_definition();
    Result<> save_domain();
    void hold_guest();
    void protect(const std::string& wanted);
    void peer_message(const migrate::PeerMessage& message);
    void await_screen(const std::string& control);
    void tell(migrate::DestinationVerb verb);
    void close_peer();
    void end_job(const std::optional<Error>& error);
    void end_machine();
    PrepareResult prepare_result(const migrate::Record& record) const;
    std::string migration_host() const;
    std::string incoming_uri() const;
    void take_statistics();
    Bytes finish_cookie() const;

    const Services& services_;
    std::weak_ptr<DomainObject> domain_;
    Runner<migrate::DestinationMachine> runner_;
    ClientTie client_;
    std::unique_ptr<Timer> timer_;
    Timeline timeline_;
    TransferStatistics statistics_;
    std::int64_t source_started_wall_ms_ = 0;
    PrepareRequest request_;
    std::optional<Domain> model_;
    std::string definition_;       // what is kept for the next start: migrate/record.h
    bool domain_is_owed_ = false;  // settled, and not stored: tried again with the next record
    std::optional<migrate::CookieStatistics> source_statistics_;
    std::uint16_t port_ = 0;  // of the incoming transfer; a tunnelled one has none
    std::shared_ptr<TunnelIn> tunnel_;
    std::unique_ptr<PeerLine> line_;
    std::unique_ptr<ScreenArrival> screen_;
    Answer<PrepareResult> prepare_answer_;
    std::unique_ptr<Timer> again_;  // while a definition that is owed cannot be saved
    Answer<FinishResult> finish_answer_;
    bool job_over_ = false;
};

}  // namespace segue
