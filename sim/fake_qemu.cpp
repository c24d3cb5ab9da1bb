// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sim/fake_qemu.h"

#include <algorithm>

namespace segue::sim {

FakeQemu& Machines::start(int host, int domain, const std::string& incarnation, bool incoming) {
    FakeQemu& qemu = all_[incarnation];
    qemu.incarnation = incarnation;
    qemu.domain = domain;
    qemu.host = host;
    qemu.incoming = incoming;
    qemu.alive = true;
    world_.trace("qemu {} starts on host {}", incarnation, host);
    return qemu;
}

FakeQemu* Machines::find(const std::string& incarnation) {
    const auto found = all_.find(incarnation);
    return found == all_.end() || !found->second.alive ? nullptr : &found->second;
}

// From QEMU to its daemon: by the monitor, so never at once.
void Machines::tell(FakeQemu& qemu, QemuEvent event) {
    if (!qemu.listener) return;
    world_.after(world_.between(20us, 500us), [heard = qemu.listener, event] { heard(event); });
}

void Machines::stop_ticking(FakeQemu& qemu) {
    if (!qemu.running) return;
    qemu.ticks += static_cast<std::uint64_t>((world_.now() - qemu.ticking_since).count()) + 1;
    newest_[qemu.domain] = std::max(newest_[qemu.domain], qemu.ticks);
    qemu.running = false;
}

void Machines::kill(FakeQemu& qemu) {
    if (!qemu.alive) return;
    world_.trace("qemu {} is killed", qemu.incarnation);
    stop_ticking(qemu);
    qemu.alive = false;
    tell(qemu, QemuEvent::exited);
}

void Machines::crash(FakeQemu& qemu) {
    if (!qemu.alive) return;
    world_.trace("qemu {} dies", qemu.incarnation);
    stop_ticking(qemu);
    qemu.alive = false;
    tell(qemu, QemuEvent::exited);
}

bool Machines::resume(FakeQemu& qemu) {
    if (!qemu.alive || (qemu.incoming && !qemu.loaded)) return false;
    if (qemu.running) return true;
    if (qemu.ticks < newest_[qemu.domain]) went_back_ = true;
    world_.trace("qemu {} runs", qemu.incarnation);
    qemu.running = true;
    qemu.ever_ran = true;
    qemu.ticking_since = world_.now();
    return true;
}

void Machines::suspend(FakeQemu& qemu) {
    stop_ticking(qemu);
}

void Machines::migrate(FakeQemu& source, const std::string& to) {
    source.transfer = FakeQemu::Transfer::active;
    source.peer = to;
    const std::uint64_t number = ++source.transfer_number;
    world_.after(world_.between(5ms, 1500ms),
                 [this, from = source.incarnation, number] { switch_over(from, number); });
}

FakeQemu* Machines::sending(const std::string& from, std::uint64_t number) {
    FakeQemu* source = find(from);
    const bool still = source != nullptr && source->transfer_number == number &&
                       source->transfer == FakeQemu::Transfer::active;
    return still ? source : nullptr;
}

void Machines::fail_transfer(FakeQemu& source) {
    source.transfer = FakeQemu::Transfer::failed;
    // QEMU gives the guest back its run state when a migration fails before it is complete.
    if (source.ran_before_switchover) resume(source);
    source.ran_before_switchover = false;
    tell(source, QemuEvent::failed);
}

void Machines::switch_over(const std::string& from, std::uint64_t number) {
    FakeQemu* source = sending(from, number);
    if (source == nullptr) return;
    FakeQemu* destination = find(source->peer);
    if (destination == nullptr || !network_.reachable(source->host, destination->host)) {
        fail_transfer(*source);
        return;
    }
    source->ran_before_switchover = source->running;
    stop_ticking(*source);
    world_.after(world_.between(1ms, 40ms), [this, from, number] { finish(from, number); });
}

void Machines::finish(const std::string& from, std::uint64_t number) {
    FakeQemu* source = sending(from, number);
    if (source == nullptr) return;
    FakeQemu* destination = find(source->peer);
    // The source is done when its last byte is in the socket: the destination may still fail.
    const bool into_the_void = world_.chance(3);
    if (!into_the_void &&
        (destination == nullptr || !network_.reachable(source->host, destination->host))) {
        fail_transfer(*source);
        return;
    }
    source->transfer = FakeQemu::Transfer::completed;
    tell(*source, QemuEvent::completed);
    if (destination == nullptr) return;
    const bool loads = !into_the_void && !world_.chance(2);
    const std::uint64_t ticks = source->ticks;
    world_.after(world_.between(100us, 30ms), [this, to = source->peer, loads, ticks] {
        FakeQemu* waiting = find(to);
        if (waiting == nullptr) return;
        waiting->loaded = loads;
        waiting->ticks = ticks;
        tell(*waiting, loads ? QemuEvent::loaded : QemuEvent::load_failed);
    });
}

void Machines::cancel(FakeQemu& source) {
    using Transfer = FakeQemu::Transfer;
    if (source.transfer == Transfer::active) {
        source.transfer = Transfer::cancelled;
        if (source.ran_before_switchover) resume(source);
        source.ran_before_switchover = false;
    }
    // As query-migrate would tell.
    const QemuEvent answer = source.transfer == Transfer::completed ? QemuEvent::completed
                             : source.transfer == Transfer::failed  ? QemuEvent::failed
                                                                    : QemuEvent::cancelled;
    tell(source, answer);
}

int Machines::running_copies(int domain) const {
    int copies = 0;
    for (const auto& [name, qemu] : all_) {
        if (qemu.domain == domain && qemu.alive && qemu.running) ++copies;
    }
    return copies;
}

}  // namespace segue::sim
