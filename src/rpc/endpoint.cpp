// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rpc/endpoint.h"

#include "base/log.h"
#include "rpc/keepalive.schema.h"

namespace segue::rpc {
namespace {

// A peer that has so much to read would not see the answer to its question either.
constexpr std::size_t kMaxOutputForPong = 1u << 20;

}  // namespace

Endpoint::Endpoint(Loop& loop, std::unique_ptr<Link> link, Side side, KeepAliveRule keepalive)
    : loop_(loop),
      link_(std::move(link)),
      side_(side),
      keepalive_(
          loop, keepalive, [this] { send_keepalive(keepalive::Ping::kNumber); },
          [this](const std::string& reason) {
              close({ErrorCode::connection_lost, reason});
          }) {}

Endpoint::~Endpoint() {
    *alive_ = false;
}

void Endpoint::start(Handlers handlers) {
    handlers_ = std::move(handlers);
    Link::Handlers below;
    below.on_input = [this](ByteView bytes) { on_input(bytes); };
    below.on_closed = [this](const Error& reason) { close(reason); };
    below.on_drained = [this] { on_drained(); };
    link_->start(std::move(below));
}

void Endpoint::on_input(ByteView bytes) {
    keepalive_.heard();
    take_all(bytes);
}

// One portion of input may hold thousands of calls: a hold works from the very next one on.
void Endpoint::take_all(ByteView bytes) {
    framer_.feed(bytes);
    const auto alive = alive_;
    while (holds_ == 0) {
        Packet packet;
        const auto found = framer_.next(packet);
        if (!found) return close(found.error());
        if (*found == Framer::Found::nothing) break;
        const auto taken = take(packet);
        if (!*alive || closed_) return;
        if (!taken) return close(taken.error());
    }
    framer_.keep_rest();
}

Result<> Endpoint::take(const Packet& packet) {
    if (packet.header.program == keepalive::kProgram) {
        take_keepalive(packet.header);
        return {};
    }
    if (packet.header.type == MessageType::stream) {
        // One that is over already: its last packets crossed our end. Nobody waits for them.
        Stream* const stream = find_stream(packet.header.serial);
        if (stream != nullptr) stream->receive(packet.header.status, packet.payload);
        return {};
    }
    return handlers_.on_packet(packet);
}

void Endpoint::take_keepalive(const Header& header) {
    if (header.procedure != keepalive::Ping::kNumber) return;
    if (link_->output_waiting() < kMaxOutputForPong) send_keepalive(keepalive::Pong::kNumber);
}

void Endpoint::send_keepalive(std::int32_t procedure) {
    Header header;
    header.program = keepalive::kProgram;
    header.version = kProgramVersion;
    header.procedure = procedure;
    header.type = MessageType::message;
    send_packet(make_raw_packet(header, {}));
}

void Endpoint::send_packet(Bytes packet) {
    if (!closed_) link_->send(std::move(packet));
}

void Endpoint::send_with_descriptors(Bytes packet, std::vector<net::Descriptor> descriptors) {
    if (!closed_) link_->send_with_descriptors(std::move(packet), std::move(descriptors));
}

void Endpoint::hold_reading(bool hold) {
    holds_ += hold ? 1 : -1;
    if (closed_) return;
    link_->set_reading(holds_ == 0);
    keepalive_.set_listening(holds_ == 0);
    if (holds_ != 0 || std::exchange(resumes_, true)) return;
    // What was read before the hold began; through the loop, because a handler may be running.
    loop_.post([this, alive = alive_] {
        if (!*alive) return;
        resumes_ = false;
        if (!closed_ && holds_ == 0 && framer_.kept() != 0) take_all({});
    });
}

std::shared_ptr<Stream> Endpoint::add_stream(const Header& header, Stream::Handlers handlers) {
    auto stream = std::make_shared<Stream>(*this, side_, header, std::move(handlers));
    streams_[header.serial] = stream;
    return stream;
}

Stream* Endpoint::find_stream(std::uint32_t serial) {
    const auto found = streams_.find(serial);
    return found == streams_.end() ? nullptr : found->second.get();
}

void Endpoint::on_drained() {
    const auto alive = alive_;
    const auto streams = streams_;  // a handler may end its stream
    for (const auto& [serial, stream] : streams) {
        stream->drained();
        if (!*alive || closed_) return;
    }
    if (handlers_.on_drained) handlers_.on_drained();
}

void Endpoint::close(const Error& reason, bool silently) {
    if (std::exchange(closed_, true)) return;
    const auto alive = alive_;
    link_->close();
    const auto streams = std::exchange(streams_, {});
    for (const auto& [serial, stream] : streams)
        stream->lost(reason);
    if (!*alive || silently) return;
    const auto on_closed = std::move(handlers_.on_closed);
    if (on_closed) on_closed(reason);
}

}  // namespace segue::rpc
