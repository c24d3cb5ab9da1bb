// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/stream/stream_device.h"

#include <spice/enums.h>

#include <algorithm>

#include "base/log.h"
#include "spice/server/stream/stream_channel.h"
#include "spice/wire/port.schema.h"

namespace segue::spice::server {
namespace {

constexpr std::size_t kRead = 64u << 10;
// A video that begins anew costs everybody a whole picture.
constexpr Duration kPause = 5s;

// Each frame can be shown without those before it.
bool has_whole_frames(const StreamFormat& format) {
    return format.codec == SPICE_VIDEO_CODEC_TYPE_MJPEG;
}

}  // namespace

StreamDevice::StreamDevice(std::unique_ptr<CharDevice> device, Loop& loop, Hooks hooks)
    : loop_(loop), hooks_(std::move(hooks)), buffer_(kRead), port_(std::move(device), loop, *this) {
    pause_ = loop_.make_timer([this] {
        pauses_ = false;
        if (std::exchange(wants_to_begin_anew_, false)) bring_back();
    });
    port_.device().set_connected(true);
}

StreamDevice::~StreamDevice() {
    *alive_ = false;
    for (StreamChannel* channel : channels_)
        channel->device_gone();
}

std::unique_ptr<Channel> StreamDevice::make_channel(const ChannelSetup& setup,
                                                    ChannelOutput& output) {
    if (setup.key.type == wire::ChannelType::display)
        return std::make_unique<StreamChannel>(setup, output, *this);
    auto cursor = std::make_unique<CursorChannel>(setup, output, cursor_,
                                                  [this, alive = alive_](CursorChannel& gone) {
                                                      if (*alive) std::erase(cursors_, &gone);
                                                  });
    cursors_.push_back(cursor.get());
    return cursor;
}

// --- The port -----------------------------------------------------------------------------------

// Opened or closed, everything begins anew.
void StreamDevice::port_event(std::uint8_t event) {
    using wire::port::PortEvent;
    const auto what = static_cast<PortEvent>(event);
    if (what != PortEvent::opened && what != PortEvent::closed) return;
    opened_ = what == PortEvent::opened;
    if (opened_ && !id_) {
        id_ = hooks_.find_id();
        if (id_) hooks_.on_first_open(*id_);
    }
    reader_.reset();
    broken_ = false;
    format_.reset();
    for (StreamChannel* channel : channels_)
        channel->end();
    const std::shared_ptr<bool> alive = alive_;
    if (opened_) say(stream_capabilities());
    if (*alive && !channels_.empty()) ask_to_start();
    // Also when it closes: an agent that comes back must be able to open it.
    if (*alive) port_.device().set_connected(true);
}

bool StreamDevice::somebody_takes() const {
    return channels_.empty() ||
           std::any_of(channels_.begin(), channels_.end(),
                       [](const StreamChannel* channel) { return channel->has_room(); });
}

// While every client is slow the guest's agent waits: it leaves out frames before it encodes them.
void StreamDevice::device_readable() {
    if (reading_ || !id_) return;
    reading_ = true;
    const std::shared_ptr<bool> alive = alive_;
    while (somebody_takes()) {
        const std::size_t size = port_.read(buffer_);
        // The device may take us away from inside any call to it.
        if (!*alive) return;
        if (size == 0) break;
        if (!broken_) take(ByteView(buffer_).first(size));
        if (!*alive) return;
    }
    reading_ = false;
}

void StreamDevice::take(ByteView bytes) {
    while (true) {
        Result<std::optional<StreamMessage>> message = reader_.feed(bytes);
        if (!message) return broken(message.error().message);
        if (reader_.begins_frame()) frame_time_ = hooks_.media_time();
        if (!*message) return;
        std::visit([this](auto& said) { perform(std::move(said)); }, **message);
    }
}

void StreamDevice::broken(const std::string& why) {
    log_warning("spice", "the guest's streaming agent is disconnected: {}", why);
    broken_ = true;
    // Not from inside the device's own call: QEMU does not expect to be closed there.
    loop_.post([this, alive = alive_] {
        if (*alive && opened_ && broken_) port_.device().set_connected(false);
    });
    say(stream_error(why));
}

void StreamDevice::say(Bytes message) {
    const Result<> done = port_.write(wire::SharedBytes::take(std::move(message)));
    if (!done) log_warning("spice", "{}", done.error().message);
}

// Any of these codecs will do: those that all clients decode.
void StreamDevice::ask_to_start() {
    if (!opened_) return;
    Bytes codecs;
    for (std::uint8_t codec = SPICE_VIDEO_CODEC_TYPE_MJPEG; codec < SPICE_VIDEO_CODEC_TYPE_ENUM_END;
         ++codec) {
        if (std::all_of(channels_.begin(), channels_.end(),
                        [&](const StreamChannel* channel) { return channel->decodes(codec); }))
            codecs.push_back(codec);
    }
    say(stream_start_stop(codecs));
}

// spice-streaming-agent begins with a format only when it was stopped before.
void StreamDevice::ask_to_begin_anew() {
    if (!opened_) return;
    if (std::exchange(pauses_, true)) {
        wants_to_begin_anew_ = true;
        return;
    }
    pause_->start(kPause);
    const std::shared_ptr<bool> alive = alive_;
    say(stream_start_stop({}));
    if (*alive) ask_to_start();
}

// Those who missed something, and can follow again.
void StreamDevice::bring_back() {
    if (!format_) return;
    bool needs_another_video = false;
    for (StreamChannel* channel : channels_) {
        if (!channel->is_behind() || !channel->has_room()) continue;
        if (has_whole_frames(*format_)) {
            channel->begin(*format_);
        } else {
            needs_another_video = true;
        }
    }
    if (needs_another_video) ask_to_begin_anew();
}

// --- What the agent says ------------------------------------------------------------------------

void StreamDevice::perform(StreamFormat format) {
    format_ = format;
    for (StreamChannel* channel : channels_) {
        if (channel->keeps_up()) {
            channel->begin(format);
        } else {
            channel->fall_behind();
        }
    }
}

void StreamDevice::perform(StreamFrame frame) {
    if (!format_) return;  // of before it was asked to start anew
    const wire::SharedBytes data = wire::SharedBytes::take(std::move(frame.data));
    for (StreamChannel* channel : channels_) {
        if (!channel->keeps_up()) channel->fall_behind();
        if (!channel->is_behind()) channel->frame(data, frame_time_);
    }
}

void StreamDevice::perform(StreamOrigin origin) {
    if (origin.address.empty()) return;
    origin_ = std::move(origin);
    hooks_.on_origin();
}

void StreamDevice::perform(const CursorCommand& command) {
    cursor_->visible = command.visible;
    if (command.kind == CursorCommand::Kind::set) {
        cursor_->shape = command.shape;
    } else {
        cursor_->x = command.x;
        cursor_->y = command.y;
    }
    for (CursorChannel* channel : cursors_) {
        channel->changed(command);
        channel->pump();
    }
}

// --- Clients ------------------------------------------------------------------------------------

void StreamDevice::join(StreamChannel& channel) {
    channels_.push_back(&channel);
    if (!format_) return ask_to_start();
    channel.show(*format_);
    channel.fall_behind();
    bring_back();
}

void StreamDevice::room() {
    const std::shared_ptr<bool> alive = alive_;
    bring_back();
    if (*alive) device_readable();
}

void StreamDevice::leave(StreamChannel& channel) {
    std::erase(channels_, &channel);
    const std::shared_ptr<bool> alive = alive_;
    if (channels_.empty()) {
        format_.reset();
        if (opened_) say(stream_start_stop({}));
    }
    if (*alive) port_.wakeup();  // whoever was slow may be gone
}

}  // namespace segue::spice::server
