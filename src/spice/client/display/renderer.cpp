// SPDX-License-Identifier: LGPL-2.1-or-later
// Surfaces, caches, heads and video; the drawing commands are in renderer_draw.cpp.
#include "spice/client/display/renderer.h"

#include "spice/client/display/convert.h"

namespace segue::spice::client {

namespace display = wire::display;
using wire::has;

namespace {

Result<canvas::Format> format_of(display::SurfaceFormat format) {
    switch (format) {
        case display::SurfaceFormat::a1: return canvas::Format::a1;
        case display::SurfaceFormat::a8: return canvas::Format::a8;
        case display::SurfaceFormat::rgb16_555: return canvas::Format::rgb555;
        case display::SurfaceFormat::rgb16_565: return canvas::Format::rgb565;
        case display::SurfaceFormat::xrgb32: return canvas::Format::xrgb32;
        case display::SurfaceFormat::argb32: return canvas::Format::argb32;
        case display::SurfaceFormat::invalid: break;
    }
    return fail(ErrorCode::protocol, "a surface without a format");
}

}  // namespace

Result<> Renderer::handle(std::uint16_t number, const wire::SharedBytes& body) {
    ++commands_;
    return display::dispatch_from_server(number, body,
                                         [this](const auto& message) { return on(message); });
}

void Renderer::reset(bool keep_picture) {
    surfaces_.clear(keep_picture);
    images_.forget_palettes();
    images_.drop_spare();
    streams_.clear();
}

Result<> Renderer::on(const display::Mode& mode) {
    surfaces_.clear(false);
    const canvas::Format format = mode.bits == 16 ? canvas::Format::rgb555 : canvas::Format::xrgb32;
    return surfaces_.create(0, format, mode.width, mode.height, true);
}

Result<> Renderer::on(const display::Mark&) {
    return {};
}

Result<> Renderer::on(const display::Reset&) {
    surfaces_.clear(false);
    return {};
}

Result<> Renderer::on(const display::SurfaceCreate& message) {
    const canvas::Format format = TRY(format_of(message.format));
    return surfaces_.create(message.surface_id, format, message.width, message.height,
                            has(message.flags, display::SurfaceFlags::primary));
}

Result<> Renderer::on(const display::SurfaceDestroy& message) {
    // The next one may be much smaller.
    if (surfaces_.is_primary(message.surface_id)) images_.drop_spare();
    return surfaces_.destroy(message.surface_id);
}

Result<> Renderer::on(const display::InvalList& message) {
    for (const display::ResourceId& resource : message.resources) {
        if (resource.type == display::ResourceType::pixmap) shared_.images.erase(resource.id);
    }
    return {};
}

// The channel has waited already for the other displays that the message names.
Result<> Renderer::on(const display::InvalAllPixmaps&) {
    shared_.images.clear();
    return {};
}

Result<> Renderer::on(const display::InvalPalette& message) {
    images_.forget_palette(message.id);
    return {};
}

Result<> Renderer::on(const display::InvalAllPalettes&) {
    images_.forget_palettes();
    return {};
}

Result<> Renderer::on(const display::MonitorsConfig& message) {
    heads_ = message.heads;
    heads_changed_ = true;
    return {};
}

Result<> Renderer::on(const display::StreamCreate& message) {
    if (message.codec != display::VideoCodec::mjpeg) {
        return fail(ErrorCode::no_support, "stream {} has codec {}: only MJPEG was offered",
                    message.id, static_cast<int>(message.codec));
    }
    Stream stream;
    stream.surface_id = message.surface_id;
    stream.codec = message.codec;
    stream.top_down = has(message.flags, display::StreamFlags::top_down);
    stream.width = message.stream_width;
    stream.height = message.stream_height;
    stream.destination = to_canvas(message.destination);
    stream.clipped = message.clip.type == display::ClipType::rects;
    stream.clip = to_canvas(message.clip.rects);
    return streams_.create(message.id, std::move(stream));
}

Result<> Renderer::on(const display::StreamClip& message) {
    Stream* stream = TRY(streams_.find(message.id));
    stream->clipped = message.clip.type == display::ClipType::rects;
    stream->clip = to_canvas(message.clip.rects);
    return {};
}

Result<> Renderer::on(const display::StreamDestroy& message) {
    return streams_.destroy(message.id);
}

Result<> Renderer::on(const display::StreamDestroyAll&) {
    streams_.clear();
    return {};
}

Result<> Renderer::on(const display::StreamData& message) {
    Stream* stream = TRY(streams_.find(message.id));
    const wire::SharedBytes bytes = message.data.contiguous();
    return show_frame(*stream, bytes.view(), stream->destination);
}

Result<> Renderer::on(const display::StreamDataSized& message) {
    Stream* stream = TRY(streams_.find(message.id));
    const wire::SharedBytes bytes = message.data.contiguous();
    return show_frame(*stream, bytes.view(), to_canvas(message.destination));
}

Result<> Renderer::on(const display::StreamActivateReport&) {
    return {};
}

Result<> Renderer::on(const display::GlScanoutUnix&) {
    return fail(ErrorCode::no_support, "GL scan-out was not offered");
}

Result<> Renderer::on(const display::GlDraw&) {
    return fail(ErrorCode::no_support, "GL drawing was not offered");
}

Result<> Renderer::on(const display::QualityIndicator&) {
    return {};
}

}  // namespace segue::spice::client
