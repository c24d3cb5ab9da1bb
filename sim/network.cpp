// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sim/network.h"

#include <algorithm>

namespace segue::sim {
namespace {

std::pair<int, int> ordered(int one, int other) {
    return {std::min(one, other), std::max(one, other)};
}

// Mostly a local network; sometimes a packet is lost and sent again, rarely twice.
Duration message_delay(World& world) {
    if (world.chance(2)) return world.between(200ms, 3s);
    return world.between(50us, 4ms);
}

}  // namespace

void Connection::send(int end, Bytes bytes) {
    if (!open_) return;
    const int to = 1 - end;
    const Instant arrival = std::max(last_arrival_[to] + 1us, world_.now() + message_delay(world_));
    last_arrival_[to] = arrival;
    world_.after(arrival - world_.now(), [self = shared_from_this(), to, sent = std::move(bytes)] {
        if (self->told_[to] || self->lost_[to] || !self->handlers_[to].on_bytes) return;
        const auto heard = self->handlers_[to].on_bytes;
        heard(sent);
    });
}

void Connection::deliver_closed(int end, Duration delay) {
    const Instant arrival = std::max(last_arrival_[end] + 1us, world_.now() + delay);
    last_arrival_[end] = arrival;
    world_.after(arrival - world_.now(), [self = shared_from_this(), end] {
        if (self->told_[end]) return;
        self->told_[end] = true;
        const auto heard = self->handlers_[end].on_closed;
        self->handlers_[end] = {};
        if (heard) heard();
    });
}

void Connection::close(int end) {
    told_[end] = true;
    handlers_[end] = {};
    if (!open_) return;
    open_ = false;
    deliver_closed(1 - end, message_delay(world_));
}

void Connection::cut() {
    if (!open_) return;
    open_ = false;
    world_.trace("cut connection {} ({} - {})", id_, parties_[0], parties_[1]);
    for (int end : {0, 1}) {
        // What was on its way arrives still, or is lost.
        lost_[end] = world_.chance(50);
        if (lost_[end]) last_arrival_[end] = world_.now();
        deliver_closed(end, world_.between(1ms, 6s));
    }
}

std::shared_ptr<Connection> Network::connect(int from, int to) {
    if (!reachable(from, to)) return nullptr;
    auto connection = std::make_shared<Connection>(world_, next_id_++, std::array{from, to});
    all_.push_back(connection);
    return connection;
}

bool Network::reachable(int one, int other) const {
    return parted_.count(ordered(one, other)) == 0;
}

void Network::partition(int one, int other, Duration lasting) {
    world_.trace("partition {} - {} for {} ms", one, other, to_ms(lasting));
    const auto pair = ordered(one, other);
    parted_.insert(pair);
    for (const auto& weak : all_) {
        const auto each = weak.lock();
        if (each && ordered(each->party(0), each->party(1)) == pair) each->cut();
    }
    world_.after(lasting, [this, pair] { parted_.erase(parted_.find(pair)); });
}

std::shared_ptr<Connection> Network::any_open() {
    std::vector<std::shared_ptr<Connection>> open;
    for (const auto& weak : all_) {
        if (auto each = weak.lock(); each && each->open()) open.push_back(std::move(each));
    }
    return open.empty() ? nullptr : open[world_.random().below(open.size())];
}

}  // namespace segue::sim
