// SPDX-License-Identifier: LGPL-2.1-or-later
#include "protect/twin_gate.h"

#include <algorithm>
#include <utility>

namespace segue {
namespace {

bool equal(ByteView a, ByteView b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

std::size_t hash_of(ByteView frame) {
    return std::hash<std::string_view>()(as_text(frame));
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
        hold(held.flow, flows_[held.flow], number);
    }
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
        if (comparing_) hold(key, flows_[key], number);
    }
}

// colo-compare takes the newest packet of a flow first, unless it is TCP: one at a time then.
void TwinGate::hold(const FlowKey& key, Flow& flow, std::uint64_t number) {
    if (key.kind == FlowKey::kRaw) return match_raw(flow, number);
    constexpr std::uint16_t kTcp = 6;
    flow.primary.push_back(number);
    if (key.kind == kTcp || flow.primary.size() == 1) feed(number);
}

void TwinGate::feed(std::uint64_t number) {
    Held& held = held_.at(number);
    held.fed = true;
    append(output_.primary_in, held.frame);
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
        if (packet.is_raw()) {
            match_raw_shadow(flow, frame);
            continue;
        }
        flow.shadow.push_back(keep_ahead(frame));
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
    let_out(*place);
    flow.primary.erase(place);
    if (!flow.primary.empty() && !held_.at(flow.primary.front()).fed) feed(flow.primary.front());
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

// Two frames of one hash that differ wait for their epoch.
std::optional<std::uint64_t> TwinGate::take_oldest(ByContent& list, ByteView frame,
                                                   const FrameOf& frame_of) {
    const auto found = list.find(hash_of(frame));
    if (found == list.end()) return std::nullopt;
    const std::uint64_t number = found->second.front();
    if (!equal(frame_of(number), frame)) return std::nullopt;
    found->second.pop_front();
    if (found->second.empty()) list.erase(found);
    return number;
}

void TwinGate::match_raw(Flow& flow, std::uint64_t number) {
    const ByteView frame = held_.at(number).frame;
    const auto same = take_oldest(flow.raw_shadow, frame, [this](std::uint64_t candidate) {
        return ByteView(ahead_.at(candidate));
    });
    if (!same) return flow.raw_primary[hash_of(frame)].push_back(number);
    forget_ahead(*same);
    let_out(number);
}

void TwinGate::match_raw_shadow(Flow& flow, ByteView frame) {
    const auto same = take_oldest(flow.raw_primary, frame, [this](std::uint64_t candidate) {
        return ByteView(held_.at(candidate).frame);
    });
    if (!same) return flow.raw_shadow[hash_of(frame)].push_back(keep_ahead(frame));
    let_out(*same);
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
        let_out(flow.primary.front());
        flow.primary.pop_front();
    }
    while (left && !flow.shadow.empty()) {
        const std::uint64_t number = flow.shadow.front();
        if (is_after(parse_frame(ahead_.at(number)).end, *left)) break;
        forget_ahead(number);
        flow.shadow.pop_front();
    }
}

void TwinGate::let_out(std::uint64_t number) {
    const auto held = held_.find(number);
    append(output_.leaves, held->second.frame);
    held_bytes_ -= held->second.frame.size();
    held_.erase(held);
    suspected_.reset();
}

std::uint64_t TwinGate::keep_ahead(ByteView frame) {
    const std::uint64_t number = next_++;
    ahead_.emplace(number, Bytes(frame.begin(), frame.end()));
    ahead_bytes_ += frame.size();
    return number;
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
    if (flows_.size() > kMaxFlows) return true;
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
    for (auto& entry : flows_) {
        entry.second.primary.clear();
        entry.second.raw_primary.clear();
    }
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
