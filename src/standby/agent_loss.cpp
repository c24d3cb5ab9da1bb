// SPDX-License-Identifier: LGPL-2.1-or-later
// segue-agent when it and its standby part, by a loss or on purpose: who goes on
// (protect/loss_table.h), and what has to be heard before anything leaves.
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/log.h"
#include "standby/agent.h"

namespace segue::standby {
namespace {

// QEMU's connections end some moments before its process does.
constexpr Duration kEndGrace = 500ms;
// Between two looks whether somebody vouches again.
constexpr Duration kReleaseAgain = 25ms;
// Between two looks whether a QEMU that was killed executes anything.
constexpr Duration kFenceLook = 50ms;

}  // namespace

void Agent::open_witness() {
    if (!options_.witness) return;
    WitnessLine::Handlers handlers;
    handlers.settled = [this](LeaseClient::Claim claim) { witness_settled(claim); };
    handlers.renewed = [this] { release_what_waits(); };
    witness_ = WitnessLine::make(loop_, resolver_, *options_.witness, options_.key,
                                 LeaseTable::Side::primary, std::move(handlers));
}

void Agent::open_screen() {
    if (options_.screen.empty()) return;
    ScreenLine::Handlers handlers;
    handlers.held = [this] {
        if (!std::exchange(ready_waits_, false)) return;
        const auto said = take_word(ColoMessage::checkpoint_ready);
        if (!said) lose(said.error().message);
    };
    handlers.failed = [this](const std::string& reason) { screen_fails(reason); };
    screen_ = std::make_unique<ScreenLine>(loop_, resolver_, options_.screen, std::move(handlers));
}

void Agent::screen_fails(const std::string& reason) {
    const std::string text =
        "QEMU's SPICE server does not hold back what its clients get: " + reason;
    if (state_ == State::linking || state_ == State::ready) return lose(text);
    breaks(text);
}

// The guest runs when nothing that it shows is seen before its checkpoint is committed.
Result<> Agent::take_word(ColoMessage word) {
    const bool waits = word == ColoMessage::checkpoint_ready && screen_ && !screen_->is_holding();
    ready_waits_ = ready_waits_ || waits;
    return waits ? Result<>() : session_.standby_said(word);
}

// Where the standby may run the guest without our word, somebody vouches that it does not now: the
// witness, or the standby itself.
bool Agent::may_release() const {
    const bool by_itself = witness_ || options_.on_loss == AgentOptions::OnLoss::promote;
    if (!by_itself || options_.gate == AgentOptions::Gate::standby) return true;
    if (heartbeat_ && heartbeat_->may_release()) return true;
    // A link inside one host has no beats.
    return witness_ ? witness_->may_release() : !heartbeat_;
}

void Agent::release_or_wait() {
    if (!may_release()) return release_again_->start(kReleaseAgain);
    release_frames(std::exchange(release_waits_, 0));
}

void Agent::release_what_waits() {
    if (release_waits_ == 0 || state_ != State::guarding) return;
    release_or_wait();
}

void Agent::witness_settled(LeaseClient::Claim claim) {
    if (claim == LeaseClient::Claim::granted) {
        if (state_ != State::asking) return;
        log_warning("agent", "the witness lets the guest go on here");
        return go_on_alone();
    }
    if (state_ == State::asking) {
        state_ = State::isolated;
        reason_ += "; the witness says that the standby has taken over";
        answer_resume();
    } else if (state_ == State::guarding) {
        taken_ = true;
        lose("the witness says that the standby has taken over");
    }
}

void Agent::go_on_alone() {
    if (!paused_) session_.thaw();
    state_ = State::lost;
    pass_frames();
    answer_resume();
}

loss::Case Agent::loss_case() const {
    loss::Case one;
    const bool first = session_.state() == colo::Secondary::committing_first;
    if (session_.is_protected()) {
        one.held = loss::Held::epochs;
    } else if (first && !session_.is_withheld()) {
        one.held = loss::Held::first_state;
    }
    one.said = taken_ ? loss::Said::taken : given_up_ ? loss::Said::given_up : loss::Said::nothing;
    one.bias = witness_                                            ? loss::Bias::witness
               : options_.on_loss == AgentOptions::OnLoss::promote ? loss::Bias::promote
                                                                   : loss::Bias::hold;
    one.guest = paused_                ? loss::Guest::paused
                : session_.is_frozen() ? loss::Guest::frozen
                                       : loss::Guest::runs;
    return one;
}

// The standby is of no use any more. A guest that never was protected simply runs on.
void Agent::lose(const std::string& reason) {
    if (state_ == State::lost || state_ == State::asking || state_ == State::isolated ||
        state_ == State::ended) {
        return;
    }
    if (state_ == State::dead) return quit_->start(1s);
    const loss::Course course = loss::who_goes_on(loss_case());
    const bool as_wanted = state_ == State::ending && course == loss::Course::goes_on;
    if (!as_wanted) {
        log_warning("agent", "the standby is lost: {}; the guest {}", reason,
                    loss::name_of(course));
        reason_ = reason;
    }
    broken_grace_->cancel();
    part(course);
}

void Agent::part(loss::Course course) {
    const bool goes_on = course == loss::Course::goes_on;
    const bool was_protected = session_.is_protected() || !goes_on;
    state_ = course == loss::Course::asks ? State::asking
             : !goes_on                   ? State::isolated
             : ends_by_order_             ? State::ended
                                          : State::lost;
    connector_.reset();
    send(AgentLink::closing(reason_));
    if (goes_on) {
        say_farewell(AgentLink::Kind::ends);
    } else {
        hold_cards();
        // Where it may take over by itself it is not told that nothing is lost.
        // A daemon that finds no agent any more must know.
        if (taken_ && mark_taken()) {
            say_farewell(AgentLink::Kind::yields);
        } else if (connection_) {
            connection_->close();
        }
    }
    if (was_protected) {
        session_.standby_lost(goes_on);
    } else if (qemu_ && !ends_by_order_) {
        qemu_->close();
    }
    if (goes_on) pass_frames();
    for (const auto& card : cards_)
        card->network->thaw();
    read_on();
    if (state_ == State::asking) witness_->claim();
    answer_freeze();
    answer_resume();
}

// Our side wants no standby any more. One that might take over by itself must have heard of it
// first: until then nothing leaves, and if it never does, the table decides.
void Agent::give_up(const std::string& reason, bool by_order) {
    if (state_ == State::ending) return;
    ends_by_order_ = by_order;
    reason_ = reason;
    broken_grace_->cancel();
    if (!by_order) log_warning("agent", "the standby is given up: {}", reason);
    const bool linked = connection_ && !connection_->is_closed();
    if (linked) {
        send(AgentLink::closing(reason));
        say_farewell(AgentLink::Kind::ends);
    }
    // Frames that are held there leave there, before what the guest says next leaves here.
    const bool waits =
        linked && state_ == State::guarding && options_.gate == AgentOptions::Gate::standby;
    if (!waits && loss::who_goes_on(loss_case()) == loss::Course::goes_on) {
        return part(loss::Course::goes_on);
    }
    state_ = State::ending;
    hold_cards();
    if (!linked) lose(reason + "; there is no link to the standby to tell it");
}

// An epoch without its writes must not count anywhere.
void Agent::copy_ended(std::size_t disk) {
    breaks(fmt::format("QEMU's copy of disk {} to the standby has ended", disk));
}

// QEMU's own end looks the same from here, for a moment.
void Agent::breaks(const std::string& reason) {
    const bool matters = state_ == State::linking || state_ == State::ready ||
                         state_ == State::syncing || state_ == State::guarding;
    if (!matters || !broken_reason_.empty()) return;
    broken_reason_ = reason;
    log_warning("agent", "{}", broken_reason_);
    broken_grace_->start(kEndGrace);
}

// A QEMU whose disk hangs in the kernel cannot end, and its end would never be seen. It need not:
// killed, it executes nothing any more (look_at_fence()), and whatever its guest can be heard by
// comes through here, where nothing leaves for it from now on, or through the standby.
void Agent::fence() {
    if (!qemu_process_ || state_ != State::guarding) return;
    const auto handle = qemu_process_.get();
    if (::syscall(SYS_pidfd_send_signal, handle, SIGKILL, nullptr, 0) != 0 && errno != ESRCH) {
        return log_error("agent", "QEMU {} cannot be killed: {}", options_.qemu,
                         std::strerror(errno));
    }
    look_at_fence();
}

void Agent::look_at_fence() {
    if (state_ != State::guarding) return;
    if (qemu_is_gone()) return qemu_ended();
    if (!qemu_stands_still()) return fence_look_->start(kFenceLook);
    is_fenced_ = true;
    reason_ =
        "QEMU was killed and cannot end: something that it waits for in the kernel, a disk "
        "perhaps, does not answer";
    log_warning("agent", "{}", reason_);
    hold_cards();
    qemu_ended();
}

// Killed, each of its threads has the signal before kill(2) returns: one that waits in the kernel
// where no signal reaches it dies before it comes back to its own code, or to the guest's.
bool Agent::qemu_stands_still() const {
    std::error_code code;
    const std::string tasks = fmt::format("/proc/{}/task", options_.qemu);
    bool any = false;
    for (std::filesystem::directory_iterator task(tasks, code), end; !code && task != end;
         task.increment(code)) {
        std::ifstream file(task->path() / "stat");
        const std::string text{std::istreambuf_iterator<char>(file),
                               std::istreambuf_iterator<char>()};
        const std::size_t name_end = text.rfind(')');
        // It has ended meanwhile.
        if (name_end == std::string::npos || name_end + 2 >= text.size()) continue;
        const char state = text[name_end + 2];
        if (state != 'D' && state != 'Z' && state != 'X') return false;
        any = true;
    }
    return any && !code;
}

bool Agent::mark_taken() const {
    const net::Descriptor mark(
        ::open(file("taken").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    const net::Descriptor folder(::open(options_.state.c_str(), O_RDONLY | O_CLOEXEC));
    const bool marked = mark && folder && ::fsync(mark.get()) == 0 && ::fsync(folder.get()) == 0;
    if (!marked) log_error("agent", "'{}': {}", file("taken"), std::strerror(errno));
    return marked;
}

void Agent::hold_cards() {
    for (const auto& card : cards_)
        card->gate.hold();
}

// Nothing of QEMU's waits for the standby any more: its main loop may be waiting for us.
void Agent::read_on() {
    full_ = false;
    if (qemu_ && !qemu_->is_closed()) qemu_->set_reading(true);
    for (const auto& disk : disks_)
        disk->set_reading(true);
}

}  // namespace segue::standby
