// SPDX-License-Identifier: LGPL-2.1-or-later
#include "standby/heartbeat.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>

#include "base/log.h"
#include "net/message_code.h"

namespace segue::standby {
namespace {

// Of the second form, which repeats what was heard.
constexpr std::uint32_t kMagic = 0x53474232;  // "SGB2"
// Who speaks: a beat that comes back to its sender proves nothing.
constexpr std::uint32_t kFromAgent = 1, kFromStandby = 2;
constexpr std::size_t kPlainSize = 32;
constexpr std::size_t kBeatSize = kPlainSize + sizeof(net::MessageCode);
constexpr Duration kTick = 100ms;

Result<net::Descriptor> make_udp(const net::SocketAddress& address, bool dials) {
    net::Descriptor socket(
        ::socket(address.family(), SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket) return fail_errno("make a socket for", address.text(), errno);
    const int done = dials ? ::connect(socket.get(), address.get(), address.size)
                           : ::bind(socket.get(), address.get(), address.size);
    if (done != 0) return fail_errno(dials ? "reach" : "bind", address.text(), errno);
    return socket;
}

// Checkpoints may keep every core busy: a heart beats before them, where the system lets it.
void become_urgent() {
    sched_param parameters{};
    parameters.sched_priority = 1;
    (void)::pthread_setschedparam(::pthread_self(), SCHED_RR, &parameters);
}

}  // namespace

Result<std::unique_ptr<Heartbeat>> Heartbeat::listen(Loop& loop, const net::SocketAddress& local,
                                                     const AgentKey& key, Handlers handlers,
                                                     BeatJudge::Limits limits) {
    return std::unique_ptr<Heartbeat>(
        new Heartbeat(loop, TRY(make_udp(local, false)), key, false, std::move(handlers), limits));
}

Result<std::unique_ptr<Heartbeat>> Heartbeat::dial(Loop& loop, const net::SocketAddress& remote,
                                                   const AgentKey& key, Handlers handlers,
                                                   BeatJudge::Limits limits) {
    return std::unique_ptr<Heartbeat>(
        new Heartbeat(loop, TRY(make_udp(remote, true)), key, true, std::move(handlers), limits));
}

Heartbeat::Heartbeat(Loop& loop, net::Descriptor socket, const AgentKey& key, bool dials,
                     Handlers handlers, BeatJudge::Limits limits)
    : loop_(loop),
      socket_(std::move(socket)),
      stop_(::eventfd(0, EFD_CLOEXEC)),
      key_(key),
      dials_(dials),
      handlers_(std::move(handlers)),
      limits_(limits),
      judge_(limits),
      given_(clock_.now()) {
    if (dials_) judge_.expect();
    tick_ = loop_.make_timer([this] {
        ++work_;
        tick_->start(kTick);
    });
    tick_->start(kTick);
    thread_ = std::thread([this] { run(); });
}

Heartbeat::~Heartbeat() {
    const std::uint64_t one = 1;
    if (::write(stop_.get(), &one, sizeof one) != sizeof one) {
        log_warning("standby", "the heartbeat could not be stopped");
    }
    thread_.join();
}

void Heartbeat::expect() {
    const std::lock_guard lock(judging_);
    judge_.expect();
    given_.expect();
    last_ = BeatJudge::Verdict::alive;
    turn_ += 1;
}

Duration Heartbeat::part() {
    const std::lock_guard lock(judging_);
    return given_.part(clock_.now());
}

bool Heartbeat::may_release() {
    const std::lock_guard lock(judging_);
    return taken_.holds(clock_.now());
}

void Heartbeat::guard() {
    const std::lock_guard lock(judging_);
    judge_.guard();
}

void Heartbeat::run() {
    become_urgent();
    Instant next = clock_.now();
    for (;;) {
        pollfd watched[] = {{socket_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
        const auto left = next - clock_.now();
        const auto wait = std::chrono::ceil<std::chrono::milliseconds>(left).count();
        (void)::poll(watched, 2, wait > 0 ? static_cast<int>(wait) : 0);
        if (watched[1].revents != 0) return;
        // Before judging: what came while this thread did not run counts.
        receive();
        if (clock_.now() < next) continue;
        next = clock_.now() + limits_.period;
        send();
        judge();
    }
}

void Heartbeat::send() {
    if (!dials_ && peer_.size == 0) return;
    // Counted from before it leaves; and what is repeated must not be parted from meanwhile.
    const std::lock_guard lock(judging_);
    taken_.sent(++number_, clock_.now());
    BigWriter out;
    out.u32(kMagic);
    out.u32(dials_ ? kFromAgent : kFromStandby);
    out.u64(number_);
    out.u64(work_.load());
    out.u64(dials_ ? 0 : given_.newest());
    Bytes beat = out.take();
    const net::MessageCode code = net::message_code(key_, beat);
    beat.insert(beat.end(), code.begin(), code.end());
    (void)::sendto(socket_.get(), beat.data(), beat.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
                   dials_ ? nullptr : peer_.get(), dials_ ? 0 : peer_.size);
}

void Heartbeat::receive() {
    std::uint8_t buffer[kBeatSize + 1];
    for (int count = 0; count < 64; ++count) {
        net::SocketAddress sender;
        sender.size = sizeof sender.storage;
        const ssize_t got = ::recvfrom(socket_.get(), buffer, sizeof buffer, MSG_DONTWAIT,
                                       sender.get(), &sender.size);
        if (got < 0) return;
        if (got != static_cast<ssize_t>(kBeatSize)) continue;
        const ByteView plain(buffer, kPlainSize);
        const ByteView code(buffer + kPlainSize, sizeof(net::MessageCode));
        BigReader in(plain);
        const bool known = in.u32() == kMagic && in.u32() == (dials_ ? kFromStandby : kFromAgent);
        if (!known || !net::same_code(net::message_code(key_, plain), code)) continue;
        const std::uint64_t number = in.u64();
        const std::lock_guard lock(judging_);
        const bool is_first = !judge_.has_heard();
        const std::uint64_t work = in.u64();
        // Whoever has recorded one turns nothing away from its true sender.
        if (!judge_.heard(number, work)) continue;
        if (is_first && handlers_.heard) post(handlers_.heard);
        taken_.repeated(in.u64());
        if (dials_) continue;
        given_.heard(number, clock_.now());
        peer_ = sender;
    }
}

void Heartbeat::judge() {
    const std::lock_guard lock(judging_);
    if (heard_otherwise_.exchange(false)) judge_.heard_otherwise();
    const BeatJudge::Verdict verdict = judge_.period();
    if (verdict == last_) return;
    last_ = verdict;
    if (verdict == BeatJudge::Verdict::alive) return;
    post([this, verdict] { handlers_.trouble(verdict); });
}

// Not what was found of a peer before this one.
void Heartbeat::post(std::function<void()> what) {
    loop_.post([this, what = std::move(what), turn = turn_, alive = std::weak_ptr<bool>(alive_)] {
        if (!alive.expired() && turn == turn_) what();
    });
}

}  // namespace segue::standby
