// SPDX-License-Identifier: LGPL-2.1-or-later
// One client: its session, its channels, and its part of a hand-over. Home thread.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "spice/server/agent/agent.h"
#include "spice/server/channel_driver.h"
#include "spice/server/display/client/client_caches.h"
#include "spice/server/linked_socket.h"
#include "spice/server/main/main_channel.h"
#include "spice/server/migration/carried_state.h"
#include "spice/server/migration/seal.h"
#include "spice/server/migration/source.h"
#include "spice/server/migration/state_collection.h"
#include "spice/server/migration/target.h"

namespace segue::spice::server {

class Server;
class Display;
class InputsChannel;
class PlaybackChannel;

// One channel of a client, as the home thread knows it. Display and pointer live on the worker of
// their device; the others here.
struct ClientChannel {
    ChannelKey key;
    std::shared_ptr<PeerInfo> peer;
    Display* display = nullptr;
    std::unique_ptr<ChannelDriver> driver;
    InputsChannel* inputs = nullptr;
    PlaybackChannel* playback = nullptr;
};

class Client final : private MainEvents, private Agent::User {
  public:
    Client(Server& server, ClientId id, LinkedSocket main);
    ~Client() override;

    void start();
    // Another channel of this session was linked.
    void channel_linked(LinkedSocket socket);
    // The connection of a channel other than main is over.
    void channel_lost(LinkId link);

    ClientId id() const { return id_; }
    std::uint32_t connection_id() const { return connection_id_; }
    LinkId main_link() const { return main_link_; }
    MainChannel& main() { return *main_; }
    const std::map<LinkId, ClientChannel>& channels() const { return channels_; }
    std::size_t parked() const { return parked_.size(); }
    bool moved_here() const { return target_.has_value(); }
    bool is_settled() const {
        return !target_ || target_->state() == MigrationTarget::State::settled;
    }
    // Of one that moves here: all its channels have left the other server, and those of devices
    // that went meanwhile are closed; of one that logs in: it has linked those that it was told of.
    bool has_come() const { return has_moved() && gone_meanwhile_.empty(); }
    // It uses a channel.
    void channel_came(LinkId link);
    MigrationSource::Ability ability() const;
    std::optional<Duration> round_trip_time() const { return round_trip_; }
    control::ChannelStatus main_status() const { return main_driver_->status(); }

    // --- Source of a hand-over ---
    void send_begin(const MigrationDestination& destination, bool seamless);
    void send_cancel();
    // The machine stays, whatever this client was told.
    void move_is_off();
    // It goes because it was told to.
    bool was_sent_away() const { return was_sent_away_; }
    void send_end();
    void send_switch_host(const MigrationDestination& destination);
    // Where the machine goes on if this host dies; an empty host: nowhere. Not every client knows
    // the word.
    void send_standby(const MigrationDestination& standby, bool machine_runs);
    // `carried`: what the target has of it already; null: nothing.
    void migrate_channels(const StateCollection::Outcome* carried);
    // What travels beside this client.
    void collect_state(bool freeze, const std::shared_ptr<StateCollection>& into);
    void thaw();
    // What goes through it is sealed.
    void seal_states(const StateKey& key);

    // --- Target of a hand-over ---
    // Its state came from the source's server; what belongs to its channels is taken out.
    void take_state(CarriedParts& parts);
    // What it brings must be sealed, and what it has brought.
    void expect_seals(const StateKey& key);

    // --- What changes for all clients ---
    void mouse_mode_changed();
    // The pictures of its videos come so long before they are due: its sound is to wait as long.
    void video_lead_changed(Duration lead);
    void leds_changed(std::uint8_t leds);
    void media_time_changed();
    void machine_runs();
    // What waited at the gate of a protected machine may leave.
    void leave_gate();
    // Its machine is here, paused or not: who has not followed it by a certain time never will.
    void bound_absence();
    void display_removed(Display* display);
    // A device was added: the client may link its channel.
    void channel_added(ChannelKey key);
    // Its device was taken away: the connection ends when nothing of it is on the stack.
    void channel_gone(ChannelKey key);

  private:
    Result<> attach_channels() override;
    Result<> want_mouse_mode(wire::main::MouseMode mode) override;
    Result<> agent_start(std::uint32_t tokens) override;
    Result<> agent_data(const wire::SharedBytes& data) override;
    Result<> agent_tokens(std::uint32_t tokens) override;
    void main_room() override;
    void main_migrates() override;
    void agent_connected(std::uint32_t tokens) override;
    void agent_disconnected() override;
    void agent_says(wire::SharedBytes piece) override;
    void agent_grants(std::uint32_t tokens) override;
    bool agent_has_room() const override { return main_->has_room(); }
    Result<> migrate_linked(Linked linked) override;
    Result<> migrate_end() override;
    Result<> migrate_do_seamless(std::uint32_t source_version) override;
    Result<> restore_main(const MainState& state) override;
    MainState main_state() override;
    void round_trip(Duration time) override { round_trip_ = time; }

    bool has_moved() const {
        return is_settled() && !is_absent_ && (target_ || knows_channels_) && to_link_.empty() &&
               awaited_.empty() && overtaken_.empty();
    }
    void take_home_state(ClientChannel& channel, Bytes state);
    void perform(const MigrationTarget::Actions& actions);
    void begin_session();
    void connect(LinkedSocket socket, bool expects_data);
    void connect_device(ClientChannel& channel, LinkedSocket socket);
    void connect_parked(bool expects_data);
    void check_alive();
    void park(LinkedSocket socket);
    void parked_lost(LinkId link);
    void watch_arrival();
    void say_channels(const std::vector<ChannelKey>& keys);
    void say_added();
    void await(LinkId link, ChannelKey key);
    void see_who_came();
    void see_who_left();
    void beat();
    void state_is_late();

    Server& server_;
    const ClientId id_;
    const std::uint32_t connection_id_;
    const LinkId main_link_;
    std::shared_ptr<PeerInfo> main_peer_;
    std::unique_ptr<ChannelDriver> main_driver_;
    MainChannel* main_ = nullptr;
    std::map<LinkId, ClientChannel> channels_;
    // Of its display channels, on their workers.
    const std::shared_ptr<ClientCaches> caches_ = std::make_shared<ClientCaches>();
    const std::shared_ptr<EarlyStates> early_states_ = std::make_shared<EarlyStates>();
    // Of a client that moves here: linked, but not running yet.
    std::optional<MigrationTarget> target_;
    std::vector<LinkedSocket> parked_;
    // Of a login: told of its channels, and of which it has not linked yet.
    bool knows_channels_ = false;
    std::set<ChannelKey> to_link_;
    // Channels that were plugged in while it was between two servers: it is told of them when it is
    // at one, since it could not open them at both.
    bool was_told_to_link_ = false;
    bool was_sent_away_ = false;
    std::set<ChannelKey> added_meanwhile_;
    // And of one that is not here yet: its links to what was unplugged, to be closed when it has
    // come. The device may have been plugged in again since, and linked anew.
    std::set<LinkId> gone_meanwhile_;
    // Its machine's devices went on without its state, and it has not said a word here since.
    bool is_absent_ = false;
    // Linked, but still on their way here when the state came: they are to be restored, too.
    std::set<LinkId> overtaken_;
    // Linked and told of, but not used yet: the client still talks to the other server there.
    std::set<LinkId> awaited_;
    std::unique_ptr<Timer> come_timer_;
    std::unique_ptr<Timer> left_timer_;
    bool told_that_it_came_ = false;
    std::unique_ptr<Timer> alive_timer_;
    std::unique_ptr<Timer> state_timer_;
    std::unique_ptr<Timer> absence_timer_;
    bool is_machine_here_ = false;
    std::unique_ptr<Timer> beat_timer_;
    int unanswered_pings_ = 0;
    std::optional<Duration> round_trip_;
    std::optional<std::uint32_t> sound_latency_ms_;
};

}  // namespace segue::spice::server
