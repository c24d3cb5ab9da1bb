// SPDX-License-Identifier: LGPL-2.1-or-later
// Videos of a display channel: found among what is drawn, sent as JPEG frames, ended when they
// stand still; their area is then made exact like all that is lossy.
#include "base/log.h"
#include "spice/codec/jpeg_codec.h"
#include "spice/server/display/client/display_channel.h"
#include "spice/server/display/client/draw_base.h"
#include "spice/server/display/encode/photo.h"

namespace segue::spice::server {
namespace {

namespace display = wire::display;

// A client shows a few videos at a time; more are pictures like others.
constexpr std::size_t kMostStreams = 8;
// Without a new frame for so long the video is over.
constexpr Duration kStreamIdle = 1s;
// Reports come each so many frames or after so long, as stock asks for them.
constexpr std::uint32_t kReportFrames = 5;
constexpr std::uint32_t kReportTimeout_ms = 1000;
constexpr std::uint32_t kNothingShown = 0xffffffff;

bool has_frames(const Surface& surface) {
    return surface.image.format() == canvas::Format::xrgb32 ||
           surface.image.format() == canvas::Format::argb32;
}

codec::PictureView view_of(const Surface& surface, const canvas::Rect& area) {
    const PendingDrawings::Place place = surface.at(area);
    codec::PictureView view;
    view.format = codec::PixelFormat::bgrx32;
    view.width = static_cast<std::uint32_t>(area.width());
    view.height = static_cast<std::uint32_t>(area.height());
    view.rows = place.image->line(place.rect.top) + std::ptrdiff_t{place.rect.left} * 4;
    view.stride = place.image->stride();
    return view;
}

// The clock that the main channel tells the client (its INIT and MULTI_MEDIA_TIME), but for what
// the client's is ahead.
std::uint32_t multi_media_time(Instant at) {
    return static_cast<std::uint32_t>(to_ms(at.since_start) & 0xffffffff);
}

}  // namespace

bool DisplayChannel::in_stream(std::uint32_t surface, const canvas::Region& region) const {
    for (const auto& [id, stream] : knowledge_.streams) {
        if (stream.surface == surface && region.intersects(stream.area)) return true;
    }
    return false;
}

void DisplayChannel::find_video(const Surface& surface, const canvas::Rect& rect) {
    if (options_.streaming == StreamVideo::off || !has_frames(surface)) return;
    const auto area =
        videos_.seen(surface.id, rect, clock_.now(), options_.streaming == StreamVideo::filter,
                     [&](const canvas::Rect& drawn) { return is_photo(view_of(surface, drawn)); });
    if (area) begin_stream(surface.id, canvas::intersection(*area, surface.image.bounds()));
}

void DisplayChannel::begin_stream(std::uint32_t surface, const canvas::Rect& area,
                                  const StreamRate::Pace& pace) {
    if (knowledge_.streams.size() >= kMostStreams || area.empty()) return;
    // Two that overlap would draw over each other at times that nobody can tell.
    if (in_stream(surface, canvas::Region(area))) return;
    std::uint32_t id = 0;
    while (knowledge_.streams.count(id) != 0)
        ++id;
    display::StreamCreate message;
    message.surface_id = surface;
    message.id = id;
    message.flags = display::StreamFlags::top_down;
    message.codec = display::VideoCodec::mjpeg;
    message.stream_width = static_cast<std::uint32_t>(area.width());
    message.stream_height = static_cast<std::uint32_t>(area.height());
    message.source_width = message.stream_width;
    message.source_height = message.stream_height;
    message.destination = wire_rect(area);
    message.clip.type = display::ClipType::none;
    send(message);
    const Instant now = clock_.now();
    Stream stream{StreamRate(now, pace), now, 0};
    if (setup().client_caps.has(display::Capability::stream_report)) {
        display::StreamActivateReport report;
        report.stream_id = id;
        report.unique_id = stream.report_id = ++stream_reports_;
        report.max_window_size = kReportFrames;
        report.timeout_ms = kReportTimeout_ms;
        send(report);
    }
    knowledge_.streams[id] = {surface, area, stream.rate.pace()};
    streams_.insert_or_assign(id, stream);
    tell_video_lead();
    log_info("spice", "{}: a video of {}x{} begins", name_of(key()), area.width(), area.height());
}

// For the state that goes to another server.
void DisplayChannel::note_paces() {
    for (const auto& [id, stream] : streams_)
        knowledge_.streams.at(id).pace = stream.rate.pace();
}

void DisplayChannel::end_streams(std::uint32_t surface) {
    videos_.forget(surface);
    for (auto known = knowledge_.streams.begin(); known != knowledge_.streams.end();) {
        if (known->second.surface != surface) {
            ++known;
            continue;
        }
        display::StreamDestroy message;
        message.id = known->first;
        send(message);
        streams_.erase(known->first);
        known = knowledge_.streams.erase(known);
    }
}

// What is stale in them goes as images then.
void DisplayChannel::end_videos() {
    for (const auto& [id, stream] : streams_) {
        display::StreamDestroy message;
        message.id = id;
        send(message);
        knowledge_.streams.erase(id);
    }
    streams_.clear();
}

void DisplayChannel::end_idle_streams() {
    for (auto stream = streams_.begin(); stream != streams_.end();) {
        if (clock_.now() - stream->second.last_frame < kStreamIdle || !can_send()) {
            ++stream;
            continue;
        }
        display::StreamDestroy message;
        message.id = stream->first;
        send(message);
        knowledge_.streams.erase(stream->first);
        stream = streams_.erase(stream);
    }
}

// What is stale in a stream waits there for the time of the next frame.
void DisplayChannel::send_frames(const Surface& surface, SurfaceKnowledge& known) {
    for (auto& [id, stream] : streams_) {
        const StreamKnowledge& video = knowledge_.streams.at(id);
        if (video.surface != surface.id || !known.stale.intersects(video.area)) continue;
        if (!stream.rate.may_send(can_send(), clock_.now())) continue;
        send_frame(id, stream, surface);
        known.sent(canvas::Region(video.area), true);
    }
}

void DisplayChannel::send_frame(std::uint32_t id, Stream& stream, const Surface& surface) {
    const Instant now = clock_.now();
    stream.rate.sent(now);
    stream.last_frame = now;
    Bytes frame;
    const codec::PictureView view = view_of(surface, knowledge_.streams.at(id).area);
    if (const Result<> done = codec::jpeg_encode(view, stream.rate.quality(), frame); !done) {
        log_error("spice", "{}: a frame is left out: {}", name_of(key()), done.error().message);
        return;
    }
    encode_time_ += clock_.now() - now;
    ++frames_;
    display::StreamData message;
    message.id = id;
    message.multi_media_time = multi_media_time(now + stream.rate.lead()) + caches_->media_offset();
    message.data = wire::SharedBytes::take(std::move(frame));
    send(message);
}

void DisplayChannel::stream_report(const display::StreamReport& report) {
    const auto found = streams_.find(report.stream_id);
    // Of a stream that has ended meanwhile.
    if (found == streams_.end() || found->second.report_id != report.unique_id) return;
    StreamRate::Report made;
    made.frames = report.frames;
    made.drops = report.drops == kNothingShown ? report.frames + 1 : report.drops;
    made.last_delay = std::chrono::milliseconds(report.last_frame_delay);
    found->second.rate.reported(made, clock_.now());
    tell_video_lead();
}

// Sound goes with the latest of them; behind the last one it stays as it is.
void DisplayChannel::tell_video_lead() {
    Duration lead{};
    for (const auto& [id, stream] : streams_)
        lead = std::max(lead, stream.rate.lead());
    if (lead == told_lead_ || streams_.empty()) return;
    told_lead_ = lead;
    if (on_video_lead) on_video_lead(lead);
}

}  // namespace segue::spice::server
