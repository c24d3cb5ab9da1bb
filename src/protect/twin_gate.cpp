// SPDX-License-Identifier: LGPL-2.1-or-later
#include "protect/twin_gate.h"

#include <algorithm>
#include <utility>

namespace segue {
namespace {

bool equal(ByteView a, ByteView b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

}  // namespace

void TwinGate::append(Frames& frames, ByteView frame) {
    const Bytes whole = framed(frame);
    frames.bytes.insert(frames.bytes.end(), whole.begin(), whole.end());
    frames.count += whole.empty() ? 0 : 1;
}

void TwinGate::begin(Instant now) {
    end();
    comparing_ = true;
    begun_ = now;
    for (auto& [number, held] : held_) {
        held.since = now;
        flows_[held.flow].primary.push_back(number);
    }
    for (auto& [key, flow] : flows_)
        feed(key, flow);
}

void TwinGate::end() {
    comparing_ = false;
    flows_.clear();
    ahead_.clear();
    ahead_bytes_ = 0;
    suspected_.reset();
    // What the shadow has said already may leave all the same.
    output_.primary_in = output_.shadow_in = {};
    for (auto& entry : held_)
        entry.second.fed = entry.second.passed = false;
}

void TwinGate::primary_sent(const Frames& frames, Instant now) {
    BigReader in(frames.bytes);
    while (in.remaining() > 0) {
        const ByteView frame = in.bytes(in.u32());
        const FlowKey key = parse_frame(frame).flow;
        const std::uint64_t number = next_++;
        held_.emplace(number, Held{Bytes(frame.begin(), frame.end()), now, key, false, false});
        held_bytes_ += frame.size();
        if (!comparing_) continue;
        Flow& flow = flows_[key];
        flow.primary.push_back(number);
        feed(key, flow);
    }
}

// colo-compare takes the newest packet of a flow first, unless it is TCP: one at a time then.
void TwinGate::feed(const FlowKey& key, Flow& flow) {
    if (key.kind == FlowKey::kRaw) return match_raw(flow);
    constexpr std::uint16_t kTcp = 6;
    for (const std::uint64_t number : flow.primary) {
        Held& held = held_.at(number);
        if (!std::exchange(held.fed, true)) append(output_.primary_in, held.frame);
        if (key.kind != kTcp) return;
    }
}

void TwinGate::shadow_sent(const Frames& frames) {
    if (!comparing_) return;
    BigReader in(frames.bytes);
    while (in.remaining() > 0) {
        const ByteView frame = in.bytes(in.u32());
        if (ahead_bytes_ + frame.size() > kMaxAhead) {
            dropped_ += 1;
            continue;
        }
        const IpPacket packet = parse_frame(frame);
        Flow& flow = flows_[packet.flow];
        const std::uint64_t number = next_++;
        ahead_.emplace(number, Bytes(frame.begin(), frame.end()));
        ahead_bytes_ += frame.size();
        flow.shadow.push_back(number);
        if (packet.is_raw()) {
            match_raw(flow);
            continue;
        }
        append(output_.shadow_in, frame);
        if (!packet.is_tcp()) continue;
        if (packet.has_ack && (!flow.ack || is_after(packet.ack, *flow.ack))) flow.ack = packet.ack;
        if (!flow.end || is_after(packet.end, *flow.end)) flow.end = packet.end;
        if (packet.is_syn) flow.syn = packet.begin;
        if (packet.is_fin) flow.fin = packet.end;
        flow.is_reset = flow.is_reset || packet.is_reset;
        match_tcp(flow);
    }
}

void TwinGate::passed(ByteView frame) {
    if (!comparing_) return;
    const IpPacket packet = parse_frame(frame);
    const auto found = flows_.find(packet.flow);
    if (packet.is_raw() || found == flows_.end()) return;
    Flow& flow = found->second;
    const auto place =
        std::find_if(flow.primary.begin(), flow.primary.end(), [&](std::uint64_t number) {
            const Held& held = held_.at(number);
            return held.fed && !held.passed && equal(held.frame, frame);
        });
    // It was sealed into its epoch meanwhile.
    if (place == flow.primary.end()) return;
    held_.at(*place).passed = true;
    if (packet.is_tcp()) return match_tcp(flow);
    // Its word alone lets nothing out: the shadow must have said it.
    if (!take_equal(flow, packet)) return;
    let_out(flow, place);
    feed(packet.flow, flow);
}

bool TwinGate::take_equal(Flow& flow, const IpPacket& packet) {
    const auto same =
        std::find_if(flow.shadow.begin(), flow.shadow.end(), [&](std::uint64_t number) {
            return equal(parse_frame(ahead_.at(number)).body, packet.body);
        });
    if (same == flow.shadow.end()) return false;
    forget_ahead(*same);
    flow.shadow.erase(same);
    return true;
}

void TwinGate::match_raw(Flow& flow) {
    for (std::size_t at = 0; at < flow.primary.size();) {
        const auto place = flow.primary.begin() + static_cast<std::ptrdiff_t>(at);
        if (take_equal(flow, parse_frame(held_.at(*place).frame))) {
            let_out(flow, place);
        } else {
            ++at;
        }
    }
}

// What the shadow would have to say again, or to take back, if it went on alone.
bool TwinGate::shadow_knows(const Flow& flow, const IpPacket& packet) const {
    if (packet.is_reset && !flow.is_reset) return false;
    if (packet.is_syn && flow.syn != packet.begin) return false;
    if (packet.is_fin && flow.fin != packet.end) return false;
    if (packet.has_ack && (!flow.ack || is_after(packet.ack, *flow.ack))) return false;
    return flow.end && !is_after(packet.end, *flow.end);
}

void TwinGate::match_tcp(Flow& flow) {
    std::optional<std::uint32_t> left;
    while (!flow.primary.empty()) {
        const Held& held = held_.at(flow.primary.front());
        const IpPacket packet = parse_frame(held.frame);
        // Another connection, which no waiting makes the same.
        if (packet.is_syn && flow.syn && flow.syn != packet.begin) differs(held.since);
        if (!held.passed || !shadow_knows(flow, packet)) break;
        left = packet.end;
        let_out(flow, flow.primary.begin());
    }
    while (left && !flow.shadow.empty()) {
        const std::uint64_t number = flow.shadow.front();
        if (is_after(parse_frame(ahead_.at(number)).end, *left)) break;
        forget_ahead(number);
        flow.shadow.pop_front();
    }
}

void TwinGate::let_out(Flow& flow, std::deque<std::uint64_t>::iterator place) {
    const auto held = held_.find(*place);
    append(output_.leaves, held->second.frame);
    held_bytes_ -= held->second.frame.size();
    held_.erase(held);
    flow.primary.erase(place);
    suspected_.reset();
}

void TwinGate::forget_ahead(std::uint64_t number) {
    const auto found = ahead_.find(number);
    ahead_bytes_ -= found->second.size();
    ahead_.erase(found);
}

void TwinGate::differs(Instant now) {
    if (comparing_ && !suspected_) suspected_ = now;
}

TwinGate::Output TwinGate::take() {
    return std::exchange(output_, {});
}

std::optional<Instant> TwinGate::next_look() const {
    if (held_.empty()) return std::nullopt;
    Instant due = held_.begin()->second.since + kPatience;
    if (comparing_) due = std::max(due, begun_ + kWarming);
    return suspected_ ? std::min(due, *suspected_ + kGrace) : due;
}

bool TwinGate::wants_checkpoint(Instant now) const {
    const auto due = next_look();
    return due && now >= *due;
}

TwinGate::Frames TwinGate::end_epoch() {
    // What waits for the caller to take it has not left either.
    Frames out = std::exchange(output_.leaves, {});
    for (const auto& entry : held_)
        append(out, entry.second.frame);
    held_.clear();
    held_bytes_ = 0;
    suspected_.reset();
    for (auto& entry : flows_)
        entry.second.primary.clear();
    return out;
}

TwinGate::Frames TwinGate::take_over() {
    Frames out = std::exchange(output_.leaves, {});
    for (const auto& entry : ahead_)
        append(out, entry.second);
    held_.clear();
    held_bytes_ = 0;
    end();
    return out;
}

}  // namespace segue
