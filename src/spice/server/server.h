// SPDX-License-Identifier: LGPL-2.1-or-later
// A SPICE server: the devices of one machine, and the clients that use them. Everything here is
// called on the home thread (the one that called start()), or with the embedder's lock held, which
// keeps the home thread out.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "spice/server/chardev/char_devices.h"
#include "spice/server/client.h"
#include "spice/server/display/display.h"
#include "spice/server/inputs/inputs_channel.h"
#include "spice/server/link/link_server.h"
#include "spice/server/migration/source.h"
#include "spice/server/options.h"
#include "spice/server/output_gate.h"
#include "spice/server/sound/sound_devices.h"

namespace segue::spice::server {

class Server final : private InputSink {
  public:
    explicit Server(LoopMaker make_loop = make_asio_loop);
    ~Server() override;
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    // Changes of the options count from the next apply_options() on; start() applies them too.
    Options& options() { return options_; }
    void apply_options();

    // Binds the ports and starts the I/O thread. `home` and `events` outlive the server.
    Result<> start(Loop& home, HostEvents& events);
    bool is_started() const { return home_ != nullptr; }
    Loop& home() { return *home_; }

    // --- Devices ---------------------------------------------------------------------------------
    Result<Display*> add_display(std::unique_ptr<DisplayDevice> device);
    void remove_display(Display* display);
    Result<> set_keyboard(std::unique_ptr<KeyboardDevice> keyboard);
    Result<> set_mouse(std::unique_ptr<MouseDevice> mouse);
    // Null takes the tablet away.
    Result<> set_tablet(std::unique_ptr<TabletDevice> tablet);
    void set_migration_observer(std::unique_ptr<MigrationObserver> observer);
    Result<DeviceHandle*> add_char_device(std::unique_ptr<CharDevice> device);
    void remove_char_device(DeviceHandle* handle);
    Result<Playback*> add_playback();
    Result<Record*> add_record();
    template <class Device>
    void remove_sound(Device* device) {
        if (sound_) sound_->remove(device);
    }
    void leds_changed(std::uint8_t leds);
    // The primary surface of a display was made: the pointer's space is its size.
    void primary_changed(int width, int height, bool mouse_mode);
    // How pictures go; clients that are here are asked no questions.
    void set_image_compression(ImageCompression compression);
    void set_jpeg(WanCompression compression);
    void set_zlib_glz(WanCompression compression);
    void set_streaming_video(int value);
    // Where the guest sees this display's device ("pci/0000/02.0"), and which of its outputs are
    // this display's monitors: for the guest's agent.
    void set_device_info(Display* display, const std::string& address, std::uint32_t first_output,
                         std::uint32_t outputs);

    // --- The machine -----------------------------------------------------------------------------
    void vm_start();
    void vm_stop();
    // It was loaded from another host, and may be paused.
    void machine_arrived();

    // --- Clients ---------------------------------------------------------------------------------
    // Takes the socket over when it succeeds.
    Result<> add_connection(int socket, bool tls, bool skip_auth);
    int client_count() const { return static_cast<int>(clients_.size()); }
    Result<> set_ticket(Ticket ticket, bool fail_if_connected, bool disconnect_if_connected);
    bool is_server_mouse() const { return mouse_mode_ == wire::main::MouseMode::server; }

    // --- Migration -------------------------------------------------------------------------------
    Result<> migrate_connect(const MigrationDestination& destination);
    Result<> migrate_start();
    // False: nobody told the clients where to go.
    bool migrate_end(bool moved);
    // The old way (before 2011): a destination, and all clients sent there.
    Result<> migrate_info(const MigrationDestination& destination);
    Result<> migrate_switch();

    // --- For Client ------------------------------------------------------------------------------
    struct Session {
        std::vector<ChannelKey> channels;
        wire::main::MouseMode supported_modes{};
        wire::main::MouseMode mode{};
        std::uint32_t multi_media_time = 0;
        std::uint32_t displays = 0;
    };
    Session session() const;
    EncoderOptions encoder_options() const;
    Display* display_of(std::uint8_t id);
    bool is_running() const { return running_; }
    bool has_machine_arrived() const { return has_machine_arrived_; }
    // The machine has gone: its clients are waited for as the table says, pings or not.
    bool is_leaving() const { return source_.is_leaving(); }
    // Zero while it stands still.
    Duration runs_for() const { return running_ ? home_->now() - runs_since_ : Duration{}; }
    // A client that moved here knows that its machine has arrived, be it paused.
    void machine_is_here();
    InputSink& inputs() { return *this; }
    CharDevices& devices() { return *devices_; }
    // Null: no such channel, or it is in use.
    std::unique_ptr<Channel> make_device_channel(const ChannelSetup& setup, ChannelOutput& output,
                                                 bool is_remote);
    // As soon as nothing of it is on the stack.
    void close_channel(LinkId link);
    const Clock& clock() const { return home_->clock(); }
    const Admission& admission() const { return *admission_; }
    void want_mouse_mode(wire::main::MouseMode mode);
    void client_answered(ClientId client, MigrationSource::Answer answer);
    // A client that came from another server is here.
    void client_settled(ClientId client);
    // While this machine is protected a client is told where it would go on.
    void tell_standby(Client& client);
    // What a state that comes through a client must be sealed with.
    const std::optional<StateKey>& arrived_key() const { return arrived_key_; }
    // What has come for this client beside it.
    void give_state(Client& client);
    std::uint32_t media_offset() const { return media_offset_; }
    // The machine's media time goes on as it was where the machine came from. `is_sure`: that
    // server has said so, and not only a client.
    void continue_media_time(std::uint32_t there, bool is_sure);
    // The client goes as soon as nothing of it is on the stack.
    void drop_client(ClientId client, const std::string& reason);
    void peer_event(PeerEvent event, const PeerInfo& peer);
    void tell(const control::Event& event);

  private:
    void encoding_changed();
    void scancode(std::uint8_t byte) override;
    std::uint8_t leds() override;
    void mouse_motion(int dx, int dy, int dz, std::uint32_t buttons) override;
    void mouse_buttons(std::uint32_t buttons) override;
    void tablet_position(int x, int y, std::uint32_t buttons, std::uint8_t display) override;
    void tablet_wheel(int motion, std::uint32_t buttons) override;
    void tablet_buttons(std::uint32_t buttons) override;
    bool absolute_pointer() const override;
    MachineState machine() const override;
    Instant now() const override { return home_->now(); }

    void on_linked(LinkedSocket socket);
    void remove_client(ClientId client, const std::string& reason);
    Client* find_session(std::uint32_t connection_id);
    Client* find_client(ClientId client);
    void channel_lost(LinkId link);
    void channel_came(LinkId link);
    void refuse(LinkedSocket socket, const std::string& why);
    void update_mouse_mode();
    void make_devices();
    Bytes graphics_devices() const;
    std::uint32_t media_time() const;
    void take_media_time(Instant came_at);
    void take_mouse_mode();
    void give_port_states();
    void channel_added(ChannelKey key);
    void channel_gone(ChannelKey key);
    bool agent_has_mouse() const;
    void tell_agent_mouse(std::uint32_t buttons, std::uint32_t wheel);
    Result<> listen_all();
    Result<> load_tls();
    void perform(const MigrationSource::Actions& actions,
                 const std::optional<MigrationDestination>& destination);
    std::vector<ClientId> present() const;
    // Whether they are still, or again, silent is known when they are asked next.
    struct Silence {
        std::set<ClientId> silent;
        std::set<ClientId> woken;
    };
    Silence ask_clients();
    struct StatusAnswer;
    void tell_status(StatusReply reply);
    void set_standby(const control::StandbyPlace& place);
    void gate_moved();
    void carry_state();
    void tell_last_state();
    void take_last_state_back();
    void drop_state();
    void withdraw();
    void machine_stays();
    void moves_are_off();
    void state_taken();
    void state_arrived(CarriedParts parts, const StateKey& key, Instant came_at);
    void video_lead_changed(LinkId link, Duration lead);
    void wish_came_late(LinkId link, ImageCompression wish);
    void collect_state(bool freeze, StateCollection::Done done);
    void collect_first_state(const std::optional<StateKey>& key);
    void stop_collecting();
    MigrationSource::Carry carry() const;

    const LoopMaker make_loop_;
    Options options_;
    Loop* home_ = nullptr;
    HostEvents* events_ = nullptr;
    std::shared_ptr<Admission> admission_ = std::make_shared<Admission>();
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
    Instant started_{};

    std::unique_ptr<KeyboardDevice> keyboard_;
    std::unique_ptr<MouseDevice> mouse_;
    std::unique_ptr<TabletDevice> tablet_;
    std::unique_ptr<MigrationObserver> migration_observer_;
    std::shared_ptr<PendingTotal> pending_total_ = std::make_shared<PendingTotal>();
    std::vector<std::unique_ptr<Display>> displays_;
    struct DeviceInfo {
        std::string address;
        std::uint32_t first_output = 0;
        std::uint32_t outputs = 0;
    };
    std::map<const Display*, DeviceInfo> device_infos_;
    std::unique_ptr<CharDevices> devices_;  // from start() on, as sound_
    std::unique_ptr<SoundDevices> sound_;
    AgentMouse agent_mouse_;
    bool running_ = false;
    bool has_machine_arrived_ = false;
    Instant runs_since_{};

    bool primary_allows_tablet_ = true;
    bool absolute_allowed_ = false;  // a client may point in absolute coordinates
    int pointer_width_ = 0;
    int pointer_height_ = 0;
    wire::main::MouseMode mouse_mode_ = wire::main::MouseMode::server;
    // As it was where the machine came from: taken on as soon as the devices allow it.
    std::optional<wire::main::MouseMode> brought_mode_;

    MigrationSource source_;
    std::unique_ptr<Timer> source_timer_;
    std::optional<MigrationDestination> switch_destination_;
    std::optional<control::StandbyPlace> standby_;
    // From start() on.
    std::shared_ptr<OutputGate> gate_;
    bool picture_held_ = false;  // when it was looked at last
    // The state that goes to the target beside the clients, and what was told of it.
    StateSender sender_;
    std::shared_ptr<StateCollection::Outcome> collected_;
    // A first state is being put together; the machine has stopped since.
    std::uint64_t collections_ = 0;
    bool is_collecting_first_ = false;
    bool wants_last_ = false;
    // What came so, until its channels take it.
    CarriedParts arrived_state_;
    std::optional<StateKey> arrived_key_;
    // Of its parts, what stands in the devices' ports: given to them once.
    enum class PortStates : std::uint8_t { none, expected, here };
    PortStates port_states_ = PortStates::none;
    // What the media time is ahead of this host's clock, in ms; modulo 2^32, as that.
    std::uint32_t media_offset_ = 0;
    bool media_time_goes_on_ = false;
    bool only_client_told_time_ = false;
    SystemRandom random_;

    std::vector<std::unique_ptr<Client>> clients_;
    ClientId last_client_ = 0;
    std::unique_ptr<LinkServer> links_;
};

}  // namespace segue::spice::server
