// SPDX-License-Identifier: LGPL-2.1-or-later
// What a linked client, or a guest, may say on the channels of devices. The first byte chooses the
// channel, whether it expects the state of another server, and whether it is handed over; the bytes
// in front of the first 0xff 0xff are the guest's.
#include <algorithm>

#include "base/check.h"
#include "base/log.h"
#include "spice/server/agent/agent.h"
#include "spice/server/chardev/fake_char_device.h"
#include "spice/server/link/websocket.h"
#include "spice/server/main/main_channel.h"
#include "spice/server/smartcard/smartcard_channel.h"
#include "spice/server/sound/sound_devices.h"
#include "spice/server/stream/stream_device.h"
#include "spice/server/vmc/vmc_channel.h"
#include "spice/wire/port.schema.h"

namespace segue::spice::server {
namespace {

class NoOutput final : public ChannelOutput {
  public:
    void write(std::vector<wire::SharedBytes>) override {}
    std::size_t waiting() const override { return 0; }
};

class NoTimer final : public Timer {
  public:
    void start(Duration) override {}
    void cancel() override {}
};

class NoLoop final : public Loop {
  public:
    const Clock& clock() const override { return clock_; }
    std::unique_ptr<Timer> make_timer(std::function<void()>) override {
        return std::make_unique<NoTimer>();
    }
    std::unique_ptr<Watch> watch(int, std::function<void(Ready)>) override { return nullptr; }
    void post(std::function<void()>) override {}

  private:
    SystemClock clock_;
};

class NoUser final : public Agent::User {
  public:
    void agent_connected(std::uint32_t) override {}
    void agent_disconnected() override {}
    void agent_says(wire::SharedBytes) override {}
    void agent_grants(std::uint32_t) override {}
    bool agent_has_room() const override { return true; }
};

struct Input {
    std::uint8_t choice = 0;
    ByteView guest;
    ByteView client;
};

void talk(Channel& channel, const Input& input) {
    channel.start();
    const std::size_t half = input.client.size() / 2;
    if (!channel.receive(input.client.first(half))) return;
    if ((input.choice & 0x20) != 0) channel.migrate();
    [[maybe_unused]] const auto done = channel.receive(input.client.subspan(half));
}

void talk_to_agent(const Input& input, Loop& loop, FakeGuest& guest) {
    Agent agent(loop, {[] {}, [](Bytes) {}, [] { return Bytes(4); }});
    AgentRules rules;
    rules.monitors_to_devices = [takes = (input.choice & 0x40) != 0] { return takes; };
    agent.set_rules(rules);
    NoUser one;
    NoUser two;
    agent.set_running(true);
    if ((input.choice & 0x80) != 0) {
        // The state of another server, beside the client.
        agent.expect_port_state();
        if (const auto state =
                wire::parse<wire::migration::Main>(wire::SharedBytes::borrow(input.client)))
            agent.take_port_state(*state);
    }
    if ((input.choice & 0x10) != 0) {
        // The state of another server, through the client.
        if (const auto state = read_main_state(wire::SharedBytes::borrow(input.client)))
            agent.restore(1, one, {state->blob, state->agent});
    } else {
        agent.join(1, one);
    }
    if (!agent.attach(std::make_unique<FakeCharDevice>(guest))) return;
    agent.join(2, two);
    for (const ClientId id : {1, 2}) {
        if (!agent.start(id, 100)) return;
    }
    agent.wakeup();
    for (ByteView rest = input.client; rest.size() > 1;) {
        const std::size_t size = std::min<std::size_t>(rest[1] * 9u, rest.size() - 2);
        if (!agent.data(1 + (rest[0] & 1), wire::SharedBytes::copy(rest.subspan(2, size)))) break;
        rest = rest.subspan(2 + size);
    }
    agent.before_migrate(1);
    if (const auto state = agent.port_state()) {
        const Bytes bytes = wire::encode(0, *state).body();
        ENSURE(wire::parse<wire::migration::Main>(wire::SharedBytes::borrow(bytes)).has_value());
    }
    for (const ClientId id : {2, 1}) {
        const Agent::Carried carried = agent.capture(id);
        [[maybe_unused]] const Bytes bytes = write_main_state({carried.state, carried.more});
    }
    agent.leave(1);
    agent.detach();
}

void talk_to_streamer(const Input& input, ChannelSetup& setup, Loop& loop, FakeGuest& guest) {
    NoOutput output;
    StreamDevice::Hooks hooks;
    hooks.find_id = [] { return std::uint8_t{1}; };
    hooks.on_first_open = [](std::uint8_t) {};
    hooks.on_origin = [] {};
    hooks.media_time = [] { return 0u; };
    StreamDevice device(std::make_unique<FakeCharDevice>(guest), loop, std::move(hooks));
    device.set_running(true);
    device.port_event(static_cast<std::uint8_t>(wire::port::PortEvent::opened));
    setup.key = {wire::ChannelType::cursor, 1};
    const auto cursor = device.make_channel(setup, output);
    cursor->start();
    setup.key.type = wire::ChannelType::display;
    const auto channel = device.make_channel(setup, output);
    talk(*channel, input);
    device.wakeup();
}

void run(const Input& input) {
    NoLoop loop;
    NoOutput output;
    FakeGuest guest;
    guest.says.assign(input.guest.begin(), input.guest.end());
    guest.takes = 3000;
    guest.most_at_once = 700;
    ChannelSetup setup;
    setup.expects_data = (input.choice & 0x10) != 0;
    const auto device = [&] { return std::make_unique<FakeCharDevice>(guest); };
    switch (input.choice & 0xf) {
        case 0:
        case 1: {
            setup.key.type =
                (input.choice & 1) != 0 ? wire::ChannelType::port : wire::ChannelType::usbredir;
            VmcDevice vmc(setup.key, device(), loop);
            vmc.set_running(true);
            VmcChannel channel(setup, output, vmc, true);
            talk(channel, input);
            const auto state =
                wire::parse<wire::migration::SpiceVmc>(wire::SharedBytes::borrow(input.client));
            if (state) vmc.take_state(state->device);
            return channel.stop_waiting();
        }
        case 2: {
            SmartcardReader reader(0, device(), loop);
            const bool beside = (input.choice & 0x80) != 0;
            if (beside) reader.expect_state();
            reader.set_running(true);
            SmartcardChannel channel(setup, output, [&] { return &reader; });
            if (const auto state = wire::parse<wire::migration::Smartcard>(
                    wire::SharedBytes::borrow(input.client)))
                reader.take_state(*state, (input.choice & 0x40) != 0);
            talk(channel, input);
            return channel.stop_waiting();
        }
        case 3:
        case 4: {
            SoundDevices sound({[] { return 0u; }, [](ChannelKey) {}, [](ChannelKey) {}});
            const bool plays = (input.choice & 0xf) == 3;
            setup.key.type = plays ? wire::ChannelType::playback : wire::ChannelType::record;
            if (plays) sound.add_playback().value()->start();
            if (!plays) sound.add_record().value()->start();
            const auto channel = sound.make_channel(setup, output, true);
            return talk(*channel, input);
        }
        case 5: return talk_to_agent(input, loop, guest);
        case 6: {
            if (const auto upgrade = upgrade_to_websocket(input.guest); !upgrade) return;
            WebSocketFilter filter;
            Bytes plain;
            Bytes to_peer;
            [[maybe_unused]] const auto done = filter.receive(input.client, plain, to_peer);
            return;
        }
        case 7: return talk_to_streamer(input, setup, loop, guest);
        default: return;
    }
}

}  // namespace
}  // namespace segue::spice::server

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace segue::spice::server;
    if (size == 0) return 0;
    segue::set_log_level(segue::LogLevel::error);
    const segue::ByteView all(data + 1, size - 1);
    constexpr std::uint8_t kEnd[] = {0xff, 0xff};
    const auto end = std::search(all.begin(), all.end(), std::begin(kEnd), std::end(kEnd));
    const auto guest = static_cast<std::size_t>(end - all.begin());
    run({data[0], all.first(guest), all.subspan(std::min(all.size(), guest + 2))});
    return 0;
}
