// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/client/devices/smartcard_channel.h"

namespace segue::spice::client {

namespace smartcard = wire::smartcard;
using smartcard::VscType;

Result<> SmartcardChannel::handle(const wire::IncomingMessage& message) {
    return smartcard::dispatch_from_server(message.number, message.body,
                                           [this](const auto& parsed) { return on(parsed); });
}

void SmartcardChannel::on_up(const wire::Capabilities&) {
    is_up_ = true;
    listener_.on_card_up(true);
}

void SmartcardChannel::on_reset(ResetReason) {
    forget_queue();
    waiting_.clear();
    answer_due_ = false;
    if (std::exchange(is_up_, false)) listener_.on_card_up(false);
}

Result<> SmartcardChannel::on(const smartcard::Data& message) {
    const wire::SharedBytes data = message.data.contiguous();
    // VSC answers with an "error", whose code 0 means that all is well.
    const bool answers = message.type == VscType::error && std::exchange(answer_due_, false);
    listener_.on_card_message(message.type, message.reader_id, data.view());
    if (answers && !waiting_.empty()) {
        const Waiting next = std::move(waiting_.front());
        waiting_.pop_front();
        answer_due_ = true;
        tell(next);
    }
    return {};
}

void SmartcardChannel::ask(VscType type, std::uint32_t reader_id, ByteView data) {
    Waiting message{type, reader_id, Bytes(data.begin(), data.end())};
    if (!std::exchange(answer_due_, true)) return tell(message);
    if (waiting_.size() >= kMaxWaiting) {
        log_warning("spice", "more than {} messages wait for the guest's card reader", kMaxWaiting);
        return;
    }
    waiting_.push_back(std::move(message));
}

void SmartcardChannel::tell(const Waiting& waiting) {
    smartcard::Data message;
    message.type = waiting.type;
    message.reader_id = waiting.reader_id;
    message.data.append(wire::SharedBytes::copy(waiting.data));
    say(message);
}

void SmartcardChannel::add_reader(std::string_view name) {
    const std::string text = std::string(name) + '\0';
    ask(VscType::reader_add, kNoReader, as_bytes(text));
}

void SmartcardChannel::remove_reader(std::uint32_t reader_id) {
    ask(VscType::reader_remove, reader_id, {});
}

void SmartcardChannel::send_atr(std::uint32_t reader_id, ByteView atr) {
    ask(VscType::atr, reader_id, atr);
}

void SmartcardChannel::remove_card(std::uint32_t reader_id) {
    ask(VscType::card_remove, reader_id, {});
}

// The answer to an APDU of the guest, which is not answered in turn.
void SmartcardChannel::send_apdu(std::uint32_t reader_id, ByteView apdu) {
    tell({VscType::apdu, reader_id, Bytes(apdu.begin(), apdu.end())});
}

}  // namespace segue::spice::client
