// SPDX-License-Identifier: LGPL-2.1-or-later
#include "standby/standby.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/log.h"

namespace segue::standby {
namespace {

constexpr Duration kTick = 100ms;
// A copied image goes to its disk in steps of this size while it comes, so that little is left to
// wait for when the guest stands still for its first state.
constexpr std::uint64_t kSettleStep = 64U << 20;
// An image that is this far ahead of its disk waits for it.
constexpr std::uint64_t kSettleLimit = 256U << 20;

std::string_view said_of_agent(BeatJudge::Verdict verdict) {
    switch (verdict) {
        case BeatJudge::Verdict::hung: return "segue-agent hangs on the primary's host";
        case BeatJudge::Verdict::unheard:
            return "no heartbeat of the primary's host ever came: let UDP through to the port of "
                   "the agent's link, too";
        case BeatJudge::Verdict::alive:
        case BeatJudge::Verdict::silent: break;
    }
    return "the primary's host is silent";
}

}  // namespace

Result<std::unique_ptr<Standby>> Standby::make(RunLoop& loop, Options options) {
    auto state = TRY(StateDirectory::open(options.state));
    std::unique_ptr<Standby> standby(new Standby(loop, std::move(options), std::move(state)));
    TRY(standby->open());
    TRY(standby->listen());
    standby->events_.print(Json::object({{"event", "listening"}}));
    return standby;
}

Standby::Standby(RunLoop& loop, Options options, StateDirectory state)
    : loop_(loop),
      options_(std::move(options)),
      state_(std::move(state)),
      events_(STDOUT_FILENO),
      resolver_(loop) {}

Standby::~Standby() {
    // What is held stays for the next process; a half state is of no use to anybody.
    const bool held = store_ && store_->content() == StoreRecord::Content::committed;
    if (store_ && (!held || ends_)) state_.memory().remove();
}

std::int64_t Standby::wall_ms() const {
    return std::chrono::duration_cast<std::chrono::milliseconds>(
               loop_.clock().wall().time_since_epoch())
        .count();
}

Result<> Standby::open() {
    const int swept = sweep_memory(::geteuid());
    if (swept > 0) log_info("standby", "removed the memory that {} killed standbys left", swept);
    end_shadows();
    if (!state_.facts().ran) {
        StandbyVm::end_leftover(vm_files());
    } else {
        // The guest has them mapped, and its memory is no longer that of an epoch.
        PageStore::remove_files(state_.memory().path());
    }
    store_ = TRY(PageStore::open(state_.memory().path()));
    if (state_.facts().given_up && !state_.facts().promoted) store_->forget();
    SecondarySession::Owner& owner = *this;
    session_ = std::make_unique<SecondarySession>(
        *store_, owner, [this] { return wall_ms(); },
        options_.hybrid ? colo::Mode::hybrid : colo::Mode::periodic);
    const bool held = store_->content() == StoreRecord::Content::committed;
    is_over_ = state_.facts().promoted && (state_.facts().ran || !held);
    if (is_over_) {
        session_->adopt_promoted();
        log_info("standby", "promoted at epoch {} earlier: primaries are refused",
                 state_.facts().epoch);
    } else if (held) {
        // A promotion that was begun and never let its guest go leaves the same, and the fence.
        stale_ = true;
        Facts facts = state_.facts();
        facts.epoch = store_->epoch();
        if (facts.lost_at_ms == 0) facts.lost_at_ms = store_->committed_at_ms();
        TRY(state_.save(facts));
        log_warning("standby", "holds epoch {} of an earlier process: stale", facts.epoch);
    }
    return {};
}

Places Standby::places() const {
    Places places;
    places.operator_qmp = state_.file("qmp.sock");
    places.own_qmp = state_.file("own-qmp.sock");
    for (std::size_t card = 0; card < options_.networks.size(); ++card)
        places.networks.push_back({socket("nic", card), socket("gate", card)});
    for (std::size_t disk = 0; disk < options_.disks.size(); ++disk)
        places.disks.push_back(socket("disk", disk));
    places.is_cold = !options_.shared_disks.empty();
    places.image_path = [this](std::string_view block) { return store_->image_path(block); };
    return places;
}

StandbyVm::Files Standby::vm_files() const {
    if (const std::uint64_t seat = state_.facts().seat; seat != 0) {
        StandbyVm::Files files = seat_files(seat - 1);
        files.pid = state_.file("qemu.pid");
        return files;
    }
    return {state_.file("own-qmp.sock"), state_.file("incoming.sock"), state_.file("qemu.log"),
            state_.file("qemu.pid")};
}

Result<> Standby::prepare_vm() {
    VmCommand command = TRY(promoted_command(options_.vm, places()));
    for (const std::string& note : command.notes)
        log_info("standby", "{}", note);
    // A QEMU that is started first maps the same files that the session will fill.
    if (options_.prestart && !stale_) {
        for (const SharedBlock& block : command.shared)
            TRY(store_->prepare_image(block.name, block.bytes));
    }
    vm_ = std::make_unique<StandbyVm>(
        loop_, std::move(command), vm_files(),
        [this](const std::string& how) { print_error("QEMU ended: " + how); });
    if (options_.hybrid) return prepare_hybrid();
    return options_.prestart ? vm_->start() : Result<>();
}

std::string Standby::socket(std::string_view name, std::size_t number) const {
    return state_.file(number == 0 ? fmt::format("{}.sock", name)
                                   : fmt::format("{}{}.sock", name, number));
}

Result<> Standby::open_disks(const std::shared_ptr<net::TlsContext>& tls) {
    if (options_.disks.empty()) return {};
    const bool promoted = state_.facts().promoted;
    const bool held = store_->content() == StoreRecord::Content::committed;
    const std::uint64_t epoch = promoted ? state_.facts().epoch
                                : held   ? store_->epoch()
                                         : DiskEpochs::kAllSealed;
    worker_ = std::make_unique<Worker>(loop_);
    for (std::size_t number = 0; number < options_.disks.size(); ++number) {
        const Options::Disk& wanted = options_.disks[number];
        // Each has a log of its own; the page store's record commits all of them at once.
        std::string log = state_.path();
        if (number != 0) log = TRY(state_.make_directory(fmt::format("disk{}", number)));
        auto disk = TRY(DiskEpochs::open(wanted.image, log, epoch));
        if (promoted) TRY(disk->discard(epoch));
        if (promoted && state_.facts().seat != 0) {
            TRY(DiskPort::keep_shadow(wanted.image,
                                      TRY(state_.make_directory(shadow_disk(number)))));
        }
        if (!promoted && !held) TRY(disk->end_epochs());
        disks_.push_back(TRY(DiskPort::make(loop_, *worker_, std::move(disk), wanted.address,
                                            vm_socket("disk", number), tls)));
        if (promoted) disks_.back()->serve_vm();
    }
    return {};
}

Result<> Standby::open_networks(const std::shared_ptr<net::TlsContext>& tls) {
    for (std::size_t card = 0; card < options_.networks.size(); ++card) {
        networks_.push_back(
            TRY(NetworkPort::make(loop_, options_.networks[card], tls,
                                  {vm_socket("gate", card), vm_socket("nic", card)})));
        if (state_.facts().promoted) networks_.back()->serve_vm();
        // Fail closed: what a held epoch does not know must not leave.
        if (stale_) networks_.back()->hold();
    }
    return {};
}

Result<> Standby::listen() {
    std::shared_ptr<net::TlsContext> tls;
    if (!options_.tls.empty()) {
        const std::string& directory = options_.tls;
        tls = TRY(net::TlsContext::make(net::TlsSide::server,
                                        {directory + "/ca-cert.pem", directory + "/server-cert.pem",
                                         directory + "/server-key.pem"},
                                        true));
    }
    TRY(open_disks(tls));
    TRY(open_networks(tls));
    if (!is_over_ && !options_.vm.empty()) TRY(prepare_vm());
    control_ = TRY(ControlSocket::make(loop_, state_.file("control.sock"),
                                       [this](const Json& request, ControlSocket::Reply reply) {
                                           on_request(request, std::move(reply));
                                       }));
    TRY(options_.agent ? listen_to_agent(tls) : listen_to_primary(tls));
    tick_ = loop_.make_timer([this] { watch_time(); });
    tick_->start(kTick);
    return {};
}

// The fence outlives the session's state: a promotion that failed refuses primaries too.
bool Standby::take_primary() {
    return !state_.facts().promoted && session_->connected();
}

Result<> Standby::listen_to_primary(std::shared_ptr<net::TlsContext> tls) {
    MigrationPort::Handlers handlers;
    handlers.connected = [this] { return take_primary(); };
    handlers.space = [this] { return session_->space(); };
    handlers.received = [this](std::size_t bytes) -> Result<> {
        last_progress_ = loop_.now();
        TRY(is_whole());
        return session_->received(bytes);
    };
    handlers.lost = [this](const Error& reason, bool at_fault) { link_ended(reason, at_fault); };
    migration_ =
        TRY(MigrationPort::make(loop_, *options_.listen, std::move(tls), std::move(handlers)));
    return {};
}

Result<> Standby::listen_to_agent(std::shared_ptr<net::TlsContext> tls) {
    AgentPort::Handlers handlers;
    handlers.connected = [this] {
        // What the one before said still counts while its last epoch is committed.
        if (ends_ || promise_waits_ || state_.facts().promoted ||
            session_->state() == colo::Secondary::committing_lost) {
            return false;
        }
        primary_is_dead_ = protection_ended_ = stream_began_ = yielded_ = false;
        if (heartbeat_) heartbeat_->expect();
        for (const auto& network : networks_)
            network->begin_input();
        return true;
    };
    handlers.heard = [this] {
        if (heartbeat_) heartbeat_->heard_otherwise();
    };
    handlers.stream = [this](ByteView bytes) { return take_stream(bytes); };
    // Frames of a card without a gate here have left at the primary.
    handlers.frames = [this](std::size_t card, ByteView frames) -> Result<> {
        return card < networks_.size() ? networks_[card]->agent_sent(frames) : Result<>();
    };
    handlers.input = [this](std::size_t card, std::uint64_t read, bool waits) {
        if (card < networks_.size()) networks_[card]->input_read(read);
        if (hybrid_) hybrid_->agent_waits(waits);
    };
    handlers.write = [this](std::size_t number, std::uint64_t offset, ByteView data) -> Result<> {
        DiskEpochs* const disk = TRY(disk_with(number, offset, data.size()));
        TRY(disk->write(offset, data));
        settle(*disk);
        return {};
    };
    handlers.zero = [this](std::size_t number, std::uint64_t offset,
                           std::uint64_t length) -> Result<> {
        DiskEpochs* const disk = TRY(disk_with(number, offset, length));
        TRY(disk->zero(offset, length));
        settle(*disk);
        return {};
    };
    handlers.must_wait = [this] {
        return session_->state() == colo::Secondary::committing ||
               session_->state() == colo::Secondary::committing_first ||
               session_->state() == colo::Secondary::loading || is_behind();
    };
    handlers.farewell = [this](AgentLink::Kind kind) {
        primary_is_dead_ = primary_is_dead_ || kind == AgentLink::Kind::dead;
        protection_ended_ = protection_ended_ || kind == AgentLink::Kind::ends;
        yielded_ = yielded_ || kind == AgentLink::Kind::yields;
        primary_left(kind);
    };
    handlers.paused = [this](bool paused) { return mark_paused(paused); };
    handlers.lost = [this](const Error& reason, bool at_fault) { link_ended(reason, at_fault); };
    agent_ = TRY(AgentPort::make(loop_, *options_.agent, options_.agent_key, std::move(tls),
                                 std::move(handlers)));
    if (options_.agent->transport != net::Transport::unix_socket) {
        heartbeat_ = TRY(Heartbeat::listen(
            loop_, agent_->local(), options_.agent_key,
            {[this](BeatJudge::Verdict verdict) { agent_in_trouble(verdict); }, nullptr}));
    }
    for (std::size_t card = 0; card < networks_.size(); ++card) {
        networks_[card]->set_agent(
            [this, card](ByteView frames) { return agent_->send_frames(card, frames); });
    }
    return {};
}

// The disk that holds all of this range.
Result<DiskEpochs*> Standby::disk_with(std::size_t number, std::uint64_t offset,
                                       std::uint64_t length) {
    TRY(is_whole());
    if (number >= disks_.size()) {
        return fail(ErrorCode::protocol, "a write to disk {} of {}", number, disks_.size());
    }
    DiskEpochs& disk = disks_[number]->disk();
    if (offset <= disk.bytes() && length <= disk.bytes() - offset) return &disk;
    return fail(ErrorCode::protocol, "a write of {} bytes at {} lies outside disk {}", length,
                offset, number);
}

void Standby::agent_in_trouble(BeatJudge::Verdict verdict) {
    if (!agent_->is_linked()) return;
    const std::string reason(said_of_agent(verdict));
    drop_primary(reason);
    link_ended({ErrorCode::connection_lost, reason}, false);
}

Result<> Standby::take_stream(ByteView bytes) {
    last_progress_ = loop_.now();
    // The agent is here long before its QEMU: disks are copied first, however long that takes.
    if (!std::exchange(stream_began_, true) && !take_primary()) {
        return fail(ErrorCode::operation_invalid, "a stream at a wrong time (while {})",
                    colo::name_of(session_->state()));
    }
    while (!bytes.empty()) {
        TRY(is_whole());
        const auto room = TRY(session_->space());
        const std::size_t now = std::min(room.size(), bytes.size());
        std::memcpy(room.data(), bytes.data(), now);
        bytes = bytes.subspan(now);
        TRY(session_->received(now));
    }
    return {};
}

// The primary's host says that its QEMU is dead, that protection is over, or that its guest stands
// still: nothing more comes.
void Standby::primary_left(AgentLink::Kind how) {
    loop_.post([this, how] {
        const bool linked = agent_->is_linked();
        if (how == AgentLink::Kind::yields && yield_waits_) return begin_promotion();
        // Its answer to what our operator has said.
        if (!linked || ends_) return;
        // It lets its guest go on when it has heard that we know. What is held here was said by a
        // guest that goes on.
        if (how == AgentLink::Kind::ends) {
            // Unheard of, it does what it does when we are lost.
            if (const auto marked = mark_given_up(); !marked) {
                return print_error(marked.error().message);
            }
            if (hybrid_) hybrid_->epoch_over();
            for (const auto& network : networks_)
                network->pass();
            return agent_->give_up([] {});
        }
        const std::string reason = how == AgentLink::Kind::yields
                                       ? "the primary stands still, says its host"
                                       : "the primary's QEMU has ended, says its host";
        drop_primary(reason);
        link_ended({ErrorCode::connection_lost, reason}, false);
    });
}

void Standby::drop_primary(const std::string& reason) {
    if (migration_) migration_->drop();
    if (agent_) agent_->drop(reason);
}

std::string Standby::primary_address() const {
    return migration_ ? migration_->address() : agent_->address();
}

void Standby::send(ColoMessage message) {
    if (migration_) return migration_->send(message);
    agent_->send(message);
    // What came behind the checkpoint was not looked at while it was committed.
    if (message == ColoMessage::vmstate_loaded || message == ColoMessage::checkpoint_ready) {
        loop_.post([this] { agent_->resume(); });
    }
}

// A prestarted QEMU has the images mapped already, and any QEMU refuses another size.
Result<> Standby::check_head(const StreamHead& head) {
    if (!vm_) return {};
    for (const SharedBlock& shared : vm_->command().shared) {
        const auto block =
            std::find_if(head.blocks.begin(), head.blocks.end(),
                         [&](const RamBlock& candidate) { return candidate.name == shared.name; });
        if (block == head.blocks.end() || block->length != shared.bytes) {
            return fail(ErrorCode::config_unsupported,
                        "the command line after -- makes RAM block '{}' of {} bytes, the primary "
                        "has {}: give the primary's own command line",
                        shared.name, shared.bytes,
                        block == head.blocks.end() ? std::string("no such block")
                                                   : std::to_string(block->length));
        }
    }
    return {};
}

void Standby::pass_output() {
    if (hybrid_) hybrid_->epoch_over();
    for (const auto& network : networks_)
        network->pass();
    for (const auto& disk : disks_) {
        const auto ended = disk->disk().end_epochs();
        if (!ended) return fail_session(ended.error());
    }
}

void Standby::hold_output() {
    for (const auto& network : networks_)
        network->hold();
    for (const auto& disk : disks_) {
        const auto begun = disk->disk().begin_epochs();
        if (!begun) return fail_session(begun.error());
    }
}

// The primary has drained its block layer: what it wrote is here. Syncing runs beside the pages.
void Standby::seal_output() {
    for (const auto& port : disks_) {
        const auto sealed = port->disk().seal(store_->epoch() + 1);
        if (!sealed) return fail_session(sealed.error());
    }
    for (const auto& port : disks_) {
        if (port->disk().needs_sync()) sync(port->disk().sync_job());
    }
}

// Whoever copies an image is not held up by its disk, and neither is this loop, by whose turns it
// is judged.
void Standby::settle(DiskEpochs& disk) {
    if (disk.is_logging() || settling_ || disk.unsettled_bytes() < kSettleStep) return;
    settling_ = true;
    worker_->run(disk.settle_job(), [this](const Result<>& settled) {
        settling_ = false;
        if (!settled) return fail_session(settled.error());
        if (agent_) agent_->resume();
    });
}

bool Standby::is_behind() const {
    return settling_ && std::any_of(disks_.begin(), disks_.end(), [](const auto& port) {
               return port->disk().unsettled_bytes() > kSettleLimit;
           });
}

void Standby::sync(DiskEpochs::Job job) {
    disk_syncs_ += 1;
    worker_->run(std::move(job), [this](const Result<>& synced) {
        disk_syncs_ -= 1;
        if (!synced) {
            commit_waits_ = false;
            return fail_session(synced.error());
        }
        if (commit_waits_) commit_if_durable();
    });
}

void Standby::begin_commit(std::uint64_t epoch) {
    commit_began_ = loop_.now();
    for (const auto& network : networks_)
        network->seal(epoch);
    // The first one: what was copied belongs to it.
    for (const auto& port : disks_) {
        if (port->disk().must_settle()) sync(port->disk().settle_job());
    }
    commit_if_durable();
}

void Standby::commit_if_durable() {
    commit_waits_ = disk_syncs_ > 0;
    if (commit_waits_ || failed_) return;
    const auto committed = session_->committed();
    if (!committed) fail_session(committed.error());
}

void Standby::release_output(std::uint64_t epoch) {
    // Before the image goes on.
    if (hybrid_) hybrid_->epoch_over();
    for (const auto& network : networks_)
        network->release(epoch);
    for (const auto& disk : disks_) {
        auto cleanup = disk->disk().commit(epoch);
        if (!cleanup) return fail_session(cleanup.error());
        worker_->run(std::move(*cleanup), [this](const Result<>& done) {
            if (!done) print_error(done.error().message);
        });
    }
}

Result<> Standby::is_whole() const {
    if (failed_) return tl::make_unexpected(*failed_);
    return {};
}

// From inside the session: it must return first. What it has in hand may be a whole checkpoint.
void Standby::fail_session(const Error& error) {
    if (std::exchange(failed_, error)) return;
    loop_.post([this, error] {
        drop_primary(error.message);
        link_ended(error, false);
        // Nothing will end this commit: what was held before it counts.
        if (session_->state() == colo::Secondary::committing_lost) {
            session_->commit_failed(error.message);
        }
        failed_.reset();
    });
}

void Standby::drop_link(const std::string& reason) {
    drop_primary(reason);
}

void Standby::tell_protected() {
    stale_ = false;
    if (heartbeat_) heartbeat_->guard();
    Facts facts;
    facts.epoch = store_->epoch();
    const auto saved = state_.save(facts);
    if (!saved) print_error(saved.error().message);
    events_.print(Json::object({{"event", "protected"}, {"epoch", store_->epoch()}}));
}

void Standby::tell_checkpoint(const SecondarySession::CheckpointFacts& facts) {
    last_commit_us_ = to_us(loop_.now() - commit_began_);
    checkpoints_ += 1;
    // Whoever runs an agent asks for figures when it wants them: no log grows with each checkpoint.
    if (agent_) return;
    events_.print(Json::object({{"event", "checkpoint"},
                                {"epoch", facts.epoch},
                                {"pages", facts.pages},
                                {"bytes", facts.bytes},
                                {"commit_us", last_commit_us_}}));
}

void Standby::tell_lost(const std::string& reason) {
    if (hybrid_) hybrid_->primary_lost();
    Facts facts = state_.facts();
    facts.epoch = store_->epoch();
    facts.lost_at_ms = wall_ms();
    const auto saved = state_.save(facts);
    if (!saved) print_error(saved.error().message);
    events_.print(
        Json::object({{"event", "lost"}, {"epoch", store_->epoch()}, {"reason", reason}}));
    if (protection_ended_ && !primary_is_dead_) return;
    // The primary, if it lives, is granted what nobody else asks for.
    if (is_outrun()) return print_error(outrun().message);
    // A QEMU that ended on a living host is no partition: nobody else can go on.
    if (!primary_is_dead_ && options_.witness) return ask_witness();
    if (options_.on_loss == Options::OnLoss::promote || primary_is_dead_) take_over_unasked();
}

void Standby::take_over_unasked() {
    loop_.post([this] {
        // The shadow may have been lost since.
        if (is_outrun()) return print_error(outrun().message);
        ask_promotion(true, [](const Result<Json>&) {});
    });
}

// The primary may go on, too: only one of us is granted.
void Standby::ask_witness() {
    WitnessLine::Handlers handlers;
    handlers.settled = [this](LeaseClient::Claim claim) { witness_settled(claim); };
    handlers.renewed = [] {};
    witness_ = WitnessLine::make(loop_, resolver_, *options_.witness, options_.agent_key,
                                 LeaseTable::Side::standby, std::move(handlers));
    witness_->claim();
}

void Standby::witness_settled(LeaseClient::Claim claim) {
    if (session_->state() != colo::Secondary::lost) return;
    if (claim != LeaseClient::Claim::granted) {
        return log_warning("standby", "the witness lets the primary go on alone");
    }
    log_warning("standby", "the witness lets this standby take over");
    take_over_unasked();
}

std::string_view Standby::witness_says() const {
    if (!witness_) return "";
    switch (witness_->state()) {
        case LeaseClient::Claim::none: return "";
        case LeaseClient::Claim::asked: return "asked";
        case LeaseClient::Claim::granted: return "this standby takes over";
        case LeaseClient::Claim::refused: return "the primary goes on alone";
    }
    return "";
}

void Standby::link_ended(const Error& reason, bool at_fault) {
    // From here on nothing new is promised to it.
    if (heartbeat_) (void)heartbeat_->part();
    if (at_fault) print_error(reason.message);
    const bool first = !session_->is_protected() && session_->state() != colo::Secondary::relinking;
    if (first && !at_fault) {
        print_error("the primary's link ended before its first whole state: " + reason.message);
    }
    if (yield_waits_ && !yielded_) {
        refuse_promotion(
            protection_ended_
                ? Error{ErrorCode::operation_invalid, "protection was given up at the primary"}
                : Error{ErrorCode::operation_failed,
                        "the primary did not say that it stands still (" + reason.message +
                            "): it may go on. Ask again when you know that it does not"});
    }
    session_->link_lost(protection_ended_ ? "protection was given up" : reason.message);
    // A first state that nobody waits for any more; what was whole is committed without its
    // primary.
    if (session_->state() != colo::Secondary::committing_lost) commit_waits_ = false;
}

// One coarse look instead of a timer for each wait: a checkpoint must not pay for it.
void Standby::watch_time() {
    if (session_->state() != watched_state_) {
        watched_state_ = session_->state();
        last_progress_ = loop_.now();
    }
    // Not silent: we do not listen, or its guest stands still.
    const bool is_paused =
        state_.facts().paused && session_->state() == colo::Secondary::awaiting_request;
    if (is_behind() || is_paused) last_progress_ = loop_.now();
    const auto limit = session_->limit(limits_);
    // A guest that was let go is waited for: it may run.
    const bool let_go = vm_ && vm_->is_let_go();
    if (limit && !let_go && loop_.now() - last_progress_ > *limit) {
        if (session_->state() == colo::Secondary::promoting) {
            promotion_ended(
                fail(ErrorCode::timeout, "QEMU did not run within {} s", to_ms(*limit) / 1000));
        } else {
            commit_waits_ = false;
            // A first state is nobody's loss yet: who waits for it must hear of it all the same.
            print_error(
                fmt::format("no progress in time while {}", colo::name_of(session_->state())));
            session_->time_up();
        }
    }
    if (hybrid_) hybrid_->look();
    tick_->start(kTick);
}

void Standby::print_error(std::string_view message) {
    log_error("standby", "{}", message);
    events_.print(Json::object({{"event", "error"}, {"message", message}}));
}

}  // namespace segue::standby
