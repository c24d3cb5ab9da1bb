// SPDX-License-Identifier: LGPL-2.1-or-later
// The client's end of the smartcard readers. A client has one reader at a time.
#pragma once

#include <functional>

#include "spice/server/channel.h"
#include "spice/server/smartcard/reader.h"

namespace segue::spice::server {

class SmartcardChannel final : public Channel {
  public:
    // Finds a reader that no client has; null: there is none.
    using FindReader = std::function<SmartcardReader*()>;

    SmartcardChannel(const ChannelSetup& setup, ChannelOutput& output, FindReader find_reader)
        : Channel(setup, output), find_reader_(std::move(find_reader)) {}
    ~SmartcardChannel() override;

    void start() override;
    void on_room() override;

    // --- For its reader --------------------------------------------------------------------------
    bool has_room() const { return can_send() && !is_held(); }
    void say(const wire::smartcard::Data& message) { send(message); }
    void device_has_room() { hold_input(false); }
    void reader_gone() {
        reader_ = nullptr;
        hold_input(false);
    }

  private:
    Result<> handle(std::uint16_t number, const wire::SharedBytes& body) override;
    std::uint32_t migrate_flags() const override;
    Bytes migrate_data() override;
    Result<> restore(const wire::SharedBytes& blob) override;
    void go_without_data() override;
    void before_migrate() override { hold_input(false); }
    Result<> take(const wire::smartcard::Data& message);
    Result<> add_reader();
    bool attach();
    void send_error(std::uint32_t reader, std::uint32_t code);

    FindReader find_reader_;
    SmartcardReader* reader_ = nullptr;
    bool gave_up_ = false;  // the state of another server did not come in time
};

}  // namespace segue::spice::server
