// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/channel_driver.h"

#include "base/log.h"

namespace segue::spice::server {
namespace {

// What may wait for a client that asks for much there and reads nothing; the largest message of
// these channels, a pointer's shape, has 1 MiB.
constexpr std::size_t kMostWaitingWithoutImages = std::size_t{16} << 20;

bool has_no_images(wire::ChannelType type) {
    return type == wire::ChannelType::main || type == wire::ChannelType::inputs ||
           type == wire::ChannelType::cursor;
}

}  // namespace

ChannelDriver::ChannelDriver(Loop& loop, std::unique_ptr<Transport> transport, const Make& make,
                             OnLost on_lost)
    : loop_(loop),
      transport_(std::move(transport)),
      on_lost_(std::move(on_lost)),
      channel_(make(*this)) {}

ChannelDriver::~ChannelDriver() {
    *alive_ = false;
    transport_->detach();
}

void ChannelDriver::start() {
    Transport::Handlers handlers;
    handlers.on_input = [this](ByteView bytes) { return on_input(bytes); };
    handlers.on_drained = [this] {
        const Transport::Gathering gathering = gather();
        channel_->on_room();
    };
    handlers.on_lost = [this](const std::string& reason) { lose(reason); };
    if (has_no_images(channel_->key().type))
        transport_->set_most_waiting(kMostWaitingWithoutImages);
    transport_->attach(loop_, std::move(handlers));
    channel_->start();
}

control::ChannelStatus ChannelDriver::status() const {
    control::ChannelStatus status;
    status.type = wire::name_of(channel_->key().type);
    status.id = channel_->key().id;
    status.messages_sent = channel_->messages_sent();
    status.bytes_sent = transport_->bytes_sent();
    status.bytes_received = transport_->bytes_received();
    status.waiting_bytes = transport_->waiting();
    return status;
}

void ChannelDriver::write(std::vector<wire::SharedBytes> pieces) {
    if (!lost_) transport_->send(std::move(pieces));
}

std::size_t ChannelDriver::on_input(ByteView bytes) {
    if (lost_) return bytes.size();
    const Transport::Gathering gathering = gather();
    close_unless(channel_->receive(bytes));
    return bytes.size();
}

void ChannelDriver::leave_gate() {
    const Transport::Gathering gathering = gather();
    channel_->leave_gate();
}

void ChannelDriver::expect_seal(const StateKey& key) {
    close_unless(channel_->expect_seal(key));
}

void ChannelDriver::close_unless(const Result<>& done) {
    if (done || lost_) return;
    log_warning("spice", "{}: the connection is closed: {}", name_of(channel_->key()),
                done.error().message);
    lose(done.error().message);
}

// Told from the loop: whoever is on the stack now may still use us.
void ChannelDriver::lose(std::string reason) {
    if (lost_) return;
    lost_ = true;
    loop_.post([this, alive = alive_, reason = std::move(reason)] {
        if (!*alive) return;
        const OnLost on_lost = on_lost_;
        on_lost(reason);
    });
}

}  // namespace segue::spice::server
