// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/smartcard/smartcard_channel.h"

namespace segue::spice::server {
namespace {

using wire::SharedBytes;
using wire::smartcard::Data;
using wire::smartcard::VscType;

// VSCErrorCode and VSCARD_UNDEFINED_READER_ID of vscard_common.h.
constexpr std::uint32_t kGeneralError = 1;
constexpr std::uint32_t kCannotAddMoreReaders = 2;
constexpr std::uint32_t kUndefinedReader = 0xffffffff;

}  // namespace

SmartcardChannel::~SmartcardChannel() {
    if (reader_ != nullptr) reader_->detach();
}

bool SmartcardChannel::attach() {
    if (reader_ == nullptr) {
        reader_ = find_reader_();
        if (reader_ != nullptr) reader_->attach(*this);
    }
    return reader_ != nullptr;
}

void SmartcardChannel::start() {
    if (attach()) reader_->room();
}

void SmartcardChannel::on_room() {
    if (reader_ != nullptr) reader_->room();
}

Result<> SmartcardChannel::handle(std::uint16_t number, const SharedBytes& body) {
    struct Handler {
        SmartcardChannel& channel;
        Result<> operator()(const Data& message) { return channel.take(message); }
    };
    return wire::smartcard::dispatch_from_client(number, body, Handler{*this});
}

Result<> SmartcardChannel::take(const Data& message) {
    switch (message.type) {
        case VscType::reader_add: return add_reader();
        case VscType::reader_remove:
            if (reader_ == nullptr || reader_->id() != message.reader_id || !reader_->is_added()) {
                send_error(message.reader_id, kGeneralError);
                return {};
            }
            return reader_->remove();
        case VscType::error:
        case VscType::atr:
        case VscType::card_remove:
        case VscType::apdu: break;
        // The greeting is between device and server; nothing else belongs to a client.
        default: return {};
    }
    if (reader_ == nullptr || reader_->id() != message.reader_id) {
        return fail(ErrorCode::protocol, "{}: a message for reader {}, which is not this client's",
                    name_of(key()), message.reader_id);
    }
    TRY(reader_->pass(message));
    if (reader_ != nullptr && reader_->is_full() && !is_migrating()) hold_input(true);
    return {};
}

Result<> SmartcardChannel::add_reader() {
    if (!attach()) {
        send_error(kUndefinedReader, kCannotAddMoreReaders);
        return {};
    }
    // The device answers with an error message, which is success when its code says so.
    return reader_->add();
}

void SmartcardChannel::send_error(std::uint32_t reader, std::uint32_t code) {
    LittleWriter writer;
    writer.u32(code);
    Data message;
    message.type = VscType::error;
    message.reader_id = reader;
    message.data = SharedBytes::take(writer.take());
    send(message);
}

// --- Hand-over ----------------------------------------------------------------------------------

std::uint32_t SmartcardChannel::migrate_flags() const {
    return static_cast<std::uint32_t>(wire::common::MigrateFlags::need_flush |
                                      wire::common::MigrateFlags::need_data_transfer);
}

Bytes SmartcardChannel::migrate_data() {
    return wire::encode(0, reader_ != nullptr ? reader_->capture() : wire::migration::Smartcard{})
        .body();
}

Result<> SmartcardChannel::restore(const SharedBytes& blob) {
    const auto state = TRY(wire::parse<wire::migration::Smartcard>(blob));
    if (reader_ == nullptr || gave_up_) return {};
    if (state.device.connected) reader_->restore(state);
    reader_->set_held(false);
    return {};
}

void SmartcardChannel::go_without_data() {
    gave_up_ = true;
    if (reader_ == nullptr) return;
    reader_->use_state_beside();
    reader_->set_held(false);
}

}  // namespace segue::spice::server
