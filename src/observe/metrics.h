// SPDX-License-Identifier: LGPL-2.1-or-later
// Numbers that users wait for, each under one name: counters, gauges and histograms, and their
// Prometheus text (exposition format 0.0.4). One thread: the loop's. No I/O: a daemon serves
// text().
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"

namespace segue {

// {{"domain", "web1"}, {"side", "source"}}: kept in the order given.
using MetricLabels = std::vector<std::pair<std::string, std::string>>;

// Buckets in seconds, from 1 ms to 60 s: what a person waits for.
class Histogram {
  public:
    void observe(Duration value);
    std::uint64_t count() const { return count_; }

    static constexpr double kBounds[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                         0.25,  0.5,    1,     2.5,  5,     10,   60};

  private:
    friend class Metrics;
    std::uint64_t buckets_[std::size(kBounds)] = {};
    std::uint64_t count_ = 0;
    double sum_ = 0;
};

class Metrics {
  public:
    // Each returns a number that lives as long as this object; the same name and labels give the
    // same number. `help` is one line; the first one given for a name stands.
    std::uint64_t& counter(std::string_view name, std::string_view help, MetricLabels labels = {});
    double& gauge(std::string_view name, std::string_view help, MetricLabels labels = {});
    Histogram& histogram(std::string_view name, std::string_view help, MetricLabels labels = {});

    // Drops every series that carries this label: a domain that is gone has no numbers.
    void forget(std::string_view label, std::string_view value);

    // Sets what is only known when somebody asks (gauges), before each text(); outlived by its
    // owner.
    void measure_with(std::function<void()> measure) { measure_ = std::move(measure); }
    std::string text() const;

  private:
    enum class Kind { counter, gauge, histogram };
    struct Series {
        MetricLabels labels;
        std::uint64_t counter = 0;
        double gauge = 0;
        Histogram histogram;
    };
    struct Family {
        Kind kind = Kind::counter;
        std::string help;
        std::map<std::string, Series> series;  // by the rendered labels
    };
    Series& series(Kind kind, std::string_view name, std::string_view help, MetricLabels labels);
    static void append_histogram(std::string& out, const std::string& name, const Series& series);

    std::map<std::string, Family> families_;
    std::function<void()> measure_;
};

}  // namespace segue
