// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/client/devices/stream_channel.h"

#include "spice/codec/lz4_codec.h"

namespace segue::spice::client {

namespace port = wire::port;
namespace vmc = wire::spicevmc;

wire::Capabilities StreamChannel::capabilities() const {
    return wire::Capabilities::of({vmc::Capability::data_compress_lz4});
}

Result<> StreamChannel::handle(const wire::IncomingMessage& message) {
    const bool is_port_message =
        message.number == port::Init::kFromServer || message.number == port::Event::kFromServer;
    if (is_port_message && is_port()) {
        return port::dispatch_from_server(message.number, message.body,
                                          [this](const auto& parsed) { return on(parsed); });
    }
    return vmc::dispatch_from_server(message.number, message.body,
                                     [this](const auto& parsed) { return on(parsed); });
}

void StreamChannel::on_server(const wire::Capabilities& server) {
    server_takes_lz4_ = server.has(vmc::Capability::data_compress_lz4);
}

void StreamChannel::on_up(const wire::Capabilities&) {
    is_up_ = true;
    listener_.on_stream_up(key(), true);
}

void StreamChannel::on_reset(ResetReason reason) {
    (void)reason;
    forget_queue();
    set_open(false);
    name_.clear();
    if (std::exchange(is_up_, false)) listener_.on_stream_up(key(), false);
}

Result<> StreamChannel::on(const vmc::Data& message) {
    listener_.on_stream_data(key(), message.data.contiguous().view());
    return {};
}

Result<> StreamChannel::on(const vmc::CompressedData& message) {
    const wire::SharedBytes data = message.data.contiguous();
    if (message.type != vmc::DataCompression::lz4) {
        listener_.on_stream_data(key(), data.view());
        return {};
    }
    Bytes plain(message.uncompressed_size);
    TRY(codec::lz4_decode_block(data.view(), plain));
    listener_.on_stream_data(key(), plain);
    return {};
}

Result<> StreamChannel::on(const port::Init& message) {
    name_ = message.name;
    open_ = message.opened;
    listener_.on_port(key(), name_, open_);
    return {};
}

Result<> StreamChannel::on(const port::Event& message) {
    switch (message.event) {
        case port::PortEvent::opened: set_open(true); break;
        case port::PortEvent::closed: set_open(false); break;
        case port::PortEvent::break_: listener_.on_port_break(key()); break;
        default: log_debug("spice", "{}: an event that is not known", text_of(key()));
    }
    return {};
}

void StreamChannel::set_open(bool open) {
    if (std::exchange(open_, open) != open) listener_.on_port(key(), name_, open);
}

void StreamChannel::give(ByteView data) {
    if (read_only_) return;
    while (!data.empty()) {
        const ByteView piece = data.first(std::min(data.size(), kPiece));
        data = data.subspan(piece.size());
        if (server_takes_lz4_ && piece.size() >= kMinCompressed) {
            Bytes small = codec::lz4_encode_block(piece);
            if (small.size() < piece.size()) {
                vmc::CompressedData message;
                message.type = vmc::DataCompression::lz4;
                message.uncompressed_size = static_cast<std::uint32_t>(piece.size());
                message.data.append(wire::SharedBytes::take(std::move(small)));
                say(message);
                continue;
            }
        }
        vmc::Data message;
        message.data.append(wire::SharedBytes::copy(piece));
        say(message);
    }
}

void StreamChannel::tell_open(bool open) {
    if (read_only_ || !is_port()) return;
    say(port::Event{open ? port::PortEvent::opened : port::PortEvent::closed});
}

void StreamChannel::send_break() {
    if (!read_only_ && is_port()) say(port::Event{port::PortEvent::break_});
}

}  // namespace segue::spice::client
