// SPDX-License-Identifier: LGPL-2.1-or-later
// A witness and the ways to it, with the real lease table and clients: datagrams are lost, late and
// cut off, and every party's clock is as wrong as it may be.
#pragma once

#include <functional>

#include "protect/lease.h"
#include "protect/witness_message.h"
#include "sim/world.h"

namespace segue::sim {

class SimWitness {
  public:
    using Side = LeaseTable::Side;

    explicit SimWitness(World& world) : world_(world), error_(clock_error(world)) {
        (void)table_.open(id_, LeaseTable::Holder::shared, clock());
    }

    // A rate error of at most one part in 64, in parts of 4096.
    static std::int64_t clock_error(World& world) {
        return static_cast<std::int64_t>(world.random().below(127)) - 63;
    }
    static Instant clock_of(Instant now, std::int64_t error) {
        return {now.since_start + now.since_start / 4096 * error};
    }

    const LeaseId& id() const { return id_; }
    void die() { alive_ = false; }
    void cut(Side side) { cut_[index(side)] = true; }
    // A daemon in place of its dead agent.
    bool grants(Side side) {
        if (!alive_ || cut_[index(side)]) return false;
        const auto ruling = table_.claim(id_, side, clock());
        return ruling && ruling->verdict == LeaseTable::Verdict::granted;
    }
    // `answered` gets the datagram that comes back, if one does.
    void ask(Side side, const Bytes& question, std::function<void(Bytes)> answered) {
        if (cut_[index(side)] || world_.chance(5)) return;
        world_.after(world_.between(0ms, 30ms), [this, side, question, answered] {
            if (!alive_ || cut_[index(side)]) return;
            const auto read = read_witness_question(question);
            if (!read) return;
            const auto ruling = table_.ask(read->id, read->side, read->wish, read->number, clock());
            if (!ruling || world_.chance(5)) return;
            world_.trace("witness: {} to {}", protect::witness::name_of(ruling->verdict),
                         protect::witness::name_of(read->side));
            const Bytes answer = witness_answer(read->id, ruling->verdict, read->number);
            world_.after(world_.between(0ms, 30ms), [this, side, answer, answered] {
                if (!cut_[index(side)]) answered(answer);
            });
        });
    }

  private:
    static std::size_t index(Side side) { return side == Side::primary ? 0 : 1; }
    Instant clock() const { return clock_of(world_.now(), error_); }

    World& world_;
    std::int64_t error_;
    LeaseTable table_;
    LeaseId id_{1};
    bool alive_ = true;
    bool cut_[2] = {false, false};
};

// One side's line to it.
class SimWitnessLine {
  public:
    SimWitnessLine(World& world, SimWitness& witness, LeaseTable::Side side)
        : world_(world),
          witness_(witness),
          side_(side),
          error_(SimWitness::clock_error(world)),
          client_(side, 1) {
        tick();
    }
    std::function<void(LeaseClient::Claim)> settled;
    std::function<void()> renewed;
    // Nothing is asked or heard until then.
    void sleep_until(Instant when) { wakes_at_ = when; }

    void claim() {
        client_.claim();
        ask();
    }
    void rest() { lifeline_.reset(); }
    bool may_release() const { return client_.may_release(clock()); }

  private:
    Instant clock() const { return SimWitness::clock_of(world_.now(), error_); }
    void tick() {
        ask();
        world_.after(client_.terms().renew_every, lifeline_, [this] { tick(); });
    }
    void ask() {
        if (world_.now() < wakes_at_) return;
        const auto question = client_.ask(clock());
        if (!question) return;
        witness_.ask(side_, witness_question(witness_.id(), side_, *question),
                     [this, alive = std::weak_ptr<const int>(lifeline_)](const Bytes& bytes) {
                         if (!alive.expired() && world_.now() >= wakes_at_) answered(bytes);
                     });
    }
    void answered(const Bytes& bytes) {
        const auto answer = read_witness_answer(bytes);
        if (!answer) return;
        if (client_.answered(answer->number, answer->verdict)) return settled(client_.state());
        if (renewed && may_release()) renewed();
    }

    World& world_;
    SimWitness& witness_;
    LeaseTable::Side side_;
    std::int64_t error_;
    LeaseClient client_;
    Instant wakes_at_{};
    Lifeline lifeline_ = make_lifeline();
};

}  // namespace segue::sim
