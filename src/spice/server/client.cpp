// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/client.h"

#include "base/log.h"
#include "spice/server/inputs/inputs_channel.h"
#include "spice/server/server.h"
#include "spice/server/sound/playback.h"
#include "spice/wire/standby.schema.h"

namespace segue::spice::server {
namespace {

namespace main_wire = wire::main;

// A client that answers no ping for so long is gone: nobody else can tell a pulled cable.
constexpr Duration kPingInterval = 10s;
constexpr int kMostUnanswered = 3;
// A client that knows of a standby takes a silent server for a dead one: an idle guest must be
// heard.
constexpr Duration kBeat = 500ms;
// State that a client brings from another server, counted from when the machine runs here (copying
// it may take hours), and for its devices from when main's state has come.
constexpr Duration kStatePatience = 30s;
// A machine that has run here for so long did not just arrive: who says that it moves here with it
// would only pass by what is asked of every other client.
constexpr Duration kArrivalBound = 60s;
// Once main has come, the other channels follow as fast as the line brings what is before MIGRATE.
constexpr Duration kComeTime = 5s;
// Whoever logs in opens its channels at once, and not all that there are.
constexpr Duration kLoginTime = 2s;
// spice-gtk now and then leaves the main connection open behind it when it has gone. Once nothing
// else is left of it, and nothing more is to be said, it is given so long to close that itself.
constexpr Duration kLeftTime = 500ms;

main_wire::Destination destination_of(const MigrationDestination& destination) {
    constexpr std::uint16_t kNone = 0xffff;
    main_wire::Destination made;
    made.port = destination.port < 0 ? kNone : static_cast<std::uint16_t>(destination.port);
    made.secure_port =
        destination.secure_port < 0 ? kNone : static_cast<std::uint16_t>(destination.secure_port);
    made.host = destination.host;
    made.certificate_subject = destination.certificate_subject;
    return made;
}

}  // namespace

Client::Client(Server& server, ClientId id, LinkedSocket main)
    : server_(server),
      id_(id),
      connection_id_(main.connection_id),
      main_link_(main.id),
      main_peer_(main.peer) {
    if (main.is_migration_target) target_.emplace();
    ChannelSetup setup = main.setup;
    // The main channel runs while the client is parked; its state comes only in a seamless move.
    setup.expects_data = main.is_migration_target;
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
    if (unanswered_pings_ >= kMostUnanswered && !main_->is_migrating()) {
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
    parked_.push_back(std::move(socket));
    server_.tell({control::EventKind::client_parked, id_, 0, 0, parked_.size()});
}

void Client::connect(LinkedSocket socket, bool expects_data) {
    const LinkId link = socket.id;
    socket.setup.expects_data = expects_data;
    // A client links a channel once. A second link is its new attempt: the old one is dead, also
    // where it comes here after the new one.
    for (const auto& [old_link, old] : channels_) {
        if (old.key != socket.setup.key) continue;
        if (old_link > link) return server_.peer_event(PeerEvent::disconnected, *socket.peer);
        if (old.display != nullptr) old.display->disconnect(old_link);
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

void Client::connect_parked(bool expects_data) {
    std::vector<LinkedSocket> waiting = std::move(parked_);
    parked_.clear();
    for (LinkedSocket& socket : waiting)
        connect(std::move(socket), expects_data);
}

void Client::channel_lost(LinkId link) {
    const auto found = channels_.find(link);
    if (found == channels_.end()) return;
    const std::shared_ptr<PeerInfo> peer = found->second.peer;
    channels_.erase(found);
    server_.peer_event(PeerEvent::disconnected, *peer);
    channel_came(link);
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
    if (is_settled() && !was_told_to_link_) say_added();
}

void Client::say_added() {
    std::set<ChannelKey> keys = std::exchange(added_meanwhile_, {});
    for (const auto& [link, channel] : channels_)
        keys.erase(channel.key);
    if (!keys.empty()) say_channels({keys.begin(), keys.end()});
}

void Client::move_is_off() {
    if (std::exchange(was_told_to_link_, false)) say_added();
}

void Client::channel_gone(ChannelKey key) {
    added_meanwhile_.erase(key);
    to_link_.erase(key);
    for (const auto& [link, channel] : channels_) {
        if (channel.key == key) server_.close_channel(link);
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

// --- Source of a hand-over ----------------------------------------------------------------------

MigrationSource::Ability Client::ability() const {
    const wire::Capabilities& caps = main_->setup().client_caps;
    if (caps.has(main_wire::Capability::seamless_migrate) &&
        caps.has(main_wire::Capability::agent_connected_tokens)) {
        return MigrationSource::Ability::seamless;
    }
    return caps.has(main_wire::Capability::semi_seamless_migrate)
               ? MigrationSource::Ability::semi_seamless
               : MigrationSource::Ability::switch_host;
}

void Client::send_begin(const MigrationDestination& destination, bool seamless) {
    was_told_to_link_ = true;
    if (seamless) {
        main_wire::MigrateBeginSeamless begin;
        begin.destination = destination_of(destination);
        begin.source_version = MigrationTarget::kProtocolVersion;
        main_->begin_migration(begin);
        return;
    }
    main_wire::MigrateBegin begin;
    begin.destination = destination_of(destination);
    main_->begin_migration(begin);
}

void Client::send_switch_host(const MigrationDestination& destination) {
    main_wire::MigrateSwitchHost message;
    message.destination = destination_of(destination);
    main_->say(message);
}

void Client::send_standby(const MigrationDestination& standby, bool machine_runs) {
    const wire::Capabilities& caps = main_->setup().client_caps;
    if (!caps.has(wire::standby::Capability::knows_standby)) return;
    wire::standby::StandbyHost message;
    message.destination = destination_of(standby);
    message.source =
        machine_runs ? wire::standby::SourceState::runs : wire::standby::SourceState::stands_still;
    main_->say(message);
    beat_timer_.reset();
    if (standby.host.empty()) return;
    beat_timer_ = server_.home().make_timer([this] { beat(); });
    beat_timer_->start(kBeat);
}

void Client::beat() {
    if (!main_->is_migrating()) main_->ping();
    beat_timer_->start(kBeat);
}

Result<> Client::migrate_linked(Linked linked) {
    const auto answer = linked == Linked::seamless        ? MigrationSource::Answer::seamless
                        : linked == Linked::semi_seamless ? MigrationSource::Answer::semi_seamless
                                                          : MigrationSource::Answer::failed;
    server_.client_answered(id_, answer);
    return {};
}

void Client::migrate_channels(bool carried) {
    caches_->freeze();
    for (auto& [link, channel] : channels_) {
        if (channel.display != nullptr) {
            channel.display->migrate(link, carried);
        } else {
            channel.driver->channel().migrate();
        }
    }
    main_->migrate();
}

bool Client::carried_state(bool freeze, CarriedParts& parts) {
    bool any = false;
    for (const auto& [link, channel] : channels_) {
        if (channel.display == nullptr) continue;
        std::optional<Display::Carried> carried = channel.display->carried_state(link, freeze);
        if (!carried) continue;
        parts[{connection_id_, channel.key, CarriedSection::blob}] = std::move(carried->state);
        if (!carried->shown.empty())
            parts[{connection_id_, channel.key, CarriedSection::shown}] = std::move(carried->shown);
        any = true;
    }
    return any;
}

void Client::set_state_key(const StateKey& key) {
    main_->set_state_key(key);
    for (const auto& [link, channel] : channels_) {
        if (channel.display != nullptr) {
            channel.display->set_state_key(link, key);
        } else {
            channel.driver->channel().set_state_key(key);
        }
    }
}

void Client::thaw() {
    for (const auto& [link, channel] : channels_) {
        if (channel.display != nullptr) channel.display->thaw();
    }
}

void Client::main_migrates() {
    server_.devices().agent().before_migrate(id_);
}

MainState Client::main_state() {
    Agent::Carried carried = server_.devices().agent().capture(id_);
    return {std::move(carried.state), std::move(carried.more)};
}

// --- Target of a hand-over ----------------------------------------------------------------------

Result<> Client::migrate_do_seamless(std::uint32_t source_version) {
    if (!target_)
        return fail(ErrorCode::protocol, "main: DO_SEAMLESS from a client that is no migration");
    if (server_.runs_for() > kArrivalBound) {
        main_->say(main_wire::MigrateDstSeamlessNack{});
        return {};
    }
    perform(TRY(target_->do_seamless(source_version)));
    return {};
}

void Client::take_state(CarriedParts& parts) {
    for (const auto& [link, channel] : channels_) {
        if (channel.display == nullptr) continue;
        const auto take = [this, &parts, &key = channel.key](CarriedSection section) {
            const auto part = parts.find({connection_id_, key, section});
            if (part == parts.end()) return Bytes{};
            Bytes bytes = std::move(part->second);
            parts.erase(part);
            return bytes;
        };
        Display::Carried carried;
        carried.state = take(CarriedSection::blob);
        carried.shown = take(CarriedSection::shown);
        const Bytes wish = take(CarriedSection::wish);
        if (!wish.empty()) carried.wish = static_cast<ImageCompression>(wish.front());
        channel.display->take_state(link, std::move(carried));
    }
}

// Devices that a client keeps waiting go on: what they had under way is lost.
void Client::state_is_late() {
    if (const auto late = target_->late()) perform(*late);
    server_.devices().agent().expect_no_more(id_);
    for (const auto& [link, channel] : channels_) {
        if (!channel.driver || !channel.driver->channel().is_held()) continue;
        log_warning("spice", "client {} brings no state of {}: it goes on without", id_,
                    name_of(channel.key));
        channel.driver->channel().stop_waiting();
    }
}

Result<> Client::migrate_end() {
    if (!target_)
        return fail(ErrorCode::protocol, "main: MIGRATE_END from a client that is no migration");
    perform(TRY(target_->migrate_end()));
    server_.machine_is_here();
    say_added();
    return {};
}

Result<> Client::restore_main(const MainState& state) {
    if (!target_) return fail(ErrorCode::protocol, "main: state of a client that is no migration");
    overtaken_ = server_.admission().links_on_their_way(connection_id_);
    const bool is_late = target_->state() == MigrationTarget::State::settled;
    perform(TRY(target_->state_came()));
    server_.machine_is_here();
    server_.give_state(*this);
    // The agent has talked without its client since: what stood in the middle then is of no use.
    Agent::Carried carried;
    if (!is_late) carried = {state.blob, state.agent};
    server_.devices().agent().restore(id_, *this, carried);
    main_wire::MultiMediaTime time;
    time.time = server_.session().multi_media_time;
    main_->say(time);
    mouse_mode_changed();
    say_added();
    return {};
}

// These say something as soon as they are used here: their state, or what SET_ACK asks for.
void Client::await(LinkId link, ChannelKey key) {
    const bool is_sure =
        key.type == wire::ChannelType::inputs ||
        ((key.type == wire::ChannelType::display || key.type == wire::ChannelType::cursor) &&
         server_.display_of(key.id) != nullptr);
    if (is_sure) awaited_.insert(link);
}

void Client::channel_came(LinkId link) {
    if (awaited_.erase(link) != 0) see_who_came();
}

// One that is told to go on while it still has channels at the server that it came from gives up,
// and has to log in again.
void Client::see_who_came() {
    if (!has_come() || std::exchange(told_that_it_came_, true)) return;
    come_timer_->cancel();
    server_.client_settled(id_);
    if (target_) server_.tell_standby(*this);
}

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
            come_timer_ = server_.home().make_timer([this] {
                awaited_.clear();
                overtaken_.clear();
                see_who_came();
            });
            come_timer_->start(kComeTime);
            see_who_came();
            if (alive_timer_) continue;
            alive_timer_ = server_.home().make_timer([this] { check_alive(); });
            alive_timer_->start(kPingInterval);
        }
    }
}

}  // namespace segue::spice::server
