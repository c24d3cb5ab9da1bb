// SPDX-License-Identifier: LGPL-2.1-or-later
// Randomness as a seam: the system's for products, one seed for a simulation.
#pragma once

#include <cstdint>
#include <span>

namespace segue {

class Random {
  public:
    virtual ~Random() = default;
    virtual void fill(std::span<std::uint8_t> bytes) = 0;

    std::uint64_t next();
    // Uniform in [0, bound); bound must not be 0.
    std::uint64_t below(std::uint64_t bound);
};

// getrandom(2): good for keys and tokens.
class SystemRandom final : public Random {
  public:
    void fill(std::span<std::uint8_t> bytes) override;
};

// xoshiro256**: the same sequence for the same seed on every machine. Never for secrets.
class SeededRandom final : public Random {
  public:
    explicit SeededRandom(std::uint64_t seed);
    void fill(std::span<std::uint8_t> bytes) override;

  private:
    std::uint64_t step();
    std::uint64_t state_[4];
};

}  // namespace segue
