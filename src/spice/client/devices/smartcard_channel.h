// SPDX-License-Identifier: LGPL-2.1-or-later
// Messages between the guest's card reader and a card at the user's (libcacard's VSC protocol).
#pragma once

#include "spice/client/channel.h"
#include "spice/wire/smartcard.schema.h"

namespace segue::spice::client {

class SmartcardListener {
  public:
    virtual ~SmartcardListener() = default;
    // The guest's side is linked and knows no reader of ours, or is over (false).
    virtual void on_card_up(bool up) { (void)up; }
    // An APDU for the card, or the answer (an error of code 0) to what we said.
    virtual void on_card_message(wire::smartcard::VscType type, std::uint32_t reader_id,
                                 ByteView data) {
        (void)type, (void)reader_id, (void)data;
    }
};

class SmartcardChannel final : public Channel {
  public:
    SmartcardChannel(ChannelKey key, ChannelHost& host, SmartcardListener& listener)
        : Channel(key, host), listener_(listener) {}

    // Stock servers take one reader at a time and answer each message: the next one waits for that.
    void add_reader(std::string_view name);
    void remove_reader(std::uint32_t reader_id);
    void send_atr(std::uint32_t reader_id, ByteView atr);
    void send_apdu(std::uint32_t reader_id, ByteView apdu);
    void remove_card(std::uint32_t reader_id);

    // The reader has no number before the server has given one.
    static constexpr std::uint32_t kNoReader = 0xffffffff;

  private:
    struct Waiting {
        wire::smartcard::VscType type;
        std::uint32_t reader_id;
        Bytes data;
    };
    Result<> handle(const wire::IncomingMessage& message) override;
    void on_up(const wire::Capabilities& server) override;
    void on_reset(ResetReason reason) override;
    Result<> on(const wire::smartcard::Data& message);
    void ask(wire::smartcard::VscType type, std::uint32_t reader_id, ByteView data);
    void tell(const Waiting& message);

    static constexpr std::size_t kMaxWaiting = 256;

    SmartcardListener& listener_;
    bool is_up_ = false;
    bool answer_due_ = false;
    std::deque<Waiting> waiting_;
};

}  // namespace segue::spice::client
