// SPDX-License-Identifier: LGPL-2.1-or-later
// The source's transfer of the guest's state: over a connection that QEMU is given, over several of
// QEMU's own (multifd), or through a tunnel in the connection between the daemons.
#include "base/log.h"
#include "daemon/conduct/source.h"
#include "daemon/guest.h"
#include "daemon/tunnel.h"

namespace segue {

using migrate::SourceEvent;

namespace {

constexpr const char* kTransferName = "segue-transfer";
// For the name, and each address of it.
constexpr Duration kConnectBound = 10s;

}  // namespace

void SourceConduct::start_transfer() {
    const auto domain = domain_.lock();
    const auto guest = domain ? domain->running_guest() : fail(ErrorCode::internal, "gone");
    if (!guest) return transfer_failed(guest.error());
    TransferPlan plan{.uri = perform_.uri,
                      .options = options_,
                      .tuning = domain->tuning,
                      .tls_directory = services_.settings.tls_directory};
    transfer_wanted_ = true;
    transfer_done_ = false;
    tunnel_outcome_.reset();
    if (!perform_.tunnel) return connect_transfer(std::move(plan));

    tunnel_ = std::make_unique<TunnelOut>(services_.loop, std::exchange(perform_.tunnel, nullptr),
                                          [this](Result<> over) {
                                              tunnel_outcome_ = std::move(over);
                                              settle_transfer();
                                          });
    auto pipe = tunnel_->open();
    if (!pipe) return transfer_failed(pipe.error());
    log_info("daemon", "domain '{}': its state travels in the connection of the daemons",
             domain->name);
    hand_over(std::move(*pipe), std::move(plan), kTunnelName);
}

// QEMU's own connections leave Nagle's algorithm on: the last short piece of the state then waits
// for an acknowledgement that the target delays by 40 ms, while the guest stands still. So QEMU is
// given a connection of ours, except where it must make several.
void SourceConduct::connect_transfer(TransferPlan plan) {
    const auto target = migrate::parse_migrate_uri(plan.uri);
    if (!target || options_.has(migrate::kParallel)) return begin_transfer(std::move(plan));
    // QEMU checks the certificate against the URI's host, which it will not see.
    if (plan.options.tls_destination.empty()) plan.options.tls_destination = target->host;
    transfer_connector_ = std::make_unique<net::Connector>(
        services_.loop, services_.resolver, net::Address::of_tcp(target->host, target->port),
        kConnectBound, [this, plan = std::move(plan)](Result<net::Descriptor> line) mutable {
            if (line) {
                const auto waits = net::set_blocking(line->get());
                if (!waits) line = tl::unexpected(waits.error());
            }
            if (!line) return transfer_failed(line.error());
            hand_over(std::move(*line), std::move(plan), kTransferName);
        });
}

void SourceConduct::hand_over(net::Descriptor line, TransferPlan plan, const char* name) {
    const auto domain = domain_.lock();
    const auto guest = domain ? domain->running_guest() : fail(ErrorCode::internal, "gone");
    if (!guest) return transfer_failed(guest.error());
    plan.uri = fmt::format("fd:{}", name);
    (*guest)->pass_descriptor(
        name, std::move(line),
        [this, self = weak_from_this(), plan = std::move(plan)](Result<> passed) mutable {
            const auto still = self.lock();
            if (!still || !transfer_wanted_) return;  // it was cancelled meanwhile
            if (!passed) return transfer_failed(passed.error());
            begin_transfer(std::move(plan));
        });
}

void SourceConduct::begin_transfer(TransferPlan plan) {
    const auto domain = domain_.lock();
    const auto guest = domain ? domain->running_guest() : fail(ErrorCode::internal, "gone");
    if (!guest) return transfer_failed(guest.error());
    // It may have gone to sleep since the plan was made: what counts is its state at `migrate`.
    plan.asleep = domain->status.is(DomainState::pm_suspended);
    transfer_.start(**guest, plan, transfer_handlers());
}

void SourceConduct::cancel_transfer() {
    transfer_wanted_ = false;
    transfer_connector_.reset();
    const auto domain = domain_.lock();
    const auto guest = domain ? domain->running_guest() : fail(ErrorCode::internal, "gone");
    if (!guest) return feed(SourceEvent::transfer_cancelled);
    // Not before QEMU hears it: a transfer that went on behind a cancel would pause its guest.
    const std::weak_ptr<SourceConduct> self = weak_from_this();
    (*guest)->when_steerable([self, guest = *guest](Result<> steerable) {
        const auto conduct = self.lock();
        // Its end is told in its own way.
        if (conduct && steerable) conduct->transfer_.cancel(*guest, conduct->transfer_handlers());
    });
}

TransferOut::Handlers SourceConduct::transfer_handlers() {
    return {.completed =
                [this] {
                    transfer_done_ = true;
                    settle_transfer();
                },
            .failed = [this](const Error& error) { transfer_failed(error); },
            .cancelled =
                [this] {
                    tunnel_.reset();
                    feed(SourceEvent::transfer_cancelled);
                }};
}

// QEMU has written everything; a tunnel must have carried it to the other daemon, too.
void SourceConduct::settle_transfer() {
    if (!transfer_done_ || (tunnel_ && !tunnel_outcome_)) return;
    if (tunnel_outcome_ && !*tunnel_outcome_) return transfer_failed(tunnel_outcome_->error());
    tunnel_.reset();
    feed(SourceEvent::transfer_completed);
}

// Where the tunnel broke first, its reason says more than QEMU's, which only saw a closed pipe.
void SourceConduct::transfer_failed(const Error& error) {
    const bool broken = tunnel_outcome_ && !*tunnel_outcome_;
    const Error cause = broken ? tunnel_outcome_->error() : error;
    transfer_wanted_ = false;
    tunnel_.reset();
    feed({.event = SourceEvent::transfer_failed, .cause = cause});
}

}  // namespace segue
