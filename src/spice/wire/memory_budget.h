// SPDX-License-Identifier: LGPL-2.1-or-later
// How much a peer may make us keep, all in all: messages that have come half, what waits, what is
// cached. Each keeper takes its part before it allocates. Safe from several threads.
//
//   auto budget = std::make_shared<MemoryBudget>(kMost);
//   Reservation room(budget);
//   if (!room.resize(bytes)) return fail(…);      // given back with `room`
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <utility>

namespace segue::spice::wire {

class MemoryBudget {
  public:
    explicit MemoryBudget(std::size_t most) : most_(most) {}

    // False: that is more than is left, and nothing was taken.
    bool take(std::size_t bytes) {
        std::size_t taken = taken_.load();
        do {
            if (bytes > most_ - taken) return false;
        } while (!taken_.compare_exchange_weak(taken, taken + bytes));
        return true;
    }
    void give_back(std::size_t bytes) { taken_ -= bytes; }

    std::size_t most() const { return most_; }
    std::size_t taken() const { return taken_; }

  private:
    const std::size_t most_;
    std::atomic<std::size_t> taken_ = 0;
};

// A part of a budget; without one there is no bound. Move-only.
class Reservation {
  public:
    Reservation() = default;
    explicit Reservation(std::shared_ptr<MemoryBudget> budget) : budget_(std::move(budget)) {}
    Reservation(Reservation&& other) noexcept
        : budget_(std::move(other.budget_)), bytes_(std::exchange(other.bytes_, 0)) {}
    Reservation& operator=(Reservation&& other) noexcept {
        std::swap(budget_, other.budget_);
        std::swap(bytes_, other.bytes_);
        return *this;
    }
    ~Reservation() { resize(0); }

    // False: that is more than is left, and nothing has changed.
    bool resize(std::size_t bytes) {
        if (budget_ && bytes > bytes_ && !budget_->take(bytes - bytes_)) return false;
        if (budget_ && bytes < bytes_) budget_->give_back(bytes_ - bytes);
        bytes_ = bytes;
        return true;
    }
    std::size_t bytes() const { return bytes_; }
    std::size_t most() const { return budget_ ? budget_->most() : 0; }

  private:
    std::shared_ptr<MemoryBudget> budget_;
    std::size_t bytes_ = 0;
};

}  // namespace segue::spice::wire
