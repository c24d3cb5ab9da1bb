// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/smartcard/reader.h"

#include <array>
#include <utility>

#include "base/log.h"
#include "spice/server/smartcard/smartcard_channel.h"

namespace segue::spice::server {

using wire::SharedBytes;
using wire::smartcard::VscType;

SmartcardReader::SmartcardReader(std::uint32_t id, std::unique_ptr<CharDevice> device, Loop& loop)
    : id_(id),
      patience_(loop.make_timer([this] { expect_no_more(); })),
      port_(std::move(device), loop, *this) {}

SmartcardReader::~SmartcardReader() {
    if (channel_ != nullptr) channel_->reader_gone();
}

void SmartcardReader::attach(SmartcardChannel& channel) {
    channel_ = &channel;
    set_held(channel.expects_data());
    if (beside_) expect_no_more();
    port_.device().set_connected(true);
}

void SmartcardReader::set_held(bool held) {
    client_comes_ = held;
    hold();
}

void SmartcardReader::set_running(bool running) {
    running_ = running;
    if (!running) made_up_ = false;
    if (running && is_expected_) patience_->start(kPatience);
    port_.set_running(running);
}

// The guest is told that the reader has gone with its client.
void SmartcardReader::detach() {
    channel_ = nullptr;
    port_.forget(kClient);
    if (beside_) make_up_for_absent();
    set_held(false);
    if (added_) {
        if (const Result<> done = remove(); !done)
            log_warning("spice", "smartcard reader {}: {}", id_, done.error().message);
    }
    port_.device().set_connected(false);
    // What the device says from here on its embedder throws away (QEMU, a closed character device):
    // the end of what it had begun, too.
    read_.clear();
    broken_ = false;
}

// --- To the device ------------------------------------------------------------------------------

Bytes SmartcardReader::bytes_of(std::uint32_t type, ByteView data) const {
    BigWriter writer;
    writer.u32(type);
    writer.u32(id_);
    writer.u32(static_cast<std::uint32_t>(data.size()));
    writer.bytes(data);
    return writer.take();
}

Result<> SmartcardReader::write(std::uint32_t type, ByteView data, Payer payer) {
    return port_.write(SharedBytes::take(bytes_of(type, data)), payer, payer == kClient ? 1 : 0);
}

Result<> SmartcardReader::add() {
    added_ = true;
    return write(static_cast<std::uint32_t>(VscType::reader_add), {}, DevicePort::kServer);
}

Result<> SmartcardReader::remove() {
    added_ = false;
    return write(static_cast<std::uint32_t>(VscType::reader_remove), {}, DevicePort::kServer);
}

Result<> SmartcardReader::pass(const wire::smartcard::Data& message) {
    return write(static_cast<std::uint32_t>(message.type), message.data.contiguous().view(),
                 kClient);
}

void SmartcardReader::device_has_room() {
    if (channel_ != nullptr) channel_->device_has_room();
}

// --- From the device ----------------------------------------------------------------------------

Result<std::optional<wire::smartcard::Data>> SmartcardReader::next() {
    if (read_.size() < kHeader) return std::nullopt;
    BigReader reader(read_);
    wire::smartcard::Data message;
    message.type = static_cast<VscType>(reader.u32());
    reader.u32();  // the device knows only itself
    message.reader_id = id_;
    const std::uint32_t size = reader.u32();
    if (size > wire::smartcard::kSmartcardData) {
        return fail(ErrorCode::limit_exceeded, "a message of {} bytes, at most {}", size,
                    wire::smartcard::kSmartcardData);
    }
    if (reader.remaining() < size) return std::nullopt;
    message.data = SharedBytes::copy(reader.bytes(size));
    read_.erase(read_.begin(), read_.begin() + static_cast<std::ptrdiff_t>(kHeader + size));
    return message;
}

// Without a client what the device says is read and dropped: it begins anew with the next card.
void SmartcardReader::drop_readable() {
    std::array<std::uint8_t, 4096> dropped;
    while (port_.read(dropped) > 0) {
    }
}

void SmartcardReader::device_readable() {
    if (channel_ == nullptr) return drop_readable();
    if (reading_ || broken_) return;
    reading_ = true;
    while (channel_ != nullptr && channel_->has_room()) {
        auto message = next();
        if (!message) {
            log_warning("spice", "smartcard reader {}: the device is not read any more: {}", id_,
                        message.error().message);
            broken_ = true;
            break;
        }
        if (*message) {
            if ((*message)->type != VscType::init) channel_->say(**message);
            continue;
        }
        const std::size_t have = read_.size();
        constexpr std::size_t kRead = 4096;
        read_.resize(have + kRead);
        const std::size_t size = port_.read(std::span(read_).subspan(have));
        read_.resize(have + size);
        if (size == 0) break;
    }
    reading_ = false;
}

// --- Hand-over ----------------------------------------------------------------------------------

wire::migration::Smartcard SmartcardReader::capture() const {
    constexpr std::uint32_t kUnlimited = 0xffffffff;
    wire::migration::Smartcard state;
    state.device.connected = true;
    state.device.client_tokens = kUnlimited;
    state.device.send_tokens = kUnlimited;
    DevicePort::Unwritten unwritten = port_.capture(kClient);
    state.device.write_client_tokens = unwritten.tokens;
    state.device.write_data = SharedBytes::take(std::move(unwritten.bytes));
    state.reader_added = added_;
    state.read_data = SharedBytes::copy(read_);
    return state;
}

void SmartcardReader::expect_state() {
    is_expected_ = true;
    if (running_) patience_->start(kPatience);
    hold();
}

void SmartcardReader::take_state(const wire::migration::Smartcard& state, bool somebody_comes) {
    if (!is_expected_) return;
    if (state.device.connected) {
        beside_ = state;
        // What stays beyond this function may not borrow.
        beside_->device.write_data = SharedBytes::copy(state.device.write_data.contiguous().view());
        beside_->read_data = SharedBytes::copy(state.read_data.contiguous().view());
    }
    if (!beside_ || client_comes_ || !somebody_comes) expect_no_more();
}

void SmartcardReader::expect_no_more() {
    patience_->cancel();
    is_expected_ = false;
    if (beside_ && !client_comes_) make_up_for_absent();
    hold();
}

void SmartcardReader::use_state_beside() {
    if (const auto state = std::exchange(beside_, std::nullopt)) restore(*state);
}

void SmartcardReader::make_up_for_absent() {
    const wire::migration::Smartcard state = *std::exchange(beside_, std::nullopt);
    made_up_ = true;
    const SharedBytes unwritten = state.device.write_data.contiguous();
    Bytes bytes(unwritten.view().begin(), unwritten.view().end());
    if (state.reader_added) {
        const Bytes end = bytes_of(static_cast<std::uint32_t>(VscType::reader_remove), {});
        bytes.insert(bytes.end(), end.begin(), end.end());
    }
    port_.restore({std::move(bytes), 0}, DevicePort::kServer);
}

void SmartcardReader::restore(const wire::migration::Smartcard& state) {
    if (made_up_) return;
    beside_.reset();
    added_ = state.reader_added;
    const SharedBytes read = state.read_data.contiguous();
    read_.insert(read_.begin(), read.view().begin(), read.view().end());
    const SharedBytes unwritten = state.device.write_data.contiguous();
    port_.restore(
        {Bytes(unwritten.view().begin(), unwritten.view().end()), state.device.write_client_tokens},
        kClient);
}

}  // namespace segue::spice::server
