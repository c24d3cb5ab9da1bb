// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sim/protected_guest.h"

namespace segue::sim {
namespace {

using colo::Action;
using colo::Event;

constexpr std::uint32_t kRamSection = 1;

void ram_section(BigWriter& out, StreamSection kind) {
    out.u8(static_cast<std::uint8_t>(kind));
    out.u32(kRamSection);
}
void footer(BigWriter& out) {
    out.u64(kRamEnd);
    out.u8(static_cast<std::uint8_t>(StreamSection::footer));
    out.u32(kRamSection);
}

// A machine without memory: everything it knows is in its device state.
Bytes first_state(const Bytes& state) {
    BigWriter out;
    out.u32(kStreamMagic);
    out.u32(kStreamVersion);
    out.u8(static_cast<std::uint8_t>(StreamSection::configuration));
    constexpr std::string_view kMachine = "none";
    out.u32(kMachine.size());
    out.bytes(as_bytes(kMachine));
    out.u8(static_cast<std::uint8_t>(StreamSection::command));
    out.u16(kCommandEnableColo);
    out.u16(0);
    ram_section(out, StreamSection::start);
    out.u8(3);
    out.bytes(as_bytes("ram"));
    out.u32(0);
    out.u32(kRamVersion);
    out.u64(kRamBlockList);
    footer(out);
    ram_section(out, StreamSection::end);
    footer(out);
    out.bytes(state);
    constexpr std::string_view kDescription = "{\"page_size\": 4096, \"devices\": []}";
    out.u8(static_cast<std::uint8_t>(StreamSection::description));
    out.u32(kDescription.size());
    out.bytes(as_bytes(kDescription));
    return out.take();
}

}  // namespace

std::uint64_t counter_of(ByteView device_state) {
    return load<ByteOrder::big, std::uint64_t>(device_state.data() + 1);
}

ProtectedGuest::ProtectedGuest(World& world, Duration interval, Handlers handlers)
    : world_(world), interval_(interval), handlers_(std::move(handlers)) {}

Bytes ProtectedGuest::state() const {
    BigWriter out;
    out.u8(static_cast<std::uint8_t>(StreamSection::full));
    out.u64(counter_);
    out.u8(static_cast<std::uint8_t>(StreamSection::end_of_file));
    return out.take();
}

void ProtectedGuest::tick() {
    if (!alive_) return;
    if (runs_) handlers_.frame(++counter_);
    world_.after(world_.between(1ms, 4ms), lifeline_, [this] { tick(); });
}

void ProtectedGuest::migrate() {
    tell(Event::connected);
}

void ProtectedGuest::hears(ColoMessage message) {
    if (alive_ && !alone_) tell(colo::event_of(message));
}

void ProtectedGuest::go_alone() {
    alone_ = true;
    runs_ = alive_;
}

void ProtectedGuest::die() {
    alive_ = runs_ = false;
    lifeline_.reset();
}

void ProtectedGuest::checkpoint_due() {
    if (alive_ && !alone_) tell(Event::checkpoint_due);
}

void ProtectedGuest::send_word(ColoMessage message) {
    BigWriter out;
    out.u32(static_cast<std::uint32_t>(message));
    handlers_.stream(out.take());
}

// The primary's own work is done as soon as its table allows it.
void ProtectedGuest::tell(Event event) {
    const auto actions = machine_.tell(event);
    if (!actions) return;
    for (const Action action : *actions) {
        switch (action) {
            case Action::send_first_state:
                runs_ = false;
                handlers_.stream(first_state(state()));
                tell(Event::first_state_whole);
                break;
            case Action::send_request: send_word(ColoMessage::checkpoint_request); break;
            case Action::suspend_vm:
                runs_ = false;
                tell(Event::suspended);
                break;
            case Action::send_state: {
                send_word(ColoMessage::vmstate_send);
                BigWriter out;
                ram_section(out, StreamSection::end);
                footer(out);
                out.u8(static_cast<std::uint8_t>(StreamSection::end_of_file));
                const Bytes now = state();
                out.u32(static_cast<std::uint32_t>(ColoMessage::vmstate_size));
                out.u64(now.size());
                out.bytes(now);
                handlers_.stream(out.take());
                tell(Event::state_whole);
                break;
            }
            case Action::resume_vm:
                runs_ = true;
                tell(Event::resumed);
                world_.after(interval_, lifeline_, [this] { checkpoint_due(); });
                break;
            default: break;
        }
    }
}

}  // namespace segue::sim
