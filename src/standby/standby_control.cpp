// SPDX-License-Identifier: LGPL-2.1-or-later
// segue-standby toward its operator: status, dump, promote.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>

#include "base/log.h"
#include "protect/image_lock.h"
#include "standby/standby.h"

namespace segue::standby {
namespace {

using colo::Secondary;

// For what the primary has sent until it hears, and for its answer behind that.
constexpr Duration kYieldBound = 10s;
// A file server forgets the locks of a host that is dead within its leases (NFS: 90 s).
constexpr Duration kDisksBound = 180s;
constexpr Duration kDisksLook = 200ms;

// "2026-11-21T16:05:09.123Z"
std::string utc_text(std::int64_t wall_ms) {
    const auto seconds = static_cast<std::time_t>(wall_ms / 1000);
    std::tm parts{};
    gmtime_r(&seconds, &parts);
    char text[32];
    const std::size_t size = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    return fmt::format("{}.{:03}Z", std::string_view(text, size), wall_ms % 1000);
}

Result<> write_file(const std::string& path, ByteView bytes) {
    const net::Descriptor file(
        ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (!file) return fail_errno("open", path, errno);
    std::size_t at = 0;
    while (at < bytes.size()) {
        const ssize_t written = ::write(file.get(), bytes.data() + at, bytes.size() - at);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return fail_errno("write", path, errno);
        at += static_cast<std::size_t>(written);
    }
    return {};
}

}  // namespace

void Standby::on_request(const Json& request, ControlSocket::Reply reply) {
    const std::string_view command = request.text("cmd");
    if (command == "status") return reply(status());
    if (command == "dump") return reply(dump(request));
    if (command == "promote") {
        if (const std::string disk = kept_from(); !disk.empty()) {
            return reply(fail(ErrorCode::operation_invalid,
                              "the guest may not start here: {}. One that lives is moved with "
                              "`segue unprotect` and `segue migrate`",
                              disk));
        }
        return ask_promotion(request.flag("force"), std::move(reply));
    }
    if (command == "end") return give_up(reply);
    if (command == "checkpoint") {
        return reply(fail(ErrorCode::operation_unsupported,
                          "no agent is connected: a bare QEMU takes a checkpoint at once when its "
                          "x-checkpoint-delay is set again"));
    }
    reply(fail(ErrorCode::invalid_argument,
               "unknown cmd '{}' (status, promote, checkpoint, dump, end)", command));
}

Json Standby::status() const {
    const Secondary state = session_->state();
    std::string_view name = "none";
    if (state == Secondary::promoted || state == Secondary::promoting) {
        name = colo::name_of(state);
    } else if (session_->is_protected()) {
        name = "protected";
    } else if (state == Secondary::synchronising || state == Secondary::committing_first) {
        name = "syncing";
    } else if (state != Secondary::idle) {
        name = stale_ ? "stale" : "lost";
    }
    const bool held = store_->content() == StoreRecord::Content::committed;
    const std::uint64_t epoch = held ? store_->epoch() : state_.facts().epoch;
    Json json = Json::object(
        {{"state", name},
         {"step", colo::name_of(state)},
         {"promotion", promotion()},
         {"epoch", epoch},
         {"checkpoints", checkpoints_},
         {"commit_us", last_commit_us_},
         {"outrun", is_outrun()},
         {"on_loss", options_.on_loss == Options::OnLoss::promote ? "promote" : "hold"}});
    if (state_.facts().lost_at_ms != 0) json.set("lost_at", utc_text(state_.facts().lost_at_ms));
    if (vm_) json.set("prestarted", vm_->is_prepared());
    if (hybrid_) json.set("hybrid", hybrid_->status());
    if (!networks_.empty()) {
        std::uint64_t held_frames = 0, dropped_frames = 0;
        for (const auto& network : networks_) {
            held_frames += network->held_frames();
            dropped_frames += network->dropped_frames();
        }
        json.set("held_frames", held_frames);
        json.set("dropped_frames", dropped_frames);
    }
    if (options_.witness) json.set("witness", witness_says());
    if (disks_bound_) json.set("waits_for_disks", true);
    if (promotion_us_ != 0) {
        json.set("promotion_us", promotion_us_);
        json.set("was_prestarted", was_prestarted_);
    }
    json.set("listen", primary_address());
    if (agent_) json.set("linked", agent_->is_linked());
    json.set("vm_pid", vm_ ? vm_->process() : StandbyVm::living(vm_files()));
    json.set("ran", state_.facts().ran);
    json.set("paused", state_.facts().paused);
    json.set("log_bytes", store_->log().size());
    if (!disks_.empty()) {
        std::uint64_t logged = 0;
        for (const auto& disk : disks_)
            logged += disk->disk().logged_bytes();
        json.set("disk", disks_.front()->address());
        json.set("disk_log_bytes", logged);
    }
    Json blocks = Json::array();
    if (held) {
        for (const RamBlock& block : store_->head().blocks)
            blocks.push(Json::object({{"name", block.name}, {"bytes", block.length}}));
    }
    json.set("blocks", std::move(blocks));
    return json;
}

// The agent hears that nobody takes over: to it the end of the link alone would be a loss.
void Standby::give_up(const ControlSocket::Reply& reply) {
    if (yield_waits_ || (promise_waits_ && !disks_bound_)) {
        return reply(fail(ErrorCode::operation_invalid,
                          "it is about to take over: the primary was told to stand still"));
    }
    if (promotion() == "no") {
        const auto marked = mark_given_up();
        if (!marked) return reply(tl::make_unexpected(marked.error()));
    }
    ends_ = protection_ended_ = true;
    const auto end = [this, reply] {
        // Whoever says this has seen that the guest does not run here.
        if (vm_ && !vm_->is_running()) vm_->stop();
        reply(Json::object({{"state", "ended"}}));
        loop_.stop();
    };
    agent_&& promotion() == "no" ? agent_->give_up(end) : end();
}

// Before the primary hears of it: a next process must not take over from a guest that goes on.
Result<> Standby::mark_given_up() {
    if (store_->content() != StoreRecord::Content::committed) return {};
    Facts facts = state_.facts();
    facts.given_up = true;
    return state_.save(facts);
}

// "maybe": let go of, and nobody can say from here whether the guest ran.
std::string_view Standby::promotion() const {
    if (session_->state() == Secondary::promoted && state_.facts().ran) return "yes";
    const bool begun = session_->state() == Secondary::promoting || state_.facts().promoted;
    return begun ? "maybe" : "no";
}

Result<Json> Standby::dump(const Json& request) {
    const std::string block(request.text("block"));
    const std::string path(request.text("path"));
    if (block.empty() || path.empty()) {
        return fail(ErrorCode::invalid_argument, "dump needs \"block\" and \"path\"");
    }
    const bool held = store_->content() == StoreRecord::Content::committed &&
                      session_->state() != Secondary::promoted;
    if (!held) {
        return fail(ErrorCode::operation_invalid, "no committed image is held (state {})",
                    colo::name_of(session_->state()));
    }
    const auto& blocks = store_->head().blocks;
    for (std::size_t index = 0; index < blocks.size(); ++index) {
        if (blocks[index].name != block) continue;
        TRY(write_file(path, store_->image(index)));
        return Json::object({{"epoch", store_->epoch()}, {"bytes", blocks[index].length}});
    }
    return fail(ErrorCode::invalid_argument, "no RAM block '{}' (status names them)", block);
}

Result<> Standby::may_promote(bool force) const {
    if (!vm_) {
        return fail(ErrorCode::operation_invalid,
                    "no QEMU command line was given after --: nothing can be promoted");
    }
    if (ends_) return fail(ErrorCode::operation_invalid, "this standby was given up");
    // Before the primary hears that we take over.
    TRY(session_->may_promote());
    const std::uint64_t epoch = store_->epoch();
    if (state_.facts().ran && session_->state() != Secondary::promoted) {
        return fail(ErrorCode::operation_invalid,
                    "epoch {} was let go once, and the guest may have run: its memory is no longer "
                    "that of the epoch",
                    epoch);
    }
    if (force) return {};
    if (state_.facts().given_up) {
        return fail(ErrorCode::operation_invalid,
                    "protection was given up at epoch {}, and the primary went on: \"force\":true "
                    "promotes all the same, when the primary is known to be dead",
                    epoch);
    }
    if (is_outrun()) return tl::make_unexpected(outrun());
    // Whom the witness refuses has no bias of its own.
    const bool granted = witness_ && witness_->state() == LeaseClient::Claim::granted;
    const bool holds = options_.witness ? !granted : options_.on_loss == Options::OnLoss::hold;
    if (session_->is_protected()) {
        if (!holds) return {};
        return fail(ErrorCode::operation_invalid,
                    "the primary is alive, at epoch {}: \"force\":true cuts it off and promotes",
                    epoch);
    }
    if (store_->content() != StoreRecord::Content::committed || (!holds && !stale_)) return {};
    return fail(ErrorCode::operation_invalid,
                "epoch {} is {} since {}: the primary may have gone on, and only the operator can "
                "know that it is dead: \"force\":true promotes",
                epoch, stale_ ? "stale" : "lost", utc_text(state_.facts().lost_at_ms));
}

void Standby::ask_promotion(bool force, ControlSocket::Reply reply) {
    if (session_->state() == Secondary::promoting || yield_waits_ || promise_waits_) {
        return reply(fail(ErrorCode::operation_invalid,
                          "epoch {} is being promoted already: whoever asked first is answered",
                          store_->epoch()));
    }
    const auto allowed = may_promote(force);
    if (!allowed) return reply(tl::make_unexpected(allowed.error()));
    if (force && stale_) {
        log_warning("standby", "promotion of the stale epoch {} was forced", store_->epoch());
    }
    promotion_began_ = loop_.now();
    promotion_reply_ = std::move(reply);
    was_prestarted_ = vm_->is_prepared();
    agent_ && agent_->is_linked() ? ask_primary_to_yield() : begin_promotion();
}

// A primary that is linked lives. It would go on alone if it only lost us: it must have said that
// nothing of its guest leaves any more. What it has sent until then counts.
void Standby::ask_primary_to_yield() {
    yield_waits_ = true;
    yield_bound_ = loop_.make_timer([this] {
        const std::string reason = fmt::format("no answer within {} s", to_ms(kYieldBound) / 1000);
        drop_primary("the standby takes over, and " + reason);
        link_ended({ErrorCode::timeout, reason}, false);
    });
    yield_bound_->start(kYieldBound);
    agent_->say_taken();
}

// While the primary may count on us not to run its guest, and has said nothing else. With the gate
// here nothing of it leaves without us.
Duration Standby::still_promised() {
    const bool said = yielded_ || primary_is_dead_;
    return heartbeat_ && networks_.empty() && !said ? heartbeat_->part() : Duration{0};
}

void Standby::begin_promotion() {
    yield_waits_ = false;
    if (yield_bound_) yield_bound_->cancel();
    // Meanwhile the primary may have been told that it goes on.
    if (ends_ || (protection_ended_ && !yielded_ && !primary_is_dead_)) {
        promise_waits_ = false;
        return refuse_promotion({ErrorCode::operation_invalid, "this standby was given up"});
    }
    const Duration left = still_promised();
    promise_waits_ = left > Duration{0};
    if (promise_waits_) {
        // Made once: it may be its own callback that waits again.
        if (!promise_) promise_ = loop_.make_timer([this] { begin_promotion(); });
        return promise_->start(left);
    }
    if (const std::string disk = kept_from(); !disk.empty()) return wait_for_disks(disk);
    disks_bound_.reset();
    const auto begun = session_->promote();
    if (!begun) refuse_promotion(begun.error());
}

std::string Standby::kept_from() const {
    for (const std::string& disk : options_.shared_disks) {
        const auto image = look_at_image(disk);
        if (!image) return image.error().message;
        if (image->is_written) return fmt::format("a QEMU still writes to '{}'", disk);
    }
    return {};
}

// Two that write to one image destroy it: whoever has it open is not dead, whatever was heard.
void Standby::wait_for_disks(const std::string& disk) {
    if (!disks_bound_) {
        log_warning("standby", "takes over when it is let: {}", disk);
        disks_bound_ = loop_.now() + kDisksBound;
        if (!promise_) promise_ = loop_.make_timer([this] { begin_promotion(); });
    }
    promise_waits_ = loop_.now() < *disks_bound_;
    if (promise_waits_) return promise_->start(kDisksLook);
    disks_bound_.reset();
    print_error("not promoted: " + disk);
    refuse_promotion({ErrorCode::timeout, disk});
}

void Standby::refuse_promotion(const Error& error) {
    yield_waits_ = false;
    if (yield_bound_) yield_bound_->cancel();
    if (!promotion_reply_) return;
    log_warning("standby", "not promoted: {}", error.message);
    std::exchange(promotion_reply_, nullptr)(tl::make_unexpected(error));
}

void Standby::promote_vm() {
    if (hybrid_ && hybrid_->is_comparing()) return take_over_shadow();
    if (hybrid_) hybrid_->end_all();
    // The fence first: whatever happens from here, the old primary stays refused. A crash of this
    // host takes the memory image along, and with it all that could be promoted, until mark_ran()
    // has made both durable.
    Facts facts = state_.facts();
    facts.promoted = true;
    facts.epoch = store_->epoch();
    const auto fenced = state_.save_for_next_process(facts);
    if (!fenced) {
        return loop_.post([this, fenced] { promotion_ended(fenced); });
    }
    // An agent may be linked whose stream has not begun: its disk writes end here.
    drop_primary("the standby takes over");
    for (const auto& network : networks_)
        network->serve_vm();
    for (const auto& disk : disks_) {
        const auto back = disk->disk().discard(store_->epoch());
        if (!back) {
            return loop_.post([this, back] { promotion_ended(back); });
        }
    }
    for (const auto& disk : disks_)
        disk->serve_vm();
    if (state_.facts().paused) vm_->leave_paused();
    vm_->promote([this] { return make_stream(); }, [this](bool ran) { return mark_ran(ran); },
                 [this](const Result<>& outcome) { promotion_ended(outcome); });
}

std::unique_ptr<FailoverStream> Standby::make_stream() const {
    const StreamHead& head = store_->head();
    std::vector<FailoverStream::Block> blocks;
    for (std::size_t index = 0; index < head.blocks.size(); ++index) {
        bool shared = false;
        for (const SharedBlock& block : vm_->command().shared)
            shared = shared || block.name == head.blocks[index].name;
        blocks.push_back({store_->image(index), shared, &store_->written_pages(index)});
    }
    return std::make_unique<FailoverStream>(head, std::move(blocks), store_->device_state());
}

// On disk before the epoch is: a next process must not let run what its user has paused.
Result<> Standby::mark_paused(bool paused) {
    if (state_.facts().paused == paused) return {};
    Facts facts = state_.facts();
    facts.paused = paused;
    return state_.save(facts);
}

// On disk before the guest runs: from then on nobody runs it from the image a second time.
Result<> Standby::mark_ran(bool ran) {
    Facts facts = state_.facts();
    facts.ran = ran;
    return state_.save(facts);
}

void Standby::promotion_ended(const Result<>& outcome) {
    const std::uint64_t epoch = store_->epoch();
    if (!outcome) {
        session_->promotion_failed();
        print_error("promotion failed: " + outcome.error().message);
        vm_->stop();
        if (promotion_reply_) {
            std::exchange(promotion_reply_, nullptr)(tl::make_unexpected(outcome.error()));
        }
        return;
    }
    session_->promotion_done();
    const std::int64_t took_us = promotion_us_ = to_us(loop_.now() - promotion_began_);
    const std::string qmp = state_.file("qmp.sock");
    events_.print(Json::object(
        {{"event", "promoted"}, {"epoch", epoch}, {"qmp", qmp}, {"took_us", took_us}}));
    if (promotion_reply_) {
        std::exchange(promotion_reply_, nullptr)(
            Json::object({{"epoch", epoch}, {"qmp", qmp}, {"took_us", took_us}}));
    }
    // Nobody else looks at the guest of a bare QEMU.
    if (!agent_ && !state_.facts().paused) vm_->wake_half_asleep();
    // QEMU has them mapped; their memory goes when it ends.
    store_->remove_files();
}

}  // namespace segue::standby
