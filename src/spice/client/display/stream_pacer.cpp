// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/client/display/stream_pacer.h"

namespace segue::spice::client {

namespace {

// Media time is 32 bits of milliseconds and goes round.
std::int32_t ahead(std::uint32_t time, std::uint32_t now) {
    return static_cast<std::int32_t>(time - now);
}

}  // namespace

void StreamPacer::create(std::uint32_t stream) {
    destroy(stream);
    streams_[stream] = {};
}

void StreamPacer::destroy(std::uint32_t stream) {
    const auto found = streams_.find(stream);
    if (found == streams_.end()) return;
    while (!found->second.waiting.empty())
        take_first(found->second);
    streams_.erase(found);
}

void StreamPacer::clear() {
    streams_.clear();
    waiting_bytes_ = 0;
}

StreamPacer::Frame StreamPacer::take_first(Stream& stream) {
    Frame frame = std::move(stream.waiting.front().frame);
    stream.waiting.pop_front();
    waiting_bytes_ -= frame.body.size();
    return frame;
}

void StreamPacer::ask(const wire::display::StreamActivateReport& request) {
    const auto found = streams_.find(request.stream_id);
    if (found == streams_.end()) return;
    Report report;
    report.unique_id = request.unique_id;
    report.window = request.max_window_size;
    report.timeout = request.timeout_ms;
    found->second.report = report;
}

void StreamPacer::add(std::uint32_t stream, std::uint32_t frame_time, Frame frame,
                      std::uint32_t media_time, bool paced) {
    const auto found = streams_.find(stream);
    if (found == streams_.end()) return ready_.push_back(std::move(frame));
    const std::int32_t delay = ahead(frame_time, media_time);
    if (auto& report = found->second.report) {
        if (report->frames++ == 0) {
            report->started = media_time;
            report->first_time = frame_time;
        }
        report->last_time = frame_time;
        report->last_delay = delay;
    }
    auto& waiting = found->second.waiting;
    if (!paced || delay > kMaxAheadMs) {
        while (!waiting.empty())
            ready_.push_back(take_first(found->second));
        return ready_.push_back(std::move(frame));
    }
    waiting_bytes_ += frame.body.size();
    waiting.push_back({frame_time, std::move(frame)});
    if (waiting.size() > kMaxWaiting) ready_.push_back(take_first(found->second));
}

std::vector<StreamPacer::Frame> StreamPacer::take_due(std::uint32_t media_time, bool paced) {
    std::vector<Frame> due = std::exchange(ready_, {});
    for (auto& [id, stream] : streams_) {
        auto& waiting = stream.waiting;
        while (!waiting.empty() && (!paced || ahead(waiting.front().time, media_time) <= 0)) {
            const bool overtaken =
                paced && waiting.size() > 1 && ahead(waiting[1].time, media_time) <= 0;
            Frame frame = take_first(stream);
            if (!overtaken) {
                due.push_back(std::move(frame));
            } else if (stream.report) {
                ++stream.report->drops;
            }
        }
    }
    return due;
}

std::optional<std::uint32_t> StreamPacer::next_due_ms(std::uint32_t media_time) const {
    std::optional<std::int32_t> least;
    for (const auto& [id, stream] : streams_) {
        if (stream.waiting.empty()) continue;
        const std::int32_t left = std::max(ahead(stream.waiting.front().time, media_time), 0);
        if (!least || left < *least) least = left;
    }
    if (!least) return std::nullopt;
    return static_cast<std::uint32_t>(*least);
}

std::vector<wire::display::StreamReport> StreamPacer::take_reports(std::uint32_t media_time,
                                                                   std::uint32_t audio_delay) {
    std::vector<wire::display::StreamReport> reports;
    for (auto& [id, stream] : streams_) {
        if (!stream.report || stream.report->frames == 0) continue;
        Report& report = *stream.report;
        const bool over = report.frames >= report.window ||
                          ahead(media_time, report.started) >=
                              static_cast<std::int32_t>(std::min(report.timeout, 0x7fffffffu));
        if (!over) continue;
        reports.push_back({id, report.unique_id, report.first_time, report.last_time, report.frames,
                           report.drops, report.last_delay, audio_delay});
        report.frames = report.drops = 0;
    }
    return reports;
}

}  // namespace segue::spice::client
