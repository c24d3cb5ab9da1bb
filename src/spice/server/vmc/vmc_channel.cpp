// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/vmc/vmc_channel.h"

#include "spice/codec/lz4_codec.h"

namespace segue::spice::server {

using wire::SharedBytes;
namespace vmc = wire::spicevmc;

namespace {

// A message carries what one call of the client's wrote, and its header.
constexpr std::uint32_t kMostVmcMessage = static_cast<std::uint32_t>(vmc::kSpicevmcData) + 64;

}  // namespace

VmcChannel::VmcChannel(const ChannelSetup& setup, ChannelOutput& output, VmcDevice& device,
                       bool compress)
    : Channel(setup, output, kMostVmcMessage), device_(&device), compress_(compress) {}

VmcChannel::~VmcChannel() {
    if (device_ != nullptr) device_->detach(*this);
}

void VmcChannel::start() {
    attached_ = device_->attach(*this);
    if (!attached_) return;
    if (device_->is_port()) {
        wire::port::Init init;
        init.name = device_->port_name();
        init.opened = device_->is_opened();
        send(init);
    }
    device_->room();
}

void VmcChannel::on_room() {
    if (device_ != nullptr && attached_) device_->room();
}

void VmcChannel::device_has_room() {
    hold_input(false);
}

// --- To the client ------------------------------------------------------------------------------

void VmcChannel::send_bytes(SharedBytes bytes) {
    if (compress_ && bytes.size() > kCompressFrom) {
        Bytes packed = codec::lz4_encode_block(bytes.view());
        if (!packed.empty() && packed.size() < bytes.size()) {
            vmc::CompressedData message;
            message.type = vmc::DataCompression::lz4;
            message.uncompressed_size = static_cast<std::uint32_t>(bytes.size());
            message.data = SharedBytes::take(std::move(packed));
            return send(message);
        }
    }
    vmc::Data message;
    message.data = std::move(bytes);
    send(message);
}

void VmcChannel::send_event(std::uint8_t event) {
    if (!device_->is_port()) return;
    wire::port::Event message;
    message.event = static_cast<wire::port::PortEvent>(event);
    send(message);
}

// --- From the client ----------------------------------------------------------------------------

Result<> VmcChannel::handle(std::uint16_t number, const SharedBytes& body) {
    // Taken away: the connection ends at once.
    if (device_ == nullptr || !attached_) return {};
    struct Handler {
        VmcChannel& channel;
        Result<> operator()(const vmc::Data& message) {
            return channel.take(SharedBytes::copy(message.data.contiguous().view()));
        }
        Result<> operator()(const vmc::CompressedData& message) {
            return channel.take_compressed(message);
        }
        Result<> operator()(const wire::port::Event& message) {
            channel.device_->client_event(static_cast<std::uint8_t>(message.event));
            return {};
        }
    };
    if (device_->is_port() && number == wire::port::Event::kFromClient)
        return wire::port::dispatch_from_client(number, body, Handler{*this});
    return vmc::dispatch_from_client(number, body, Handler{*this});
}

Result<> VmcChannel::take_compressed(const vmc::CompressedData& message) {
    const SharedBytes packed = message.data.contiguous();
    if (message.type == vmc::DataCompression::none) return take(SharedBytes::copy(packed.view()));
    Bytes bytes(message.uncompressed_size);
    TRY(codec::lz4_decode_block(packed.view(), bytes));
    return take(SharedBytes::take(std::move(bytes)));
}

Result<> VmcChannel::take(SharedBytes bytes) {
    if (bytes.empty()) return {};
    TRY(device_->write(std::move(bytes)));
    // The guest is slower than the client: TCP tells it. In a hand-over everything under way must
    // come, up to the flush mark.
    if (device_ != nullptr && device_->is_full() && !is_migrating()) hold_input(true);
    return {};
}

// --- Hand-over ----------------------------------------------------------------------------------

std::uint32_t VmcChannel::migrate_flags() const {
    return static_cast<std::uint32_t>(wire::common::MigrateFlags::need_flush |
                                      wire::common::MigrateFlags::need_data_transfer);
}

void VmcChannel::before_migrate() {
    hold_input(false);
}

Bytes VmcChannel::migrate_data() {
    wire::migration::SpiceVmc state;
    if (device_ != nullptr && attached_) state.device = device_->capture();
    return wire::encode(0, state).body();
}

Result<> VmcChannel::restore(const SharedBytes& blob) {
    const auto state = TRY(wire::parse<wire::migration::SpiceVmc>(blob));
    // Behind what came since, its bytes would stand in the wrong order.
    if (gave_up_) return {};
    if (device_ == nullptr || !attached_) return {};
    device_->restore(state.device);
    device_->set_held(false);
    return {};
}

void VmcChannel::go_without_data() {
    gave_up_ = true;
    if (device_ == nullptr || !attached_) return;
    device_->use_state_beside();
    device_->set_held(false);
}

}  // namespace segue::spice::server
