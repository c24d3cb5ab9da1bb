// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/protection/wish.h"

#include "arbiter/etcd_client.h"

namespace segue {

Result<ProtectionWish> ProtectionWish::parse(const Json& json) {
    ProtectionWish wish;
    wish.standby = json.text("standby");
    if (wish.standby.empty()) {
        return fail(ErrorCode::invalid_argument, "name the standby's daemon: --standby URI");
    }
    wish.witness = json.text("witness");
    if (arbiter::is_etcd(wish.witness)) TRY(arbiter::parse_etcd(wish.witness, ""));
    wish.shared_storage = json.flag("shared_storage");
    // A guest that starts anew needs no checkpoint but the one that says that it is protected.
    if (wish.shared_storage) wish.interval_ms = kMaxIntervalMs;
    const std::uint64_t interval = json.u64("interval_ms", wish.interval_ms);
    if (interval < kMinIntervalMs || interval > kMaxIntervalMs) {
        return fail(ErrorCode::invalid_argument, "--interval {}: {} to {} ms", interval,
                    kMinIntervalMs, kMaxIntervalMs);
    }
    wish.interval_ms = static_cast<std::uint32_t>(interval);
    wish.adapts =
        !wish.shared_storage && (json.find("interval_ms") == nullptr || json.flag("adapts"));
    const std::string_view on_loss = json.text("on_loss", "hold");
    if (on_loss != "hold" && on_loss != "promote") {
        return fail(ErrorCode::invalid_argument, "--on-loss {}: hold or promote", on_loss);
    }
    wish.promote_on_loss = on_loss == "promote";
    const std::string_view gate = json.text("gate", "standby");
    if (gate != "standby" && gate != "primary") {
        return fail(ErrorCode::invalid_argument, "--gate {}: standby or primary", gate);
    }
    wish.gate_at_primary = gate == "primary";
    const std::string_view mode = json.text("mode", "periodic");
    if (mode != "periodic" && mode != "hybrid") {
        return fail(ErrorCode::invalid_argument, "--mode {}: periodic or hybrid", mode);
    }
    wish.hybrid = mode == "hybrid";
    wish.allow_tcg = json.flag("allow_tcg");
    const std::string_view screen = json.text("screen", "early");
    if (screen != "early" && screen != "held") {
        return fail(ErrorCode::invalid_argument, "--screen {}: early or held", screen);
    }
    wish.screen_held = screen == "held";
    if (wish.shared_storage && wish.screen_held) {
        return fail(ErrorCode::invalid_argument,
                    "--screen held with --shared-storage: a guest that starts anew takes nothing "
                    "back, and nothing of it is held");
    }
    if (wish.shared_storage && wish.hybrid) {
        return fail(ErrorCode::invalid_argument,
                    "--mode hybrid with --shared-storage: two guests would write to one disk");
    }
    return wish;
}

std::string_view ProtectionWish::promise() const {
    if (shared_storage) {
        return "a guest that is taken over starts anew, as after a power cut: what it has synced "
               "is on the shared disks, its memory is lost";
    }
    return "a guest that is taken over goes on from its last checkpoint, and nobody has seen more";
}

Json ProtectionWish::json() const {
    Json json = Json::object({{"standby", standby},
                              {"interval_ms", interval_ms},
                              {"adapts", adapts},
                              {"on_loss", on_loss()},
                              {"gate", gate_at_primary ? "primary" : "standby"},
                              {"mode", mode()},
                              {"allow_tcg", allow_tcg},
                              {"screen", screen()},
                              {"shared_storage", shared_storage}});
    if (has_witness()) json.set("witness", witness);
    return json;
}

}  // namespace segue
