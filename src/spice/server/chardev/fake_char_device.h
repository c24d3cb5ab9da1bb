// SPDX-License-Identifier: LGPL-2.1-or-later
// For tests: a character device of a guest that takes as much as it is told to, and the messages
// that a channel sent.
#pragma once

#include <algorithm>
#include <deque>

#include "spice/server/channel.h"
#include "spice/server/device.h"
#include "spice/server/fake_client.h"

namespace segue::spice::server {

// What the guest's end of a device saw and has to say; outlives the device.
struct FakeGuest {
    Bytes taken;
    std::size_t takes = SIZE_MAX;  // bytes it will take
    std::size_t most_at_once = SIZE_MAX;
    Bytes says;
    std::size_t reads = 0;
    bool connected = false;
    std::vector<std::uint8_t> events;
    std::string subtype = "usbredir";
    std::string port_name;
    bool notifies = true;
    std::function<void()> on_write;  // what the guest does while it is written to
};

class FakeCharDevice final : public CharDevice {
  public:
    explicit FakeCharDevice(FakeGuest& guest) : guest_(guest) {}
    std::string subtype() const override { return guest_.subtype; }
    std::string port_name() const override { return guest_.port_name; }
    void set_connected(bool connected) override { guest_.connected = connected; }
    int write(ByteView bytes) override {
        FakeGuest& guest = guest_;
        const std::size_t size = std::min({bytes.size(), guest.takes, guest.most_at_once});
        guest.taken.insert(guest.taken.end(), bytes.begin(),
                           bytes.begin() + static_cast<std::ptrdiff_t>(size));
        guest.takes -= size;
        if (guest.on_write) guest.on_write();
        return static_cast<int>(size);
    }
    int read(std::span<std::uint8_t> into) override {
        ++guest_.reads;
        const std::size_t size = std::min(into.size(), guest_.says.size());
        std::copy_n(guest_.says.begin(), size, into.begin());
        guest_.says.erase(guest_.says.begin(),
                          guest_.says.begin() + static_cast<std::ptrdiff_t>(size));
        return static_cast<int>(size);
    }
    void event(std::uint8_t event) override { guest_.events.push_back(event); }
    bool notifies_writable() const override { return guest_.notifies; }

  private:
    FakeGuest& guest_;
};

// What went out to a client, as messages; `blocked` is a client that takes nothing.
class FakeOutput final : public ChannelOutput {
  public:
    void write(std::vector<wire::SharedBytes> pieces) override {
        for (const wire::SharedBytes& piece : pieces)
            reader_.feed(piece.view());
        while (auto message = reader_.next().value())
            messages.push_back(std::move(*message));
    }
    std::size_t waiting() const override { return blocked ? waits : 0; }
    void hold_input(bool held) override { held_input = held; }

    // The first message with this number that was not taken yet.
    template <class Message>
    std::optional<Message> take() {
        for (auto at = messages.begin(); at != messages.end(); ++at) {
            if (at->number != Message::kFromServer) continue;
            const wire::IncomingMessage found = std::move(*at);
            messages.erase(at);
            auto parsed = wire::parse<Message>(found.body);
            return parsed ? std::optional<Message>(std::move(*parsed)) : std::nullopt;
        }
        return std::nullopt;
    }

    bool blocked = false;
    std::size_t waits = Channel::kMostWaiting;  // where it is blocked
    bool held_input = false;
    std::deque<wire::IncomingMessage> messages;

  private:
    wire::MessageReader reader_{wire::HeaderKind::mini, 64u << 20};
};

// Bytes that show by themselves where one is missing or doubled.
inline Bytes numbered(std::size_t size, std::size_t from = 0) {
    Bytes bytes(size);
    for (std::size_t at = 0; at < size; ++at) {
        const std::size_t number = (from + at) * 2654435761u;
        bytes[at] = static_cast<std::uint8_t>(number >> 13);
    }
    return bytes;
}

}  // namespace segue::spice::server
