// SPDX-License-Identifier: LGPL-2.1-or-later
#include "qemu/sleep_waker.h"

#include <algorithm>
#include <charconv>

#include "base/log.h"

namespace segue {
namespace {

constexpr Duration kAgain = 20ms;
// Ten seconds and more: a checkpoint that has begun comes to its end.
constexpr int kTries = 500;

// PM1a_CNT: SLP_EN, and the SLP_TYP that QEMU's own tables name for S3 (hw/acpi/core.c). A wakeup
// sets the register back.
constexpr std::uint64_t kSleepEnable = 1U << 13;
constexpr unsigned kSleepTypeShift = 10;
constexpr std::uint64_t kSleepTypeMask = 7, kSleepTypeS3 = 1;

std::optional<std::uint64_t> hex_in(std::string_view text) {
    std::uint64_t value = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), value, 16);
    if (read.ec != std::errc() || read.ptr == text.data()) return std::nullopt;
    return value;
}

}  // namespace

std::optional<std::uint64_t> sleep_port_in(std::string_view tree) {
    const std::size_t name = tree.find(": acpi-cnt");
    if (name == tree.npos) return std::nullopt;
    const std::size_t before = tree.rfind('\n', name);
    std::string_view line = tree.substr(before == tree.npos ? 0 : before + 1);
    line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
    const auto port = hex_in(line);
    if (!port || *port > 0xffff) return std::nullopt;
    return port;
}

std::optional<std::uint64_t> port_value_in(std::string_view said) {
    constexpr std::string_view kBefore = "= 0x";
    const std::size_t at = said.find(kBefore);
    if (at == said.npos) return std::nullopt;
    return hex_in(said.substr(at + kBefore.size()));
}

bool asks_for_sleep(std::uint64_t control) {
    return ((control >> kSleepTypeShift) & kSleepTypeMask) == kSleepTypeS3;
}

SleepWaker::SleepWaker(Loop& loop, Guest guest, Answer answer)
    : loop_(loop), guest_(std::move(guest)), answer_(std::move(answer)) {}

void SleepWaker::wake(Loop& loop, Guest guest, Answer answer) {
    std::make_shared<SleepWaker>(loop, std::move(guest), std::move(answer))->wake_up();
}

void SleepWaker::wake_half_asleep(Loop& loop, Guest guest, Answer answer) {
    std::make_shared<SleepWaker>(loop, std::move(guest), std::move(answer))->look_at_state();
}

void SleepWaker::ask_human(const std::string& line,
                           std::function<void(const std::string&)> answer) {
    guest_.ask("human-monitor-command", Json::object({{"command-line", line}}),
               [self = shared_from_this(), answer = std::move(answer)](Result<Json> said) {
                   if (!said) return self->again(said.error());
                   answer(std::string(said->as_text().value_or("")));
               });
}

void SleepWaker::wake_up() {
    guest_.ask("system_wakeup", {}, [self = shared_from_this()](Result<Json> woken) {
        woken ? self->finish({}) : self->look_at_state();
    });
}

void SleepWaker::again(const Error& why) {
    if (++tries_ > kTries) return finish(tl::unexpected(why));
    timer_ = loop_.make_timer([self = shared_from_this()] { self->look_at_state(); });
    timer_->start(kAgain);
}

// In a checkpoint it is neither awake nor asleep, and to sleep there would end QEMU.
void SleepWaker::look_at_state() {
    guest_.ask("query-status", {}, [self = shared_from_this()](Result<Json> said) {
        if (!said) return self->again(said.error());
        const std::string_view status = said->text("status");
        if (status == "suspended") return self->wake_up();
        if (status == "running") return self->port_ ? self->look_at_port() : self->look_for_port();
        self->again({ErrorCode::operation_failed, fmt::format("it is '{}'", status)});
    });
}

void SleepWaker::look_for_port() {
    ask_human("info mtree", [self = shared_from_this()](const std::string& tree) {
        self->port_ = sleep_port_in(tree);
        // A machine without one never sleeps.
        self->port_ ? self->look_at_port() : self->finish({});
    });
}

void SleepWaker::look_at_port() {
    ask_human(fmt::format("i /h {:#x}", *port_),
              [self = shared_from_this()](const std::string& said) {
                  const auto control = port_value_in(said);
                  if (!control || !asks_for_sleep(*control)) return self->finish({});
                  self->put_to_sleep(*control);
              });
}

void SleepWaker::put_to_sleep(std::uint64_t control) {
    log_warning("qemu", "guest '{}' was let run half asleep: it is put to sleep and woken",
                guest_.name);
    ask_human(fmt::format("o /h {:#x} {:#x}", *port_, control | kSleepEnable),
              [self = shared_from_this()](const std::string&) {
                  self->again({ErrorCode::operation_failed, "it cannot be put to sleep again"});
              });
}

void SleepWaker::finish(Result<> outcome) {
    if (const auto answer = std::exchange(answer_, nullptr)) answer(std::move(outcome));
    // A timer that calls this holds this object.
    loop_.post([self = shared_from_this()] { self->timer_.reset(); });
}

}  // namespace segue
