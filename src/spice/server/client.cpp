// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/client.h"

#include <algorithm>

#include "base/log.h"
#include "spice/server/inputs/inputs_channel.h"
#include "spice/server/server.h"
#include "spice/server/sound/playback.h"

namespace segue::spice::server {
namespace {

namespace main_wire = wire::main;

// A client that answers no ping for so long is gone: nobody else can tell a pulled cable.
constexpr Duration kPingInterval = 10s;
constexpr int kMostUnanswered = 3;
// State that a client brings from another server, counted from when the machine runs here (copying
// it may take hours), and for its devices from when main's state has come.
constexpr Duration kStatePatience = 30s;
// A client that is linked here, and whose machine runs: it has so long to come, or it is gone. A
// little more than the source waits for one that stands still.
constexpr Duration kAbsentTime = MigrationSource::kSilentTime + 20s;
// Where nobody says that a machine has arrived, and it stays paused: longer than memory is copied.
constexpr Duration kParkedTime = std::chrono::hours(24);
// What may be read of a channel that is parked: its client has nothing to say there yet.
constexpr std::size_t kMostParkedBytes = std::size_t{64} << 10;
// Once main has come, the other channels follow as fast as the line brings what is before MIGRATE.
constexpr Duration kComeTime = 5s;
// Whoever logs in opens its channels at once, and not all that there are.
constexpr Duration kLoginTime = 2s;
// spice-gtk now and then leaves the main connection open behind it when it has gone. Once nothing
// else is left of it, and nothing more is to be said, it is given so long to close that itself.
constexpr Duration kLeftTime = 500ms;

}  // namespace

Client::Client(Server& server, ClientId id, LinkedSocket main)
    : server_(server),
      id_(id),
      connection_id_(main.connection_id),
      main_link_(main.id),
      main_peer_(main.peer) {
    if (main.is_migration_target) target_.emplace();
    media_time_changed();
    ChannelSetup setup = main.setup;
    // The main channel runs while the client is parked; its state comes only in a seamless move.
    setup.expects_data = main.is_migration_target;
    setup.state_key = server_.arrived_key();
    MainEvents& events = *this;
    main_driver_ = std::make_unique<ChannelDriver>(
        server_.home(), std::move(main.transport),
        [&](ChannelOutput& output) {
            auto channel = std::make_unique<MainChannel>(setup, output, events, server_.clock());
            main_ = channel.get();
            return channel;
        },
        [this](const std::string& reason) { server_.drop_client(id_, reason); });
}

Client::~Client() {
    server_.devices().agent().leave(id_);
    for (auto& [link, channel] : channels_) {
        if (channel.display != nullptr) channel.display->disconnect(link);
        server_.peer_event(PeerEvent::disconnected, *channel.peer);
    }
    for (const LinkedSocket& socket : parked_)
        server_.peer_event(PeerEvent::disconnected, *socket.peer);
    server_.peer_event(PeerEvent::disconnected, *main_peer_);
}

void Client::start() {
    server_.peer_event(PeerEvent::initialized, *main_peer_);
    main_driver_->start();
    if (!target_) begin_session();
    if (!target_) return;
    absence_timer_ = server_.home().make_timer([this] {
        if (!is_settled() || is_absent_)
            server_.drop_client(id_, "it has not followed its machine");
    });
    absence_timer_->start(kParkedTime);
    if (server_.is_running() || server_.has_machine_arrived()) bound_absence();
}

// A client that stands still comes when it goes on; one whose line is dead never does.
void Client::bound_absence() {
    if (target_ && !std::exchange(is_machine_here_, true)) absence_timer_->start(kAbsentTime);
}

// INIT and what follows it: at login, and when a client has moved here.
void Client::begin_session() {
    const Server::Session session = server_.session();
    main_wire::Init init;
    init.session_id = connection_id_;
    init.display_channels_hint = session.displays;
    init.supported_mouse_modes = static_cast<std::uint32_t>(session.supported_modes);
    init.current_mouse_mode = static_cast<std::uint32_t>(session.mode);
    init.multi_media_time = session.multi_media_time;
    Agent& agent = server_.devices().agent();
    agent.join(id_, *this);
    init.agent_connected = agent.is_attached() ? 1 : 0;
    init.agent_tokens = TokenAccount::kWindow;
    main_->say(init);
    if (main_->setup().client_caps.has(main_wire::Capability::name_and_uuid)) {
        if (!server_.options().name.empty()) {
            main_wire::Name name;
            name.name = server_.options().name;
            main_->say(name);
        }
        if (server_.options().uuid) {
            main_wire::Uuid uuid;
            uuid.uuid = *server_.options().uuid;
            main_->say(uuid);
        }
    }
    alive_timer_ = server_.home().make_timer([this] { check_alive(); });
    alive_timer_->start(kPingInterval);
    main_->ping();
}

void Client::check_alive() {
    unanswered_pings_ = main_->is_ping_answered() ? 0 : unanswered_pings_ + 1;
    if (unanswered_pings_ >= kMostUnanswered && !server_.is_leaving()) {
        server_.drop_client(id_, "it answers no ping");
        return;
    }
    main_->ping();
    alive_timer_->start(kPingInterval);
}

Result<> Client::attach_channels() {
    const std::vector<ChannelKey> keys = server_.session().channels;
    say_channels(keys);
    added_meanwhile_.clear();
    server_.tell_standby(*this);
    if (target_ || std::exchange(knows_channels_, true)) return {};
    to_link_.insert(keys.begin(), keys.end());
    for (const auto& [link, channel] : channels_)
        to_link_.erase(channel.key);
    come_timer_ = server_.home().make_timer([this] {
        to_link_.clear();
        see_who_came();
    });
    come_timer_->start(kLoginTime);
    see_who_came();
    return {};
}

void Client::say_channels(const std::vector<ChannelKey>& keys) {
    main_wire::ChannelsList list;
    for (const ChannelKey& key : keys) {
        main_wire::ChannelId id;
        id.type = key.type;
        id.id = key.id;
        list.channels.push_back(id);
    }
    main_->say(list);
}

// --- Channels -----------------------------------------------------------------------------------

void Client::channel_linked(LinkedSocket socket) {
    server_.peer_event(PeerEvent::initialized, *socket.peer);
    if (!target_) {
        const ChannelKey key = socket.setup.key;
        connect(std::move(socket), false);
        if (to_link_.erase(key) != 0) see_who_came();
        return;
    }
    const bool overtaken = overtaken_.count(socket.id) != 0;
    const auto actions = target_->channel_linked(parked_.size(), overtaken);
    if (!actions) {
        log_warning("spice", "{}", actions.error().message);
        server_.peer_event(PeerEvent::disconnected, *socket.peer);
        return;
    }
    for (const MigrationTarget::Action& action : *actions) {
        const auto* connecting = std::get_if<MigrationTarget::Connect>(&action);
        if (connecting == nullptr) continue;
        const LinkId link = socket.id;
        connect(std::move(socket), connecting->expects_data);
        overtaken_.erase(link);
        return;
    }
    park(std::move(socket));
    server_.tell({control::EventKind::client_parked, id_, 0, 0, parked_.size()});
}

// Its end is noticed; what comes belongs to its channel.
void Client::park(LinkedSocket socket) {
    Transport& transport = *socket.transport;
    const LinkId link = socket.id;
    parked_.push_back(std::move(socket));
    Transport::Handlers handlers;
    handlers.on_input = [this, &transport, link](ByteView bytes) {
        // Where nobody reads nobody would see its end, either.
        if (bytes.size() > kMostParkedBytes) {
            transport.set_reading(false);
            server_.close_channel(link);
        }
        return std::size_t{};
    };
    handlers.on_lost = [this, link](const std::string&) { parked_lost(link); };
    transport.attach(server_.home(), std::move(handlers));
}

void Client::parked_lost(LinkId link) {
    const auto found = std::find_if(parked_.begin(), parked_.end(),
                                    [&](const LinkedSocket& socket) { return socket.id == link; });
    if (found == parked_.end()) return;
    const std::shared_ptr<PeerInfo> peer = found->peer;
    parked_.erase(found);
    server_.peer_event(PeerEvent::disconnected, *peer);
}

void Client::connect(LinkedSocket socket, bool expects_data) {
    const LinkId link = socket.id;
    socket.setup.expects_data = expects_data;
    socket.setup.state_key = server_.arrived_key();
    socket.setup.early_states = early_states_;
    // A client links a channel once. A second link is its new attempt: the old one is dead, also
    // where it comes here after the new one.
    for (const auto& [old_link, old] : channels_) {
        if (old.key != socket.setup.key) continue;
        if (old_link > link) return server_.peer_event(PeerEvent::disconnected, *socket.peer);
        channel_lost(old_link);
        break;
    }
    ClientChannel& channel = channels_[link];
    channel.key = socket.setup.key;
    channel.peer = socket.peer;
    if (expects_data) await(link, channel.key);
    switch (channel.key.type) {
        case wire::ChannelType::display:
        case wire::ChannelType::cursor: {
            channel.display = server_.display_of(channel.key.id);
            if (channel.display == nullptr) return connect_device(channel, std::move(socket));
            const EncoderOptions options = server_.encoder_options();
            channel.display->connect(std::move(socket), options, caches_, target_.has_value());
            if (expects_data) server_.give_state(*this);
            return;
        }
        case wire::ChannelType::inputs: {
            const ChannelSetup setup = socket.setup;
            channel.driver = std::make_unique<ChannelDriver>(
                server_.home(), std::move(socket.transport),
                [&](ChannelOutput& output) {
                    auto inputs = std::make_unique<InputsChannel>(setup, output, server_.inputs());
                    channel.inputs = inputs.get();
                    return inputs;
                },
                [this, link](const std::string&) { channel_lost(link); });
            channel.driver->channel().on_first_message = [this, link] { channel_came(link); };
            channel.driver->start();
            return;
        }
        default: connect_device(channel, std::move(socket));
    }
}

// A channel of a device that needs no thread of its own: one that is there, and that no other
// client uses.
void Client::connect_device(ClientChannel& channel, LinkedSocket socket) {
    const LinkId link = socket.id;
    const ChannelSetup setup = socket.setup;
    const bool is_remote = socket.peer->remote.ss_family != AF_UNIX;
    bool made = false;
    channel.driver = std::make_unique<ChannelDriver>(
        server_.home(), std::move(socket.transport),
        [&](ChannelOutput& output) {
            auto device = server_.make_device_channel(setup, output, is_remote);
            made = device != nullptr;
            return device;
        },
        [this, link](const std::string&) { channel_lost(link); });
    if (!made) {
        log_info("spice", "{} is closed: no such device, or another client has it",
                 name_of(setup.key));
        return channel_lost(link);
    }
    channel.driver->start();
    if (setup.key.type != wire::ChannelType::playback) return;
    channel.playback = static_cast<PlaybackChannel*>(&channel.driver->channel());
    if (sound_latency_ms_) channel.playback->say_latency(*sound_latency_ms_);
}

void Client::video_lead_changed(Duration lead) {
    sound_latency_ms_ = static_cast<std::uint32_t>(to_ms(lead));
    for (const auto& [link, channel] : channels_) {
        if (channel.playback != nullptr) channel.playback->say_latency(*sound_latency_ms_);
    }
}

void Client::leave_gate() {
    main_driver_->leave_gate();
    for (const auto& [link, channel] : channels_) {
        if (channel.driver) channel.driver->leave_gate();
    }
}

void Client::media_time_changed() {
    caches_->set_media_offset(server_.media_offset());
}

void Client::connect_parked(bool expects_data) {
    std::vector<LinkedSocket> waiting = std::move(parked_);
    parked_.clear();
    for (LinkedSocket& socket : waiting) {
        socket.transport->set_reading(true);
        socket.transport->detach();
        connect(std::move(socket), expects_data);
    }
}

void Client::channel_lost(LinkId link) {
    const auto found = channels_.find(link);
    if (found == channels_.end()) return parked_lost(link);
    const std::shared_ptr<PeerInfo> peer = found->second.peer;
    // Where it was closed here its worker still has it.
    if (found->second.display != nullptr) found->second.display->disconnect(link);
    channels_.erase(found);
    server_.peer_event(PeerEvent::disconnected, *peer);
    const bool was_awaited = awaited_.erase(link) != 0;
    const bool was_gone = gone_meanwhile_.erase(link) != 0;
    if (was_gone && has_moved()) say_added();
    if (was_awaited || was_gone) see_who_came();
    if (!channels_.empty() || !main_->is_migrating()) return;
    left_timer_ = server_.home().make_timer([this] { see_who_left(); });
    left_timer_->start(kLeftTime);
}

// The embedder, and who waits for it, learns that the client has followed when this is closed.
void Client::see_who_left() {
    if (main_->has_said_all()) return server_.drop_client(id_, "it has followed its machine");
    left_timer_->start(kLeftTime);
}

void Client::leds_changed(std::uint8_t leds) {
    for (auto& [link, channel] : channels_) {
        if (channel.inputs != nullptr) channel.inputs->leds_changed(leds);
    }
}

void Client::machine_runs() {
    bound_absence();
    if (state_timer_ && target_->state() == MigrationTarget::State::restoring)
        state_timer_->start(kStatePatience);
    for (auto& [link, channel] : channels_) {
        if (channel.inputs != nullptr) channel.inputs->machine_runs();
    }
}

void Client::display_removed(Display* display) {
    std::vector<LinkId> gone;
    for (const auto& [link, channel] : channels_) {
        if (channel.display == display) gone.push_back(link);
    }
    for (const LinkId link : gone)
        channel_lost(link);
}

void Client::channel_added(ChannelKey key) {
    added_meanwhile_.insert(key);
    // What it has not asked for yet will be in its first list.
    const bool knows = target_ ? is_settled() : knows_channels_;
    if (knows && !was_told_to_link_) say_added();
}

void Client::say_added() {
    std::set<ChannelKey> keys = std::exchange(added_meanwhile_, {});
    for (const auto& [link, channel] : channels_) {
        // Plugged in anew: told when the link to the old one is closed.
        if (keys.erase(channel.key) != 0 && gone_meanwhile_.count(link) != 0)
            added_meanwhile_.insert(channel.key);
    }
    if (!keys.empty()) say_channels({keys.begin(), keys.end()});
}

void Client::move_is_off() {
    if (std::exchange(was_told_to_link_, false)) say_added();
}

void Client::channel_gone(ChannelKey key) {
    added_meanwhile_.erase(key);
    to_link_.erase(key);
    // One that is not here yet takes the end of this connection for the end of all.
    const bool must_wait = target_ && !has_moved();
    for (const auto& [link, channel] : channels_) {
        if (channel.key != key) continue;
        if (must_wait) {
            gone_meanwhile_.insert(link);
        } else {
            server_.close_channel(link);
        }
    }
}

// --- Mouse and agent ----------------------------------------------------------------------------

void Client::mouse_mode_changed() {
    if (!is_settled()) return;
    const Server::Session session = server_.session();
    main_wire::MouseModeChanged message;
    message.supported_modes = session.supported_modes;
    message.current_mode = session.mode;
    main_->say(message);
}

Result<> Client::want_mouse_mode(main_wire::MouseMode mode) {
    server_.want_mouse_mode(mode);
    return {};
}

Result<> Client::agent_start(std::uint32_t tokens) {
    return server_.devices().agent().start(id_, tokens);
}
Result<> Client::agent_data(const wire::SharedBytes& data) {
    return server_.devices().agent().data(id_, data);
}
Result<> Client::agent_tokens(std::uint32_t tokens) {
    return server_.devices().agent().tokens(id_, tokens);
}
void Client::main_room() {
    server_.devices().agent().room(id_);
}

void Client::agent_connected(std::uint32_t tokens) {
    if (!main_->setup().client_caps.has(main_wire::Capability::agent_connected_tokens)) {
        main_->say(main_wire::AgentConnected{});
        return;
    }
    main_wire::AgentConnectedTokens message;
    message.tokens = tokens;
    main_->say(message);
}

void Client::agent_disconnected() {
    main_->say(main_wire::AgentDisconnected{});
}

void Client::agent_says(wire::SharedBytes piece) {
    main_wire::AgentData message;
    message.data = std::move(piece);
    main_->say(message);
}

void Client::agent_grants(std::uint32_t tokens) {
    main_wire::AgentToken message;
    message.tokens = tokens;
    main_->say(message);
}

// --- Target of a hand-over ----------------------------------------------------------------------

void Client::perform(const MigrationTarget::Actions& actions) {
    for (const MigrationTarget::Action& action : actions) {
        if (const auto* parked = std::get_if<MigrationTarget::ConnectParked>(&action)) {
            if (parked->expects_data) server_.devices().agent().expect(id_);
            connect_parked(parked->expects_data);
            if (!parked->expects_data) continue;
            state_timer_ = server_.home().make_timer([this] { state_is_late(); });
            if (server_.is_running()) state_timer_->start(kStatePatience);
        } else if (std::holds_alternative<MigrationTarget::SendAck>(action)) {
            main_->say(main_wire::MigrateDstSeamlessAck{});
        } else if (std::holds_alternative<MigrationTarget::SendNack>(action)) {
            main_->say(main_wire::MigrateDstSeamlessNack{});
        } else if (std::holds_alternative<MigrationTarget::SendInit>(action)) {
            begin_session();
        } else if (std::holds_alternative<MigrationTarget::Settled>(action)) {
            // What belongs to its devices may still be on its way.
            if (state_timer_) state_timer_->start(kStatePatience);
            if (!is_absent_) watch_arrival();
        }
    }
}

void Client::watch_arrival() {
    come_timer_ = server_.home().make_timer([this] {
        awaited_.clear();
        overtaken_.clear();
        see_who_came();
    });
    come_timer_->start(kComeTime);
    see_who_came();
    if (alive_timer_) return;
    alive_timer_ = server_.home().make_timer([this] { check_alive(); });
    alive_timer_->start(kPingInterval);
}

}  // namespace segue::spice::server
