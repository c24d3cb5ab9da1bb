// SPDX-License-Identifier: LGPL-2.1-or-later
// The source's transfer of the guest's state: over a connection of QEMU's own, or through a tunnel
// in the connection between the daemons.
#include "base/log.h"
#include "daemon/conduct/source.h"
#include "daemon/guest.h"
#include "daemon/tunnel.h"

namespace segue {

using migrate::SourceEvent;

void SourceConduct::start_transfer() {
    const auto domain = domain_.lock();
    const auto guest = domain ? domain->running_guest() : fail(ErrorCode::internal, "gone");
    if (!guest) return transfer_failed(guest.error());
    TransferPlan plan{perform_.uri, options_, domain->tuning, services_.settings.tls_directory};
    if (!perform_.tunnel) return transfer_.start(**guest, plan, transfer_handlers());

    tunnel_outcome_.reset();
    transfer_done_ = false;
    tunnel_ = std::make_unique<TunnelOut>(services_.loop, std::exchange(perform_.tunnel, nullptr),
                                          [this](Result<> over) {
                                              tunnel_outcome_ = std::move(over);
                                              settle_transfer();
                                          });
    auto pipe = tunnel_->open();
    if (!pipe) return transfer_failed(pipe.error());
    plan.uri = fmt::format("fd:{}", kTunnelName);
    (*guest)->pass_descriptor(kTunnelName, std::move(*pipe),
                              [this, self = weak_from_this(), plan](Result<> passed) {
                                  const auto still = self.lock();
                                  if (!still) return;
                                  if (!passed) return transfer_failed(passed.error());
                                  begin_tunnelled(plan);
                              });
}

void SourceConduct::begin_tunnelled(const TransferPlan& plan) {
    const auto domain = domain_.lock();
    const auto guest = domain ? domain->running_guest() : fail(ErrorCode::internal, "gone");
    if (!guest) return transfer_failed(guest.error());
    if (!tunnel_) return;  // it was cancelled meanwhile
    log_info("daemon", "domain '{}': its state travels in the connection of the daemons",
             domain->name);
    transfer_.start(**guest, plan, transfer_handlers());
}

void SourceConduct::cancel_transfer() {
    const auto domain = domain_.lock();
    const auto guest = domain ? domain->running_guest() : fail(ErrorCode::internal, "gone");
    if (!guest) return feed(SourceEvent::transfer_cancelled);
    transfer_.cancel(**guest, transfer_handlers());
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
    tunnel_.reset();
    feed({.event = SourceEvent::transfer_failed, .cause = cause});
}

}  // namespace segue
