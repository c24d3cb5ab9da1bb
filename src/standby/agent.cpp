// SPDX-License-Identifier: LGPL-2.1-or-later
#include "standby/agent.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <numeric>

#include "base/log.h"

namespace segue::standby {
namespace {

constexpr Duration kConnectBound = 10s;
// Bytes on their way to the standby; beyond, QEMU is not read: a slow link costs pause, not memory.
constexpr std::size_t kBacklog = 64U << 20;
// What one write of QEMU's disk, and a stream that was read already, may put beyond it.
constexpr std::size_t kOutputLimit = std::size_t{4} << 30;
constexpr std::size_t kStreamFrame = 1U << 20;
// QEMU's connections end some moments before its process does.
constexpr Duration kEndGrace = 500ms;
// For the standby to take what is on its way, and our last word behind it.
constexpr Duration kFarewellBound = 15s;
// For QEMU to read the frames for its guest before it is stopped.
constexpr Duration kReadBound = 50ms;
constexpr Duration kReadLook = 1ms;
// How long a process whose work is over still answers questions.
constexpr Duration kAfterlife = 30s;

}  // namespace

std::string_view Agent::name_of(State state) {
    switch (state) {
        case State::linking: return "linking";
        case State::ready: return "ready";
        case State::syncing: return "syncing";
        case State::guarding: return "protected";
        case State::ending: return "ending";
        case State::lost: return "lost";
        case State::asking: return "asking";
        case State::isolated: return "isolated";
        case State::dead: return "dead";
        case State::ended: return "ended";
    }
    return "unknown";
}

Result<std::unique_ptr<Agent>> Agent::make(RunLoop& loop, AgentOptions options) {
    std::unique_ptr<Agent> agent(new Agent(loop, std::move(options)));
    TRY(agent->open());
    return agent;
}

Agent::Agent(RunLoop& loop, AgentOptions options)
    : loop_(loop), options_(std::move(options)), resolver_(loop), session_(*this) {
    grace_ = loop_.make_timer([this] {
        if (qemu_is_gone()) return qemu_ended();
        lose("QEMU has ended its checkpoints");
    });
    freeze_bound_ = loop_.make_timer([this] {
        if (!freeze_reply_) return;
        thaw();
        std::exchange(freeze_reply_, nullptr)(
            fail(ErrorCode::timeout, "no checkpoint was committed in time: the guest goes on"));
    });
    // It hangs inside QEMU where a write of the guest does not come back; QEMU itself may have
    // died.
    broken_grace_ = loop_.make_timer([this] {
        if (qemu_is_gone()) return qemu_ended();
        options_.qemu == 0 ? lose(broken_reason_) : give_up(broken_reason_, false);
    });
    farewell_bound_ = loop_.make_timer([this] {
        connection_->close();
        if (state_ == State::ending) lose("the standby does not confirm that it was given up");
        answer_end();
    });
    fence_look_ = loop_.make_timer([this] { look_at_fence(); });
    input_look_ = loop_.make_timer([this] { session_.input_read(); });
    hold_bound_ = loop_.make_timer([this] { unhold(); });
    release_again_ = loop_.make_timer([this] { release_what_waits(); });
    quit_ = loop_.make_timer([this] { loop_.stop(); });
}

Agent::~Agent() = default;

Result<> Agent::open() {
    TRY(lock_directory());
    TRY(listen());
    TRY(watch_qemu());
    open_witness();
    open_screen();
    connect();
    return {};
}

Result<> Agent::lock_directory() {
    if (::mkdir(options_.state.c_str(), 0700) != 0 && errno != EEXIST) {
        return fail_errno("make directory", options_.state, errno);
    }
    const std::string path = file("lock");
    lock_.reset(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!lock_) return fail_errno("open", path, errno);
    if (::flock(lock_.get(), LOCK_EX | LOCK_NB) != 0) {
        return fail(ErrorCode::exists, "'{}' belongs to another segue-agent that runs",
                    options_.state);
    }
    return {};
}

Result<> Agent::listen() {
    net::ListenOptions options;
    options.mode = 0600;
    qemu_listener_ =
        TRY(net::Listener::make(loop_, net::Address::of_unix(file("colo.sock")), options,
                                [this](net::Descriptor socket, const net::SocketAddress&) {
                                    accept_qemu(std::move(socket));
                                }));
    for (std::size_t number = 0; number < options_.disk_bytes.size(); ++number)
        TRY(open_disk(number));
    for (std::size_t number = 0; number < options_.cards; ++number)
        TRY(open_card(number));
    control_ = TRY(ControlSocket::make(loop_, file("control.sock"),
                                       [this](const Json& request, ControlSocket::Reply reply) {
                                           on_request(request, std::move(reply));
                                       }));
    return {};
}

std::string Agent::socket(std::string_view name, std::size_t number) const {
    return number == 0 ? file(fmt::format("{}.sock", name))
                       : file(fmt::format("{}{}.sock", name, number));
}

Result<> Agent::open_disk(std::size_t number) {
    AgentDisk::Handlers handlers;
    handlers.write = [this, number](std::uint64_t offset, ByteView data) {
        send(AgentLink::write(number, offset, data));
    };
    handlers.zero = [this, number](std::uint64_t offset, std::uint64_t length) {
        send(AgentLink::zero(number, offset, length));
    };
    handlers.ended = [this, number] { copy_ended(number); };
    disks_.push_back(TRY(AgentDisk::make(loop_, socket("disk", number), options_.disk_bytes[number],
                                         std::move(handlers))));
    return {};
}

Result<> Agent::open_card(std::size_t number) {
    auto card = std::make_unique<Card>();
    card->network = TRY(AgentNetwork::make(
        loop_, {socket("net-out", number), socket("net-back", number), socket("net-in", number)},
        [this, number](FrameGate::Frames frames) { guest_sent(number, std::move(frames)); }));
    cards_.push_back(std::move(card));
    return {};
}

Result<> Agent::watch_qemu() {
    if (options_.qemu == 0) return {};
    qemu_process_.reset(static_cast<int>(::syscall(SYS_pidfd_open, options_.qemu, 0)));
    if (!qemu_process_) return fail_errno("watch", "QEMU's process", errno);
    qemu_watch_ = loop_.watch(qemu_process_.get(), [this](Loop::Ready) {
        if (qemu_is_gone()) qemu_ended();
    });
    qemu_watch_->set_interest(true, false);
    return {};
}

// -- the standby

void Agent::connect() {
    connector_ = std::make_unique<net::Connector>(
        loop_, resolver_, options_.standby, kConnectBound,
        [this](Result<net::Descriptor> socket) { linked(std::move(socket)); });
}

void Agent::linked(Result<net::Descriptor> socket) {
    if (!socket) return lose(socket.error().message);
    net::Connection::Handlers handlers;
    handlers.on_input = [this](ByteView bytes) { link_input(bytes); };
    handlers.on_closed = [this](const Error& reason) {
        lose("the link to the standby ended: " + reason.message);
        answer_end();
    };
    handlers.on_drained = [this] { watch_backlog(); };
    connection_ = std::make_unique<net::Connection>(loop_, std::move(*socket), std::move(handlers));
    connection_->set_output_limit(kOutputLimit);
    if (!options_.tls.empty() && options_.standby.transport != net::Transport::unix_socket) {
        const std::string& directory = options_.tls;
        const std::string& name =
            options_.tls_name.empty() ? options_.standby.host : options_.tls_name;
        auto filter =
            net::TlsContext::make(net::TlsSide::client,
                                  {directory + "/ca-cert.pem", directory + "/client-cert.pem",
                                   directory + "/client-key.pem"},
                                  true)
                .and_then([&](const std::shared_ptr<net::TlsContext>& context) {
                    return context->make_filter(name);
                });
        if (!filter) return lose(filter.error().message);
        connection_->set_filter(std::move(*filter));
    }
    connection_->start();
    connection_->send(AgentLink::hello(options_.key));
}

void Agent::link_input(ByteView bytes) {
    if (heartbeat_) heartbeat_->heard_otherwise();
    const bool has_left = farewell_said_;
    link_bytes_.insert(link_bytes_.end(), bytes.begin(), bytes.end());
    std::size_t used = 0;
    Result<> outcome;
    for (;;) {
        AgentLink::Message message;
        const auto now = link_.next(ByteView(link_bytes_).subspan(used), message);
        outcome = now ? Result<>() : tl::make_unexpected(now.error());
        if (!now || *now == 0) break;
        used += *now;
        outcome = take(message);
        if (!outcome) break;
    }
    link_bytes_.erase(link_bytes_.begin(), link_bytes_.begin() + static_cast<std::ptrdiff_t>(used));
    if (!outcome) {
        lose(outcome.error().message);
        // Behind our farewell there is nothing more to hear.
        if (has_left) connection_->close();
        answer_end();
    }
    answer_freeze();
}

Result<> Agent::take(const AgentLink::Message& message) {
    if (farewell_said_ && message.kind != AgentLink::Kind::given_up) return {};
    switch (message.kind) {
        case AgentLink::Kind::welcome:
            if (state_ == State::linking && !heartbeat_) begin_heartbeat();
            return {};
        case AgentLink::Kind::frames:
            if (message.device >= cards_.size()) {
                return fail(ErrorCode::protocol, "it sent frames for card {} of {}", message.device,
                            cards_.size());
            }
            cards_[message.device]->network->deliver(message.bytes);
            return {};
        case AgentLink::Kind::word: return take_word(message.word);
        case AgentLink::Kind::resumed: answer_resume(); return {};
        // Who does not say what its guest has read is asked once, and never again.
        case AgentLink::Kind::asks:
            if (options_.hybrid) session_.answer_requests(AgentSession::Answers::one);
            return {};
        case AgentLink::Kind::paces:
            session_.answer_requests(AgentSession::Answers::every);
            return {};
        case AgentLink::Kind::taken:
            taken_ = true;
            return fail(ErrorCode::operation_invalid, "it takes over, by order of its operator");
        case AgentLink::Kind::given_up:
            // Who has yielded does not go on.
            if (taken_) return {};
            given_up_ = true;
            if (!paused_) session_.thaw();
            return fail(ErrorCode::operation_invalid, "{}",
                        farewell_said_ ? "it knows that it was given up"
                                       : "it was given up, by order of its operator");
        case AgentLink::Kind::closing:
            return fail(ErrorCode::connection_lost, "it closes the link: {}",
                        AgentLink::reason_of(message));
        default: return {};
    }
}

// Without beats nobody would notice the end of a host. Nothing is promised before they have come
// both ways: the standby answers what it hears.
void Agent::begin_heartbeat() {
    const auto be_ready = [this] {
        if (state_ == State::linking) state_ = State::ready;
    };
    const net::SocketAddress& peer = connection_->peer();
    if (peer.family() == AF_UNIX) return be_ready();
    auto made = Heartbeat::dial(
        loop_, peer, options_.key,
        {[this](BeatJudge::Verdict verdict) { standby_in_trouble(verdict); }, be_ready});
    if (!made) return lose("no heartbeat: " + made.error().message);
    heartbeat_ = std::move(*made);
}

void Agent::standby_in_trouble(BeatJudge::Verdict verdict) {
    if (state_ == State::dead || state_ == State::ended) return;
    switch (verdict) {
        case BeatJudge::Verdict::alive: return;
        case BeatJudge::Verdict::silent: return lose("the standby's host is silent");
        case BeatJudge::Verdict::hung:
            return lose("segue-standby hangs: its host beats, its work stands still");
        case BeatJudge::Verdict::unheard:
            return lose(fmt::format(
                "no heartbeat came back from {}: let UDP through to that port, beside TCP",
                connection_ ? connection_->peer().text() : "the standby"));
    }
}

void Agent::send(Bytes frame) {
    if (!connection_ || connection_->is_closed() || farewell_said_) return;
    connection_->send(std::move(frame));
    watch_backlog();
}

void Agent::watch_backlog() {
    const bool linked = connection_ && !connection_->is_closed();
    const bool full = linked && connection_->output_waiting() > kBacklog;
    if (full == full_) return;
    full_ = full;
    if (qemu_ && !qemu_->is_closed()) qemu_->set_reading(!full);
    for (const auto& disk : disks_)
        disk->set_reading(!full);
}

// -- QEMU

void Agent::accept_qemu(net::Descriptor socket) {
    if (state_ != State::ready || qemu_ || !session_.connected()) {
        log_warning("agent", "a migration was refused: {}", name_of(state_));
        return;
    }
    state_ = State::syncing;
    net::Connection::Handlers handlers;
    handlers.on_input = [this](ByteView bytes) { qemu_input(bytes); };
    handlers.on_closed = [this](const Error& reason) { qemu_link_ended(reason); };
    qemu_ = std::make_unique<net::Connection>(loop_, std::move(socket), std::move(handlers));
    qemu_->start();
}

void Agent::qemu_input(ByteView bytes) {
    const auto taken = session_.received(bytes);
    answer_freeze();
    if (taken) return;
    qemu_->close();
    lose("QEMU's stream: " + taken.error().message);
}

void Agent::qemu_link_ended(const Error& reason) {
    if (state_ == State::dead || state_ == State::ended) return;
    log_info("agent", "QEMU's stream ended: {}", reason.message);
    if (options_.qemu == 0) return lose("QEMU has ended its checkpoints");
    grace_->start(kEndGrace);
}

bool Agent::qemu_is_gone() const {
    pollfd process{qemu_process_.get(), POLLIN, 0};
    return qemu_process_ && ::poll(&process, 1, 0) == 1;
}

// No partition: this host lives and says so. What is whole here is on its way already.
void Agent::qemu_ended() {
    // Seen twice, it is said once: "ends" behind "dead" would take the word back.
    if (state_ == State::dead) return;
    qemu_watch_.reset();
    grace_->cancel();
    broken_grace_->cancel();
    fence_look_->cancel();
    if (state_ == State::guarding) {
        log_warning("agent", "QEMU {} has {}: the standby is told", options_.qemu,
                    is_fenced_ ? "stopped for good" : "ended");
        send(AgentLink::tell(AgentLink::Kind::dead));
    } else if (connection_) {
        say_farewell(AgentLink::Kind::ends);
    }
    if (state_ != State::ended) state_ = State::dead;
    answer_resume();
    // Nothing is renewed: whoever asks is granted.
    if (witness_) witness_->rest();
    quit_->start(kAfterlife);
}

void Agent::say_farewell(AgentLink::Kind kind) {
    if (!connection_ || connection_->is_closed() || std::exchange(farewell_said_, true)) return;
    connection_->send(AgentLink::tell(kind));
    // Read on: to close with words of the standby unread would reset the link under our own. It
    // closes when it has heard.
    connection_->end_output();
    farewell_bound_->start(kFarewellBound);
}

void Agent::answer(ColoMessage message) {
    if (!qemu_ || qemu_->is_closed()) return;
    std::uint8_t word[4];
    store<ByteOrder::big>(word, static_cast<std::uint32_t>(message));
    qemu_->send_copy(word);
    if (message == ColoMessage::checkpoint_reply) pause_began_ = loop_.now();
    if (message != ColoMessage::vmstate_loaded) return;
    for (const auto& card : cards_)
        card->network->thaw();
    pauses_us_.push_back(to_us(loop_.now() - pause_began_));
    if (pauses_us_.size() > 512) pauses_us_.pop_front();
}

// Both guests begin with the same frame from outside. What QEMU does not read in time is the
// primary's alone.
bool Agent::freeze_input(bool waits) {
    if (!options_.hybrid) return true;
    bool is_read = true;
    for (const auto& card : cards_)
        is_read = card->network->freeze() && is_read;
    if (input_since_ == Instant{}) input_since_ = loop_.now();
    if (!is_read && loop_.now() - input_since_ < kReadBound) {
        input_look_->start(kReadLook);
        return false;
    }
    input_since_ = {};
    for (std::size_t number = 0; number < cards_.size(); ++number)
        send(AgentLink::input(number, cards_[number]->network->delivered(), waits));
    return true;
}

void Agent::forward(ByteView stream) {
    // One section of QEMU's may be larger than a frame.
    for (; !stream.empty(); stream = stream.subspan(std::min(stream.size(), kStreamFrame)))
        send(AgentLink::stream(stream.first(std::min(stream.size(), kStreamFrame))));
}

// -- output

// Until the first state is committed the guest's network is what it was: behind the copy of its
// disks and memory frames would be seconds late, or lost. Nothing leaves in two places at once,
// because the guest stands still for that commit.
void Agent::guest_sent(std::size_t number, FrameGate::Frames frames) {
    Card& card = *cards_[number];
    const bool to_standby = options_.gate == AgentOptions::Gate::standby &&
                            state_ == State::guarding && !farewell_said_;
    // A full link or gate is a full switch port: only frames are dropped, the stream waits.
    const bool is_full = to_standby
                             ? connection_->output_waiting() > kBacklog + AgentNetwork::kMaxWaiting
                             : card.gate.is_full();
    if (is_full) return card.network->count_dropped(frames.count);
    if (to_standby) {
        open_frames_ += frames.count;
        return send(AgentLink::frames(number, frames.bytes));
    }
    const bool is_over = state_ == State::isolated || state_ == State::dead;
    if (is_over) return card.network->count_dropped(frames.count);
    card.network->leave(card.gate.sent(std::move(frames)).bytes);
}

void Agent::pass_frames() {
    for (const auto& card : cards_)
        card->network->leave(card->gate.pass().bytes);
    if (screen_) screen_->pass();
}

void Agent::release_frames(std::uint64_t epoch) {
    for (const auto& card : cards_)
        card->network->leave(card->gate.release(epoch).bytes);
    if (screen_) screen_->release(screen_until_);
}

void Agent::hold_output() {
    if (options_.gate != AgentOptions::Gate::primary) return;
    for (const auto& card : cards_)
        card->gate.hold();
}

// False where a disk's copy has ended: before a write can be missing from what is sealed, its end
// can be seen, though nobody has read it yet.
bool Agent::seal_output(std::uint64_t epoch) {
    for (std::size_t number = 0; number < disks_.size(); ++number) {
        if (disks_[number]->is_whole()) continue;
        copy_ended(number);
        return false;
    }
    for (const auto& card : cards_) {
        card->network->drain();
        card->gate.seal(epoch);
    }
    sealed_frames_.push_back(std::exchange(open_frames_, 0));
    sealed_at_.push_back(loop_.now());
    // The guest stands still until the standby has the first state, and the screen is held.
    if (screen_ && epoch == 1) screen_->hold(options_.picture_passes);
    return true;
}

void Agent::release_output(std::uint64_t epoch) {
    release_waits_ = epoch;
    if (!sealed_at_.empty()) screen_until_ = sealed_at_.front();
    release_or_wait();
    if (sealed_at_.empty()) return;
    committed_state_at_ = sealed_at_.front();
    sealed_at_.pop_front();
    sealed_frames_.pop_front();
    lags_us_.push_back(to_us(loop_.now() - committed_state_at_));
    if (lags_us_.size() > 512) lags_us_.pop_front();
}

std::size_t Agent::held_frames() const {
    if (options_.gate == AgentOptions::Gate::standby) {
        return std::accumulate(sealed_frames_.begin(), sealed_frames_.end(), open_frames_);
    }
    std::size_t held = 0;
    for (const auto& card : cards_)
        held += card->gate.held_frames();
    return held;
}

void Agent::tell_protected() {
    if (state_ != State::syncing) return;
    state_ = State::guarding;
    if (heartbeat_) heartbeat_->guard();
    release_output(session_.committed_epoch());
    log_info("agent", "protected");
}

void Agent::tell_checkpoint(const AgentSession::CheckpointFacts& facts) {
    checkpoints_ += 1;
    pages_ += facts.pages;
    bytes_ += facts.bytes;
}

}  // namespace segue::standby
