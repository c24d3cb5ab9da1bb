// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/stream/stream_channel.h"

#include "spice/server/stream/stream_device.h"

namespace segue::spice::server {
namespace {

namespace display = wire::display;

// Reports come each so many frames or after so long. They are read and not used: the guest's agent
// has no ear for them.
constexpr std::uint32_t kReportFrames = 5;
constexpr std::uint32_t kReportTimeout_ms = 1000;

wire::Rect whole(std::uint32_t width, std::uint32_t height) {
    wire::Rect rect;
    rect.right = static_cast<std::int32_t>(width);
    rect.bottom = static_cast<std::int32_t>(height);
    return rect;
}

}  // namespace

struct StreamChannel::Handler {
    Result<> operator()(const display::Init&) { return {}; }
    Result<> operator()(const display::StreamReport&) { return {}; }
    Result<> operator()(const display::PreferredCompression&) { return {}; }
    Result<> operator()(const display::PreferredVideoCodecType&) { return {}; }
    Result<> operator()(const display::GlDrawDone&) {
        return fail(ErrorCode::protocol, "display: a scanout is done that was never sent");
    }
};

StreamChannel::~StreamChannel() {
    if (device_ != nullptr) device_->leave(*this);
}

// Nothing of it moves with its machine: the guest's agent is asked to begin anew.
void StreamChannel::start() {
    stop_waiting();
    use_ack_window();
    send(display::InvalAllPalettes{});
    if (device_ != nullptr) device_->join(*this);
}

void StreamChannel::on_room() {
    if (device_ != nullptr) device_->room();
}

Result<> StreamChannel::handle(std::uint16_t number, const wire::SharedBytes& body) {
    return display::dispatch_from_client(number, body, Handler{});
}

bool StreamChannel::decodes(std::uint8_t codec) const {
    using Codec = display::VideoCodec;
    using Capability = display::Capability;
    const wire::Capabilities& caps = setup().client_caps;
    switch (static_cast<Codec>(codec)) {
        case Codec::mjpeg: return true;  // every client does
        case Codec::vp8: return caps.has(Capability::codec_vp8);
        case Codec::h264: return caps.has(Capability::codec_h264);
        case Codec::vp9: return caps.has(Capability::codec_vp9);
        case Codec::h265: return caps.has(Capability::codec_h265);
    }
    return false;
}

// --- What the client sees -----------------------------------------------------------------------

void StreamChannel::show(const StreamFormat& format) {
    if (width_ == format.width && height_ == format.height) return;
    end();
    width_ = format.width;
    height_ = format.height;
    display::SurfaceCreate surface;
    surface.width = width_;
    surface.height = height_;
    surface.format = display::SurfaceFormat::xrgb32;
    surface.flags = display::SurfaceFlags::primary;
    if (setup().client_caps.has(display::Capability::multi_codec))
        surface.flags = surface.flags | display::SurfaceFlags::streaming_mode;
    send(surface);
    if (setup().client_caps.has(display::Capability::monitors_config)) {
        display::MonitorsConfig monitors;
        monitors.max_allowed = 1;
        display::Head head;
        head.width = width_;
        head.height = height_;
        monitors.heads.push_back(head);
        send(monitors);
    }
    display::DrawFill black;
    black.base.box = whole(width_, height_);
    black.base.clip.type = display::ClipType::none;
    black.brush.type = display::BrushType::solid;
    black.rop = display::Ropd::op_put;
    send(black);
    send(display::Mark{});
}

void StreamChannel::begin(const StreamFormat& format) {
    behind_ = false;
    end_stream();
    show(format);
    stream_id_ = (stream_id_ + 1) % (display::kStreamId + 1);
    streams_ = true;
    display::StreamCreate stream;
    stream.id = stream_id_;
    stream.flags = display::StreamFlags::top_down;
    stream.codec = static_cast<display::VideoCodec>(format.codec);
    stream.stream_width = stream.source_width = width_;
    stream.stream_height = stream.source_height = height_;
    stream.destination = whole(width_, height_);
    stream.clip.type = display::ClipType::none;
    send(stream);
    if (!setup().client_caps.has(display::Capability::stream_report)) return;
    display::StreamActivateReport report;
    report.stream_id = stream_id_;
    report.unique_id = ++reports_;
    report.max_window_size = kReportFrames;
    report.timeout_ms = kReportTimeout_ms;
    send(report);
}

void StreamChannel::frame(const wire::SharedBytes& data, std::uint32_t media_time) {
    if (!streams_) return;
    display::StreamData message;
    message.id = stream_id_;
    message.multi_media_time = media_time;
    message.data = data;
    send(message);
}

void StreamChannel::end_stream() {
    if (!std::exchange(streams_, false)) return;
    display::StreamDestroy message;
    message.id = stream_id_;
    send(message);
}

void StreamChannel::end() {
    behind_ = false;
    end_stream();
    if (std::exchange(width_, 0) == 0) return;
    height_ = 0;
    send(display::SurfaceDestroy{});
}

void StreamChannel::before_migrate() {
    end_stream();
}

}  // namespace segue::spice::server
