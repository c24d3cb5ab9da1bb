// SPDX-License-Identifier: LGPL-2.1-or-later
// Any messages of a hostile server, and of a hostile agent in the guest, to the channels that have
// no picture: u8 channel, u16 number, u16 size, body.
#include "spice/client/agent/agent.h"
#include "spice/client/cursor_channel.h"
#include "spice/client/devices/smartcard_channel.h"
#include "spice/client/devices/stream_channel.h"
#include "spice/client/inputs_channel.h"
#include "spice/client/main_channel.h"
#include "spice/client/sound/playback_channel.h"
#include "spice/client/sound/record_channel.h"

using namespace segue;
using namespace segue::spice;
using namespace segue::spice::client;

namespace {

class Nobody final : public ChannelHost,
                     public MainListener,
                     public AgentListener,
                     public SoundListener,
                     public StreamListener,
                     public SmartcardListener {
  public:
    void on_migrate(ChannelKey, wire::common::MigrateFlags flags) override { last_flags = flags; }
    void on_ready_to_move(ChannelKey) override {}
    bool is_done(const wire::WaitForChannel& wait) override { return wait.message_serial % 2 == 0; }
    void on_disconnecting(ChannelKey, wire::LinkError) override {}
    void on_init(const wire::main::Init&) override {}
    void on_channels(const std::vector<ChannelKey>&) override {}
    void on_mouse_mode(wire::main::MouseMode) override {}
    Result<> on_uuid(const std::array<std::uint8_t, 16>&) override { return {}; }
    void on_media_time(std::uint32_t) override {}
    Result<> on_name(const std::string&) override { return {}; }
    void on_migrate_begin(const wire::main::Destination&, std::optional<std::uint32_t>) override {}
    void on_migrate_cancel() override {}
    void on_migrate_end() override {}
    void on_switch_host(const wire::main::Destination&) override {}
    void on_standby_host(const wire::standby::StandbyHost&) override {}
    void on_agent(bool connected) override { agent.on_connected(connected); }
    void on_agent_data(ByteView bytes) override { agent.on_data(bytes); }
    void on_agent_drained() override { agent.on_drained(); }
    void on_guest_request(wire::agent::Selection selection,
                          wire::agent::ClipboardType type) override {
        agent.send_clipboard(selection, type, as_bytes("text"));
    }
    void on_file_wanted(std::uint32_t id, std::size_t size) override {
        agent.files().give(id, Bytes(size));
    }

    wire::common::MigrateFlags last_flags{};
    MainChannel* main = nullptr;
    Agent agent{[this](ByteView bytes) { return main->send_agent(bytes); }, *this};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    set_log_level(LogLevel::error);
    Nobody nobody;
    Settings settings;
    MainChannel main({wire::ChannelType::main, 0}, nobody, nobody, settings);
    InputsChannel inputs({wire::ChannelType::inputs, 0}, nobody, false, [](auto) {});
    CursorChannel cursor({wire::ChannelType::cursor, 0}, nobody, [](const CursorState&) {});
    PlaybackChannel playback({wire::ChannelType::playback, 0}, nobody, nobody);
    RecordChannel record({wire::ChannelType::record, 0}, nobody, nobody);
    StreamChannel port({wire::ChannelType::port, 0}, nobody, nobody, false);
    SmartcardChannel smartcard({wire::ChannelType::smartcard, 0}, nobody, nobody);
    nobody.main = &main;
    Channel* channels[] = {&main, &inputs, &cursor, &playback, &record, &port, &smartcard, &main};
    const auto attach = [](Channel& channel) {
        channel.attach([](const wire::EncodedMessage& message) { (void)message.body(); }, {}, true);
    };
    for (Channel* channel : channels)
        attach(*channel);
    LittleReader in({data, size});
    std::uint64_t serial = 0;
    while (in.remaining() >= 5) {
        const std::uint8_t choice = in.u8();
        Channel& channel = *channels[choice % 8];
        const std::uint16_t number = in.u16();
        const std::size_t body = std::min<std::size_t>(in.u16(), in.remaining());
        (void)channel.receive({number, ++serial, wire::SharedBytes::copy(in.bytes(body))});
        (void)channel.resume();
        if (choice & 0x80) channel.begin_move(nobody.last_flags);
        if (choice & 0x40) (void)channel.take_state();
        if (choice & 0x20) {
            channel.reset(ResetReason::switching);
            attach(channel);
        }
        if (choice & 0x10) inputs.motion(choice, -choice);
        if (choice & 0x08) {
            (void)nobody.agent.files().start("file", choice);
            record.give(std::vector<std::int16_t>(2000), choice);
            port.give({data, size});
            smartcard.send_atr(choice, {data, std::min<std::size_t>(size, 100)});
        }
    }
    return 0;
}
