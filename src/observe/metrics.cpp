// SPDX-License-Identifier: LGPL-2.1-or-later
#include "observe/metrics.h"

#include <fmt/format.h>

#include "base/check.h"

namespace segue {
namespace {

std::string escaped(std::string_view text) {
    std::string out;
    for (const char character : text) {
        if (character == '\\')
            out += "\\\\";
        else if (character == '"')
            out += "\\\"";
        else if (character == '\n')
            out += "\\n";
        else
            out += character;
    }
    return out;
}

// {domain="web1",side="source"}, or nothing.
std::string rendered(const MetricLabels& labels, std::string_view last = {}) {
    std::string out;
    for (const auto& label : labels) {
        if (!out.empty()) out += ',';
        out += fmt::format("{}=\"{}\"", label.first, escaped(label.second));
    }
    if (!last.empty()) {
        if (!out.empty()) out += ',';
        out += last;
    }
    return out.empty() ? out : "{" + out + "}";
}

}  // namespace

void Histogram::observe(Duration value) {
    const double seconds = std::chrono::duration<double>(value).count();
    for (std::size_t index = 0; index < std::size(kBounds); ++index) {
        if (seconds <= kBounds[index]) ++buckets_[index];
    }
    ++count_;
    sum_ += seconds;
}

Metrics::Series& Metrics::series(Kind kind, std::string_view name, std::string_view help,
                                 MetricLabels labels) {
    auto found = families_.try_emplace(std::string(name));
    Family& family = found.first->second;
    if (found.second) {
        family.kind = kind;
        family.help = help;
    }
    ENSURE(family.kind == kind);
    Series& series = family.series[rendered(labels)];
    series.labels = std::move(labels);
    return series;
}

std::uint64_t& Metrics::counter(std::string_view name, std::string_view help, MetricLabels labels) {
    return series(Kind::counter, name, help, std::move(labels)).counter;
}
double& Metrics::gauge(std::string_view name, std::string_view help, MetricLabels labels) {
    return series(Kind::gauge, name, help, std::move(labels)).gauge;
}
Histogram& Metrics::histogram(std::string_view name, std::string_view help, MetricLabels labels) {
    return series(Kind::histogram, name, help, std::move(labels)).histogram;
}

void Metrics::forget(std::string_view label, std::string_view value) {
    for (auto& family : families_) {
        std::erase_if(family.second.series, [&](const auto& entry) {
            for (const auto& own : entry.second.labels) {
                if (own.first == label && own.second == value) return true;
            }
            return false;
        });
    }
}

void Metrics::append_histogram(std::string& out, const std::string& name, const Series& series) {
    for (std::size_t index = 0; index < std::size(Histogram::kBounds); ++index) {
        const std::string bound = fmt::format("le=\"{}\"", Histogram::kBounds[index]);
        out += fmt::format("{}_bucket{} {}\n", name, rendered(series.labels, bound),
                           series.histogram.buckets_[index]);
    }
    out += fmt::format("{}_bucket{} {}\n", name, rendered(series.labels, "le=\"+Inf\""),
                       series.histogram.count_);
    out += fmt::format("{}_sum{} {}\n", name, rendered(series.labels), series.histogram.sum_);
    out += fmt::format("{}_count{} {}\n", name, rendered(series.labels), series.histogram.count_);
}

std::string Metrics::text() const {
    if (measure_) measure_();
    static constexpr const char* kKinds[] = {"counter", "gauge", "histogram"};
    std::string out;
    for (const auto& entry : families_) {
        const std::string& name = entry.first;
        const Family& family = entry.second;
        if (family.series.empty()) continue;
        out += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, family.help, name,
                           kKinds[static_cast<int>(family.kind)]);
        for (const auto& one : family.series) {
            const Series& series = one.second;
            switch (family.kind) {
                case Kind::counter:
                    out += fmt::format("{}{} {}\n", name, one.first, series.counter);
                    break;
                case Kind::gauge:
                    out += fmt::format("{}{} {}\n", name, one.first, series.gauge);
                    break;
                case Kind::histogram: append_histogram(out, name, series); break;
            }
        }
    }
    return out;
}

}  // namespace segue
