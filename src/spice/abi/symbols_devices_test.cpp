// SPDX-License-Identifier: LGPL-2.1-or-later
// Each symbol that concerns the smaller devices, by its effect (symbols_server_test.cpp).
#include <gtest/gtest.h>

#include "spice/abi/test_embedder.h"
#include "spice/wire/inputs.schema.h"
#include "spice/wire/playback.schema.h"
#include "spice/wire/port.schema.h"
#include "spice/wire/record.schema.h"
#include "spice/wire/spicevmc.schema.h"

namespace segue::spice::abi {
namespace {

using wire::ChannelType;
namespace main_wire = wire::main;

template <class Instance, class Table>
struct Simple {
    explicit Simple(const char* type, std::uint32_t major, std::uint32_t minor) {
        table.base = {type, "test", major, minor};
        instance.base.sif = &table.base;
    }
    static Simple& of(Instance* sin) {
        return *reinterpret_cast<Simple*>(reinterpret_cast<char*>(sin) -
                                          offsetof(Simple, instance));
    }
    Table table{};
    Instance instance{};
    int leds = 0;
    std::vector<std::uint8_t> codes;
    int x = -1;
};

// --- Interfaces ---------------------------------------------------------------------------------

TEST(Symbol, spice_server_add_interface) {
    Embedder embedder;
    Simple<SpiceKbdInstance, SpiceKbdInterface> keyboard(
        SPICE_INTERFACE_KEYBOARD, SPICE_INTERFACE_KEYBOARD_MAJOR, SPICE_INTERFACE_KEYBOARD_MINOR);
    keyboard.table.push_scan_freg = [](SpiceKbdInstance* sin, uint8_t code) {
        decltype(keyboard)::of(sin).codes.push_back(code);
    };
    keyboard.table.get_leds = [](SpiceKbdInstance*) -> uint8_t { return 0; };
    ASSERT_EQ(spice_server_add_interface(embedder.server, &keyboard.instance.base), 0);
    EXPECT_EQ(spice_server_add_interface(embedder.server, &keyboard.instance.base), -1);
    Simple<SpiceKbdInstance, SpiceKbdInterface> unknown("teapot", 1, 0);
    EXPECT_EQ(spice_server_add_interface(embedder.server, &unknown.instance.base), -1);
    Session session(embedder);
    const auto inputs = session.channel(ChannelType::inputs);
    wire::inputs::KeyDown key;
    key.code = 0x1e;
    inputs->send(key);
    EXPECT_TRUE(embedder.run_until([&] { return keyboard.codes.size() == 1; }));
    EXPECT_EQ(keyboard.codes[0], 0x1e);
}
TEST(Symbol, spice_server_remove_interface) {
    Embedder embedder;
    CharInstance usb("usbredir");
    ASSERT_EQ(spice_server_add_interface(embedder.server, &usb.instance.base), 0);
    Session session(embedder);
    ASSERT_TRUE(session.ask_for_channels());
    const auto channel = session.channel(ChannelType::usbredir);
    ASSERT_EQ(spice_server_remove_interface(&usb.instance.base), 0);
    EXPECT_TRUE(channel->is_closed());
    EXPECT_EQ(spice_server_remove_interface(&usb.instance.base), -1);
    // There again: the client is told that it may link the channel.
    ASSERT_EQ(spice_server_add_interface(embedder.server, &usb.instance.base), 0);
    const auto list = session.main.wait<main_wire::ChannelsList>();
    ASSERT_TRUE(list);
    ASSERT_EQ(list->channels.size(), 1u);
    EXPECT_EQ(list->channels[0].type, ChannelType::usbredir);
    session.channel(ChannelType::usbredir);
    spice_server_remove_interface(&usb.instance.base);
}
TEST(Symbol, spice_server_kbd_leds) {
    Embedder embedder;
    Simple<SpiceKbdInstance, SpiceKbdInterface> keyboard(
        SPICE_INTERFACE_KEYBOARD, SPICE_INTERFACE_KEYBOARD_MAJOR, SPICE_INTERFACE_KEYBOARD_MINOR);
    keyboard.table.get_leds = [](SpiceKbdInstance*) -> uint8_t { return 0; };
    ASSERT_EQ(spice_server_add_interface(embedder.server, &keyboard.instance.base), 0);
    Session session(embedder);
    const auto inputs = session.channel(ChannelType::inputs);
    ASSERT_TRUE(inputs->wait<wire::inputs::Init>());
    EXPECT_EQ(spice_server_kbd_leds(&keyboard.instance, SPICE_KEYBOARD_MODIFIER_FLAGS_CAPS_LOCK),
              0);
    EXPECT_EQ(inputs->wait<wire::inputs::KeyModifiers>()->modifiers,
              wire::inputs::KeyboardModifiers::caps_lock);
}
TEST(Symbol, spice_server_is_server_mouse) {
    Embedder embedder;
    Simple<SpiceTabletInstance, SpiceTabletInterface> tablet(
        SPICE_INTERFACE_TABLET, SPICE_INTERFACE_TABLET_MAJOR, SPICE_INTERFACE_TABLET_MINOR);
    tablet.table.set_logical_size = [](SpiceTabletInstance*, int, int) {};
    tablet.table.position = [](SpiceTabletInstance* sin, int x, int, uint32_t) {
        decltype(tablet)::of(sin).x = x;
    };
    ASSERT_EQ(spice_server_add_interface(embedder.server, &tablet.instance.base), 0);
    Session session(embedder);
    EXPECT_EQ(spice_server_is_server_mouse(embedder.server), 1);
    main_wire::MouseModeRequest request;
    request.mode = main_wire::MouseMode::client;
    session.main.send(request);
    EXPECT_EQ(session.main.wait<main_wire::MouseModeChanged>()->current_mode,
              main_wire::MouseMode::client);
    EXPECT_EQ(spice_server_is_server_mouse(embedder.server), 0);
    const auto inputs = session.channel(ChannelType::inputs);
    wire::inputs::MousePosition position;
    position.x = 77;
    inputs->send(position);
    EXPECT_TRUE(embedder.run_until([&] { return tablet.x == 77; }));
    spice_server_remove_interface(&tablet.instance.base);
    EXPECT_EQ(spice_server_is_server_mouse(embedder.server), 1);
}

// --- Character devices --------------------------------------------------------------------------

TEST(Symbol, spice_server_char_device_recognized_subtypes) {
    std::vector<std::string> all;
    for (const char** one = spice_server_char_device_recognized_subtypes(); *one != nullptr; ++one)
        all.emplace_back(*one);
    EXPECT_EQ(all, (std::vector<std::string>{"vdagent", "smartcard", "usbredir", "port"}));
    for (const std::string& subtype : all) {
        Embedder embedder;
        CharInstance device(subtype.c_str(), "org.segue.test");
        EXPECT_EQ(spice_server_add_interface(embedder.server, &device.instance.base), 0);
        EXPECT_EQ(spice_server_remove_interface(&device.instance.base), 0);
    }
}
TEST(Symbol, spice_server_char_device_wakeup) {
    Embedder embedder;
    CharInstance usb("usbredir");
    ASSERT_EQ(spice_server_add_interface(embedder.server, &usb.instance.base), 0);
    Session session(embedder);
    const auto channel = session.channel(ChannelType::usbredir);
    ASSERT_TRUE(embedder.run_until([&] { return usb.guest.connected; }));
    usb.guest.says = server::numbered(10);
    spice_server_char_device_wakeup(&usb.instance);
    EXPECT_TRUE(usb.guest.says.empty());
    EXPECT_EQ(channel->wait<wire::spicevmc::Data>()->data.contiguous().size(), 10u);
    spice_server_remove_interface(&usb.instance.base);
}
TEST(Symbol, spice_server_port_event) {
    Embedder embedder;
    CharInstance port("port", "org.segue.test");
    ASSERT_EQ(spice_server_add_interface(embedder.server, &port.instance.base), 0);
    Session session(embedder);
    const auto channel = session.channel(ChannelType::port);
    EXPECT_FALSE(channel->wait<wire::port::Init>()->opened);
    spice_server_port_event(&port.instance,
                            static_cast<std::uint8_t>(wire::port::PortEvent::opened));
    EXPECT_EQ(channel->wait<wire::port::Event>()->event, wire::port::PortEvent::opened);
    wire::port::Event hangup;
    hangup.event = wire::port::PortEvent::break_;
    channel->send(hangup);
    EXPECT_TRUE(embedder.run_until([&] { return port.guest.events.size() == 1; }));
    spice_server_remove_interface(&port.instance.base);
}

// --- The agent ----------------------------------------------------------------------------------

// A client with an agent, and what came of one message of this type.
bool reaches_the_agent(Embedder& embedder, std::uint32_t type) {
    CharInstance agent("vdagent");
    EXPECT_EQ(spice_server_add_interface(embedder.server, &agent.instance.base), 0);
    Session session(embedder);
    EXPECT_EQ(session.init.agent_connected, 1u);
    main_wire::AgentStart start;
    start.tokens = 100;
    session.main.send(start);
    const auto send = [&](std::uint32_t kind) {
        LittleWriter writer;
        writer.u32(VD_AGENT_PROTOCOL);
        writer.u32(kind);
        writer.u64(0);
        writer.u32(4);
        writer.u32(0);
        main_wire::AgentData data;
        data.data = wire::SharedBytes::take(writer.take());
        session.main.send(data);
    };
    send(type);
    send(VD_AGENT_REPLY);
    const auto count = [&](std::uint32_t kind) {
        const Bytes& taken = agent.guest.taken;
        int found = 0;
        for (std::size_t at = 0; at + 32 <= taken.size(); at += 32)
            found += load<ByteOrder::little, std::uint32_t>(taken.data() + at + 12) == kind;
        return found;
    };
    EXPECT_TRUE(embedder.run_until([&] { return count(VD_AGENT_REPLY) == 1; }));
    const bool reached = count(type) == 1;
    spice_server_remove_interface(&agent.instance.base);
    return reached;
}
TEST(Symbol, spice_server_set_agent_copypaste) {
    Embedder embedder;
    EXPECT_TRUE(reaches_the_agent(embedder, VD_AGENT_CLIPBOARD_REQUEST));
    EXPECT_EQ(spice_server_set_agent_copypaste(embedder.server, 0), 0);
    EXPECT_FALSE(reaches_the_agent(embedder, VD_AGENT_CLIPBOARD_REQUEST));
}
TEST(Symbol, spice_server_set_agent_file_xfer) {
    Embedder embedder;
    EXPECT_TRUE(reaches_the_agent(embedder, VD_AGENT_FILE_XFER_STATUS));
    EXPECT_EQ(spice_server_set_agent_file_xfer(embedder.server, 0), 0);
    EXPECT_FALSE(reaches_the_agent(embedder, VD_AGENT_FILE_XFER_STATUS));
}
TEST(Symbol, spice_server_set_agent_mouse) {
    Embedder embedder;
    CharInstance agent("vdagent");
    ASSERT_EQ(spice_server_add_interface(embedder.server, &agent.instance.base), 0);
    const auto client = static_cast<std::uint32_t>(main_wire::MouseMode::client);
    EXPECT_NE(Session(embedder).init.supported_mouse_modes & client, 0u);
    EXPECT_EQ(spice_server_set_agent_mouse(embedder.server, 0), 0);
    EXPECT_EQ(Session(embedder).init.supported_mouse_modes & client, 0u);
    spice_server_remove_interface(&agent.instance.base);
}

// --- Sound --------------------------------------------------------------------------------------

template <class Instance, class Table>
struct Sound {
    Sound(const char* type, std::uint32_t major, std::uint32_t minor, ChannelType channel_type,
          wire::Capabilities caps)
        : device(type, major, minor) {
        EXPECT_EQ(spice_server_add_interface(embedder.server, &device.instance.base), 0);
        session = std::make_unique<Session>(embedder);
        channel = session->channel(channel_type, std::move(caps));
    }
    ~Sound() { spice_server_remove_interface(&device.instance.base); }

    Simple<Instance, Table> device;
    Embedder embedder;
    std::unique_ptr<Session> session;
    std::unique_ptr<Peer> channel;
};
struct Speaker : Sound<SpicePlaybackInstance, SpicePlaybackInterface> {
    Speaker()
        : Sound(SPICE_INTERFACE_PLAYBACK, SPICE_INTERFACE_PLAYBACK_MAJOR,
                SPICE_INTERFACE_PLAYBACK_MINOR, ChannelType::playback,
                wire::Capabilities::of(
                    {wire::playback::Capability::volume, wire::playback::Capability::opus})) {
        // Linked for the client is not yet attached to the device.
        spice_server_playback_set_mute(&device.instance, 0);
        EXPECT_TRUE(channel->wait<wire::playback::Mute>());
    }
    uint32_t* buffer(uint32_t& size) {
        uint32_t* samples = nullptr;
        spice_server_playback_get_buffer(&device.instance, &samples, &size);
        return samples;
    }
};
struct Microphone : Sound<SpiceRecordInstance, SpiceRecordInterface> {
    Microphone()
        : Sound(SPICE_INTERFACE_RECORD, SPICE_INTERFACE_RECORD_MAJOR, SPICE_INTERFACE_RECORD_MINOR,
                ChannelType::record, wire::Capabilities::of({wire::record::Capability::volume})) {
        spice_server_record_set_mute(&device.instance, 0);
        EXPECT_TRUE(channel->wait<wire::record::Mute>());
    }
};

TEST(Symbol, spice_server_playback_start) {
    Speaker speaker;
    spice_server_playback_start(&speaker.device.instance);
    EXPECT_EQ(speaker.channel->wait<wire::playback::Start>()->channels, 2u);
}
TEST(Symbol, spice_server_playback_stop) {
    Speaker speaker;
    spice_server_playback_start(&speaker.device.instance);
    spice_server_playback_stop(&speaker.device.instance);
    EXPECT_TRUE(speaker.channel->wait<wire::playback::Stop>());
}
TEST(Symbol, spice_server_playback_get_buffer) {
    Speaker speaker;
    uint32_t size = 1;
    EXPECT_EQ(speaker.buffer(size), nullptr);
    EXPECT_EQ(size, 0u);
    spice_server_playback_start(&speaker.device.instance);
    EXPECT_NE(speaker.buffer(size), nullptr);
    EXPECT_GT(size, 0u);
}
TEST(Symbol, spice_server_playback_put_samples) {
    Speaker speaker;
    spice_server_playback_start(&speaker.device.instance);
    uint32_t size = 0;
    uint32_t* samples = speaker.buffer(size);
    ASSERT_NE(samples, nullptr);
    std::fill_n(samples, size, 0x00010001u);
    spice_server_playback_put_samples(&speaker.device.instance, samples);
    EXPECT_TRUE(speaker.channel->wait<wire::playback::Data>());
}
TEST(Symbol, spice_server_playback_set_volume) {
    Speaker speaker;
    std::array<std::uint16_t, 2> loud = {100, 200};
    spice_server_playback_set_volume(&speaker.device.instance, 2, loud.data());
    EXPECT_EQ(speaker.channel->wait<wire::playback::Volume>()->volume,
              std::vector<std::uint16_t>(loud.begin(), loud.end()));
}
TEST(Symbol, spice_server_playback_set_mute) {
    Speaker speaker;
    spice_server_playback_set_mute(&speaker.device.instance, 1);
    EXPECT_TRUE(speaker.channel->wait<wire::playback::Mute>()->mute);
}
TEST(Symbol, spice_server_get_best_playback_rate) {
    EXPECT_EQ(spice_server_get_best_playback_rate(nullptr), 48000u);
}
TEST(Symbol, spice_server_set_playback_rate) {
    Speaker speaker;
    spice_server_set_playback_rate(&speaker.device.instance, 44100);
    spice_server_playback_start(&speaker.device.instance);
    EXPECT_EQ(speaker.channel->wait<wire::playback::Start>()->frequency, 44100u);
}
TEST(Symbol, spice_server_set_playback_compression) {
    Speaker speaker;
    spice_server_playback_start(&speaker.device.instance);
    EXPECT_EQ(speaker.channel->wait<wire::playback::Mode>()->mode, wire::AudioDataMode::opus);
    EXPECT_EQ(spice_server_set_playback_compression(speaker.embedder.server, 0), 0);
    const auto plain = speaker.session->channel(
        ChannelType::playback, wire::Capabilities::of({wire::playback::Capability::opus}));
    EXPECT_EQ(plain->wait<wire::playback::Mode>()->mode, wire::AudioDataMode::raw);
}

TEST(Symbol, spice_server_record_start) {
    Microphone microphone;
    spice_server_record_start(&microphone.device.instance);
    EXPECT_EQ(microphone.channel->wait<wire::record::Start>()->frequency, 48000u);
}
TEST(Symbol, spice_server_record_stop) {
    Microphone microphone;
    spice_server_record_start(&microphone.device.instance);
    spice_server_record_stop(&microphone.device.instance);
    EXPECT_TRUE(microphone.channel->wait<wire::record::Stop>());
}
TEST(Symbol, spice_server_record_get_samples) {
    Microphone microphone;
    spice_server_record_start(&microphone.device.instance);
    ASSERT_TRUE(microphone.channel->wait<wire::record::Start>());
    wire::record::Data data;
    data.data = wire::SharedBytes::copy(server::numbered(4096 * 4));
    microphone.channel->send(data);
    std::vector<uint32_t> heard(4096);
    uint32_t count = 0;
    EXPECT_TRUE(microphone.embedder.run_until([&] {
        count = spice_server_record_get_samples(&microphone.device.instance, heard.data(), 4096);
        return count > 0;
    }));
    EXPECT_EQ(count, 4096u);
    EXPECT_EQ(std::memcmp(heard.data(), server::numbered(4096 * 4).data(), 4096 * 4), 0);
}
TEST(Symbol, spice_server_record_set_volume) {
    Microphone microphone;
    std::array<std::uint16_t, 2> loud = {5, 6};
    spice_server_record_set_volume(&microphone.device.instance, 2, loud.data());
    EXPECT_EQ(microphone.channel->wait<wire::record::Volume>()->volume,
              std::vector<std::uint16_t>(loud.begin(), loud.end()));
}
TEST(Symbol, spice_server_record_set_mute) {
    Microphone microphone;
    spice_server_record_set_mute(&microphone.device.instance, 1);
    EXPECT_TRUE(microphone.channel->wait<wire::record::Mute>()->mute);
}
TEST(Symbol, spice_server_get_best_record_rate) {
    EXPECT_EQ(spice_server_get_best_record_rate(nullptr), 48000u);
}
TEST(Symbol, spice_server_set_record_rate) {
    Microphone microphone;
    spice_server_set_record_rate(&microphone.device.instance, 44100);
    spice_server_record_start(&microphone.device.instance);
    EXPECT_EQ(microphone.channel->wait<wire::record::Start>()->frequency, 44100u);
}

}  // namespace
}  // namespace segue::spice::abi
