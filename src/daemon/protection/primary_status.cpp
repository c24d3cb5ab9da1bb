// SPDX-License-Identifier: LGPL-2.1-or-later
// What `segue status` says about a protected domain: each figure is measured, or said to be
// unknown.
#include "arbiter/etcd_client.h"
#include "daemon/protection/primary.h"
#include "protect/beat_judge.h"
#include "protect/lease.h"

namespace segue {
namespace {

std::string_view bias_of(const ProtectionWish& wish) {
    if (wish.has_witness()) return "the witness decides who goes on";
    return wish.promote_on_loss ? "the standby wins: a primary that loses it stands still"
                                : "the primary wins: it goes on alone";
}

}  // namespace

// From the failure to the standby's first frame, for the failure that the standby answers by
// itself: with bias `hold` only a QEMU that dies on a living host.
Json PrimaryProtection::expected_rto() const {
    const bool hosts_too = wish_.has_witness() || wish_.promote_on_loss;
    Duration detection{0};
    if (hosts_too) detection = BeatJudge::Limits().silence;
    // The last renewal may have come just before the end; the claim is repeated each period.
    if (wish_.has_witness()) {
        const LeaseTerms terms =
            arbiter::is_etcd(wish_.witness) ? arbiter::EtcdLease::terms() : LeaseTerms();
        detection = std::max(detection, terms.term) + terms.renew_every;
    }
    Json out = Json::object({{"after", hosts_too ? "the death of this host" : "the death of QEMU"},
                             {"detection_ms", to_ms(detection)}});
    if (promotion_us_ == 0) {
        out.set("promotion_us", Json());
        out.set("reason", "no promotion of this domain was measured at that standby yet");
    } else {
        out.set("promotion_us", promotion_us_);
        out.set("total_ms", to_ms(detection) + (promotion_us_ + 999) / 1000);
    }
    return out;
}

Json PrimaryProtection::status() const {
    const std::string_view agent = figures_.text("state");
    const bool asks = state_ == State::guarding && agent == "asking";
    // The outward states are few; `detail` says more.
    std::string_view state = name_of(state_);
    if (state_ == State::isolated || asks) state = "unprotected";
    if (state_ == State::moving) state = "protected";
    Json out = Json::object(
        {{"role", "primary"},
         {"state", state},
         {"detail", asks                                   ? "asks the witness"
                    : paused_ && state_ == State::guarding ? "paused"
                                                           : name_of(state_)},
         {"standby", wish_.standby},
         {"interval_ms",
          wish_.adapts && state_ == State::guarding ? pilot_.interval_ms() : wish_.interval_ms},
         {"on_loss", wish_.has_witness() ? "witness" : wish_.on_loss()},
         {"bias", bias_of(wish_)},
         {"gate", wish_.shared_storage ? "none"
                  : gate_at_primary_   ? "primary"
                                       : "standby"},
         {"screen", wish_.screen()},
         {"storage", wish_.shared_storage ? "shared" : "copied"},
         {"promise", wish_.promise()},
         {"mode", figures_.text("mode", wish_.mode())},
         {"epoch", figures_.u64("epoch")}});
    if (wish_.has_witness()) {
        out.set("witness", wish_.witness);
        if (const Json* said = figures_.find("witness")) out.set("witness_lease", *said);
    }
    for (const char* name : {"pause_us", "commit_lag_us", "lag_us", "held_frames", "held_screen",
                             "bytes", "pages", "checkpoints", "backlog_bytes", "rpo_us"}) {
        if (const Json* figure = figures_.find(name)) out.set(name, *figure);
    }
    if (state_ == State::guarding && !asks) {
        const Json rto = expected_rto();
        const Json* total = rto.find("total_ms");
        out.set("expected_rto_ms", total == nullptr ? Json() : *total);
        out.set("expected_rto", rto);
        out.set("qemu", name_of(verdict_));
    }
    if (alone_after_us_ != 0) out.set("alone_after_us", alone_after_us_);
    if (!reason_.empty()) out.set("reason", reason_);
    if (state_ == State::isolated) {
        out.set("remedy", "if the standby does not run it: `segue unprotect` lets it go on here");
    }
    return out;
}

}  // namespace segue
