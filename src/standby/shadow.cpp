// SPDX-License-Identifier: LGPL-2.1-or-later
#include "standby/shadow.h"

#include <algorithm>

#include "base/log.h"

namespace segue::standby {
namespace {

// How often it is looked whether the next one has prepared itself.
constexpr Duration kLook = 5ms;
// One that hangs holds up nobody: the primary judges this process by the turns of its loop.
constexpr Duration kWriteBound = 50ms;

}  // namespace

Shadow::Shadow(Loop& loop, std::string emulator, std::size_t cards, Handlers handlers)
    : loop_(loop), emulator_(std::move(emulator)), cards_(cards), handlers_(std::move(handlers)) {
    look_ = loop_.make_timer([this] { watch_ready(); });
}

Shadow::~Shadow() {
    end_all();
    for (const auto& vm : leaving_)
        vm->stop();
}

Result<> Shadow::prepare() {
    if (next_) return {};
    const std::size_t at = current_ == 0U ? 1 : 0;
    Seat& seat = seats_[at];
    const std::uint64_t tenant = ++seat.tenant;
    const StandbyVm::Files files = handlers_.files(at);
    VmCommand command = TRY(handlers_.command(at));
    Comparer::Handlers compare;
    compare.passed = [this, at](std::size_t card, ByteView frame) {
        if (current_ == at && running_) handlers_.passed(card, frame);
    };
    compare.differs = [this, at](std::size_t card) {
        if (current_ == at && running_) handlers_.differs(card);
    };
    compare.failed = [this, at, tenant](const std::string& how) { lose(at, tenant, how); };
    seat.comparer = TRY(Comparer::make(loop_, emulator_, cards_, files.log, std::move(compare)));
    seat.vm = std::make_unique<StandbyVm>(
        loop_, std::move(command), files,
        [this, at, tenant](const std::string& how) { guest_or_shadow_ended(at, tenant, how); });
    const auto started = seat.vm->start();
    if (!started) {
        clear(seat);
        return started;
    }
    next_ = at;
    told_ready_ = false;
    prepared_since_ = loop_.now();
    look_->start(kLook);
    return {};
}

bool Shadow::is_ready() const {
    return next_ && seats_[*next_].vm->is_prepared();
}

void Shadow::watch_ready() {
    if (!next_ || told_ready_) return;
    if (!is_ready() && loop_.now() - prepared_since_ > kPrepareBound) {
        return lose(*next_, seats_[*next_].tenant, "it does not prepare itself");
    }
    if (!is_ready()) return look_->start(kLook);
    told_ready_ = true;
    handlers_.ready();
}

void Shadow::load(std::function<std::unique_ptr<FailoverStream>()> make_stream,
                  std::function<void(Result<>)> outcome) {
    current_ = std::exchange(next_, std::nullopt);
    StandbyVm& vm = *seats_[*current_].vm;
    vm.leave_paused();
    vm.set_write_bound(kWriteBound);
    vm.promote(
        std::move(make_stream), [](bool) { return Result<>(); },
        [outcome = std::move(outcome)](const Result<>& loaded) { outcome(loaded); });
}

void Shadow::run() {
    running_ = true;
    const std::size_t at = *current_;
    seats_[at].vm->go_on([this, at](const Result<>& goes_on) {
        if (!goes_on) lose(at, seats_[at].tenant, goes_on.error().message);
    });
}

pid_t Shadow::process() const {
    return current_ ? seats_[*current_].vm->process() : 0;
}

// A commit does not wait for what they give back.
void Shadow::clear(Seat& seat) {
    if (seat.vm) {
        seat.vm->end_soon();
        leaving_.push_back(std::move(seat.vm));
    }
    // One of its callbacks may be running.
    loop_.post([comparer = std::shared_ptr<Comparer>(std::move(seat.comparer))] {});
    // It may have ended by itself.
    loop_.post([this] { reap(); });
}

void Shadow::reap() {
    leaving_.erase(std::remove_if(leaving_.begin(), leaving_.end(),
                                  [](const auto& vm) { return !vm->is_started(); }),
                   leaving_.end());
}

void Shadow::guest_or_shadow_ended(std::size_t seat, std::uint64_t tenant, const std::string& how) {
    if (taken_ == seat && seats_[seat].tenant == tenant) return handlers_.guest_ended(how);
    lose(seat, tenant, "its QEMU ended: " + how);
    // Not from inside its own callback.
    loop_.post([this] { reap(); });
}

void Shadow::lose(std::size_t seat, std::uint64_t tenant, const std::string& how) {
    if (seats_[seat].tenant != tenant || (current_ != seat && next_ != seat)) return;
    const bool is_current = current_ == seat;
    if (is_current) current_.reset();
    if (next_ == seat) next_.reset();
    if (is_current) running_ = false;
    clear(seats_[seat]);
    log_warning("standby", "{} was lost: {}", is_current ? "the shadow" : "the next shadow", how);
    loop_.post(
        [this, is_current, how] { is_current ? handlers_.lost(how) : handlers_.next_lost(how); });
}

void Shadow::end() {
    running_ = false;
    if (current_) clear(seats_[*std::exchange(current_, std::nullopt)]);
}

void Shadow::end_all() {
    end();
    end_next();
}

void Shadow::end_next() {
    if (next_) clear(seats_[*std::exchange(next_, std::nullopt)]);
}

std::unique_ptr<StandbyVm> Shadow::take_over() {
    running_ = false;
    taken_ = std::exchange(current_, std::nullopt);
    Seat& seat = seats_[*taken_];
    loop_.post([comparer = std::shared_ptr<Comparer>(std::move(seat.comparer))] {});
    return std::move(seat.vm);
}

}  // namespace segue::standby
