// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/server.h"

#include <poll.h>

#include <algorithm>
#include <cstdlib>

#include "base/log.h"
#include "spice/server/link/listen_socket.h"
#include "spice/wire/playback.schema.h"
#include "spice/wire/record.schema.h"
#include "spice/wire/spicevmc.schema.h"

namespace segue::spice::server {
namespace {

namespace main_wire = wire::main;
using wire::ChannelType;

constexpr std::size_t kMostPassword = 60;  // SPICE_MAX_PASSWORD_LENGTH

wire::Capabilities caps_of(ChannelType type) {
    switch (type) {
        case ChannelType::main:
            return wire::Capabilities::of({main_wire::Capability::semi_seamless_migrate,
                                           main_wire::Capability::name_and_uuid,
                                           main_wire::Capability::agent_connected_tokens,
                                           main_wire::Capability::seamless_migrate});
        case ChannelType::display:
            return wire::Capabilities::of({wire::display::Capability::monitors_config,
                                           wire::display::Capability::stream_report,
                                           wire::display::Capability::pref_compression});
        case ChannelType::inputs:
            return wire::Capabilities::of({wire::inputs::Capability::key_scancode});
        case ChannelType::playback:
            return wire::Capabilities::of(
                {wire::playback::Capability::volume, wire::playback::Capability::opus});
        case ChannelType::record:
            return wire::Capabilities::of(
                {wire::record::Capability::volume, wire::record::Capability::opus});
        case ChannelType::usbredir:
        case ChannelType::port:
        case ChannelType::webdav:
            return wire::Capabilities::of({wire::spicevmc::Capability::data_compress_lz4});
        default: return {};
    }
}

}  // namespace

Server::Server(LoopMaker make_loop) : make_loop_(std::move(make_loop)) {}

Server::~Server() {
    *alive_ = false;
    stop_collecting();
    // Clients let go of their keys when they leave; the embedder's devices may be gone already.
    keyboard_.reset();
    mouse_.reset();
    tablet_.reset();
    while (!clients_.empty())
        remove_client(clients_.back()->id(), "the server ends");
    // First those who could call back, then those who would be called.
    links_.reset();
    displays_.clear();
    devices_.reset();
    sound_.reset();
    source_timer_.reset();
}

Result<> Server::start(Loop& home, HostEvents& events) {
    home_ = &home;
    events_ = &events;
    gate_ = std::make_shared<OutputGate>(home.clock());
    started_ = home.now();
    make_devices();
    source_timer_ = home.make_timer([this] {
        const auto destination = source_.destination();
        const Silence told = ask_clients();
        perform(source_.timer(told.silent, told.woken), destination);
    });
    LinkServer::Handlers handlers;
    handlers.on_linked = [this](LinkedSocket socket) { on_linked(std::move(socket)); };
    handlers.on_peer = [this](PeerEvent event, std::shared_ptr<PeerInfo> peer) {
        events_->peer_event(event, *peer);
    };
    handlers.status = [this](StatusReply reply) { tell_status(std::move(reply)); };
    handlers.carry_state = [this] { carry_state(); };
    handlers.drop_state = [this] { withdraw(); };
    handlers.state_taken = [this] { state_taken(); };
    handlers.machine_arrived = [this] { machine_arrived(); };
    handlers.standby = [this](const control::StandbyPlace& place) { set_standby(place); };
    handlers.gate_moved = [this] { gate_moved(); };
    handlers.state_arrived = [this](CarriedParts parts, const StateKey& key, Instant came_at) {
        state_arrived(std::move(parts), key, came_at);
    };
    links_ = std::make_unique<LinkServer>(admission_, home, std::move(handlers), make_loop_);
    options_.several_clients = std::getenv("SPICE_DEBUG_ALLOW_MC") != nullptr;
    apply_options();
    TRY(load_tls());
    TRY(links_->start());
    if (std::getenv(control::kWaitsVariable) != nullptr) links_->close_door();
    // Read once, at the start: nothing listens while it is unset.
    if (const char* path = std::getenv(control::kPathVariable)) links_->open_control(path, gate_);
    return listen_all();
}

Result<> Server::load_tls() {
    if (options_.secure_port < 0 && options_.tls.certificate.empty()) return {};
    net::TlsFiles files;
    files.authority = options_.tls.authority;
    files.certificate = options_.tls.certificate;
    files.key = options_.tls.key;
    files.key_password = options_.tls.key_password;
    files.ciphers = options_.tls.ciphers;
    files.dh_parameters = options_.tls.dh_parameters;
    links_->set_tls(TRY(net::TlsContext::make(net::TlsSide::server, files, false)));
    return {};
}

Result<> Server::listen_all() {
    if (options_.listen_descriptor >= 0)
        links_->listen(net::Descriptor(options_.listen_descriptor), false);
    const bool is_unix = (options_.address_flags & AddressFlags::kUnix) != 0;
    if (is_unix || options_.port >= 0) {
        links_->listen(TRY(listen_socket(options_.address, options_.port, options_.address_flags)),
                       false);
    }
    if (!is_unix && options_.secure_port >= 0) {
        links_->listen(
            TRY(listen_socket(options_.address, options_.secure_port, options_.address_flags)),
            true);
    }
    return {};
}

void Server::apply_options() {
    LinkRules rules;
    rules.authenticate = options_.authenticate;
    rules.sasl = options_.sasl;
    rules.sasl_application = options_.sasl_application;
    rules.ticket = options_.ticket;
    std::vector<ChannelKey> keys = session().channels;
    keys.push_back({ChannelType::main, 0});
    for (const ChannelKey& key : keys) {
        LinkRules::ChannelRule rule;
        rule.caps = caps_of(key.type);
        rule.security = options_.security_of(std::string(wire::name_of(key.type)));
        rules.channels[key] = rule;
    }
    admission_->set_rules(std::move(rules));
    if (!devices_) return;
    AgentRules agent;
    agent.copy_paste = options_.agent_copy_paste;
    agent.file_transfer = options_.agent_file_transfer;
    agent.monitors_to_devices = [this] {
        return !displays_.empty() &&
               std::all_of(displays_.begin(), displays_.end(), [](const auto& display) {
                   return display->device().client_monitors_config(nullptr);
               });
    };
    devices_->agent().set_rules(agent);
    update_mouse_mode();
}

// --- How pictures are encoded -------------------------------------------------------------------

void Server::set_image_compression(ImageCompression compression) {
    options_.image_compression = compression;
    encoding_changed();
}
void Server::set_jpeg(WanCompression compression) {
    options_.jpeg = compression;
    encoding_changed();
}
void Server::set_zlib_glz(WanCompression compression) {
    options_.zlib_glz = compression;
    encoding_changed();
}
void Server::set_streaming_video(int value) {
    options_.streaming_video = value;
    encoding_changed();
}

void Server::encoding_changed() {
    for (const auto& display : displays_)
        display->set_encoding(encoder_options());
}

// --- What a client is told of the session ------------------------------------------------------

Server::Session Server::session() const {
    Session session;
    session.displays = static_cast<std::uint32_t>(displays_.size());
    session.supported_modes = main_wire::MouseMode::server;
    if ((tablet_ || agent_has_mouse()) && primary_allows_tablet_)
        session.supported_modes = session.supported_modes | main_wire::MouseMode::client;
    session.mode = mouse_mode_;
    session.multi_media_time = media_time();
    for (const auto& display : displays_)
        session.channels.push_back({ChannelType::display, display->id()});
    session.channels.push_back({ChannelType::inputs, 0});
    for (const auto& display : displays_)
        session.channels.push_back({ChannelType::cursor, display->id()});
    if (sound_) sound_->list_channels(session.channels);
    if (devices_) devices_->list_channels(session.channels);
    return session;
}

// --- The machine --------------------------------------------------------------------------------

void Server::vm_start() {
    running_ = true;
    if (gate_) gate_->machine_runs();
    if (home_ != nullptr) runs_since_ = home_->now();
    if (links_) links_->open_door();
    machine_stays();
    take_last_state_back();
    for (const auto& client : clients_)
        give_state(*client);
    give_port_states();
    if (devices_) devices_->set_running(true);
    for (const auto& display : displays_)
        display->start();
    for (const auto& client : clients_)
        client->machine_runs();
}

void Server::machine_arrived() {
    has_machine_arrived_ = true;
    machine_is_here();
    for (const auto& client : clients_)
        client->bound_absence();
}

void Server::machine_is_here() {
    if (running_) return;
    for (const auto& display : displays_)
        display->expect_start();
}

void Server::vm_stop() {
    running_ = false;
    if (gate_) gate_->machine_stands_still();
    if (devices_) devices_->set_running(false);
    for (const auto& display : displays_)
        display->stop();
    tell_last_state();
}

// --- Clients ------------------------------------------------------------------------------------

Result<> Server::add_connection(int socket, bool tls, bool skip_auth) {
    if (home_ == nullptr)
        return fail(ErrorCode::operation_invalid, "a client before spice_server_init");
    // What fails leaves the socket to the embedder.
    pollfd state{socket, POLLIN, 0};
    if (socket < 0 || ::poll(&state, 1, 0) < 0 || (state.revents & (POLLNVAL | POLLHUP)) != 0)
        return fail(ErrorCode::invalid_argument, "descriptor {} is no connected client", socket);
    links_->add(net::Descriptor(socket), tls, skip_auth);
    return {};
}

Result<> Server::set_ticket(Ticket ticket, bool fail_if_connected, bool disconnect_if_connected) {
    if (ticket.password.size() > kMostPassword) {
        return fail(ErrorCode::invalid_argument, "a password of {} characters, at most {}",
                    ticket.password.size(), kMostPassword);
    }
    if (!clients_.empty() && fail_if_connected) {
        return fail(ErrorCode::operation_invalid,
                    "the password stays as it is while a client is connected");
    }
    if (disconnect_if_connected) {
        while (!clients_.empty())
            remove_client(clients_.back()->id(), "the password changes");
    }
    options_.ticket = std::move(ticket);
    options_.authenticate = true;
    apply_options();
    return {};
}

void Server::on_linked(LinkedSocket socket) {
    socket.setup.gate = gate_;
    if (socket.setup.key.type != ChannelType::main) {
        admission_->link_arrived(socket.connection_id, socket.id);
        Client* client = find_session(socket.connection_id);
        if (client == nullptr) return refuse(std::move(socket), "its client has gone");
        client->channel_linked(std::move(socket));
        return;
    }
    // One client at a time, the newest, unless the embedder wants to try several. An attempt that
    // was given up may come behind its successor.
    for (const auto& client : clients_) {
        if (options_.several_clients || client->main_link() <= socket.id) continue;
        admission_->close_session(socket.connection_id);
        return refuse(std::move(socket), "a newer one is here");
    }
    while (!clients_.empty() && !options_.several_clients)
        remove_client(clients_.back()->id(), "another client has connected");
    const bool comes_from_elsewhere = socket.is_migration_target;
    clients_.push_back(std::make_unique<Client>(*this, ++last_client_, std::move(socket)));
    log_info("spice", "client {} is connected", last_client_);
    tell({control::EventKind::client_connected, last_client_, 0, 0, 0});
    clients_.back()->start();
    if (comes_from_elsewhere) return source_.came(last_client_);
    perform(source_.logged_in(last_client_), source_.destination());
}

void Server::refuse(LinkedSocket socket, const std::string& why) {
    log_info("spice", "{} is closed: {}", name_of(socket.setup.key), why);
    peer_event(PeerEvent::disconnected, *socket.peer);
}

Client* Server::find_session(std::uint32_t connection_id) {
    for (const auto& client : clients_) {
        if (client->connection_id() == connection_id) return client.get();
    }
    return nullptr;
}

Client* Server::find_client(ClientId id) {
    for (const auto& client : clients_) {
        if (client->id() == id) return client.get();
    }
    return nullptr;
}

void Server::drop_client(ClientId client, const std::string& reason) {
    home_->post([this, alive = alive_, client, reason] {
        if (*alive) remove_client(client, reason);
    });
}

void Server::remove_client(ClientId id, const std::string& reason) {
    const auto found = std::find_if(clients_.begin(), clients_.end(),
                                    [&](const auto& client) { return client->id() == id; });
    if (found == clients_.end()) return;
    log_info("spice", "client {} is disconnected: {}", id, reason);
    tell({control::EventKind::client_disconnected, id, 0, 0, 0});
    admission_->close_session((*found)->connection_id());
    const std::unique_ptr<Client> leaving = std::move(*found);
    clients_.erase(found);
    const auto destination = source_.destination();
    perform(source_.client_left(id), destination);
    // The next client begins with the mouse mode that every client can do.
    if (clients_.empty()) {
        mouse_mode_ = main_wire::MouseMode::server;
        brought_mode_.reset();
    }
    const bool exits = options_.exit_on_disconnect && *alive_ && clients_.empty() && !destination &&
                       !leaving->was_sent_away();
    // As stock, through the process's exit handlers, which may call whom they like: nothing of ours
    // is on the stack then.
    if (exits) home_->post([] { std::exit(0); });
}

void Server::channel_lost(LinkId link) {
    for (const auto& client : clients_)
        client->channel_lost(link);
}

Display* Server::display_of(std::uint8_t id) {
    for (const auto& display : displays_) {
        if (display->id() == id) return display.get();
    }
    return nullptr;
}

EncoderOptions Server::encoder_options() const {
    EncoderOptions made;
    made.compression = options_.image_compression;
    made.jpeg = options_.jpeg;
    made.zlib_glz = options_.zlib_glz;
    made.streaming = static_cast<StreamVideo>(options_.streaming_video);
    // Its frames are due at a time, which would have passed when they leave.
    if (gate_ && gate_->holds(true)) made.streaming = StreamVideo::off;
    return made;
}

void Server::peer_event(PeerEvent event, const PeerInfo& peer) {
    if (events_ != nullptr) events_->peer_event(event, peer);
}

void Server::tell(const control::Event& event) {
    if (links_) links_->tell(event);
}

// Answers on the home loop when the last display has told its part, or is gone.
struct Server::StatusAnswer {
    StatusAnswer(Loop& home, StatusReply reply) : home_(home), reply_(std::move(reply)) {}
    ~StatusAnswer() {
        home_.post([reply = std::move(reply_), status = std::move(status)] { reply(status); });
    }
    StatusAnswer(const StatusAnswer&) = delete;
    StatusAnswer& operator=(const StatusAnswer&) = delete;

    control::Status status;

  private:
    Loop& home_;
    StatusReply reply_;
};

void Server::tell_status(StatusReply reply) {
    const auto answer = std::make_shared<StatusAnswer>(*home_, std::move(reply));
    control::Status& status = answer->status;
    status.migration = name_of(source_.state());
    status.flooded_away = admission_->flooded_away();
    status.unlinked = admission_->unlinked();
    // Where in the answer the channels are that live on a worker: client, channel.
    std::map<LinkId, std::pair<std::size_t, std::size_t>> on_workers;
    for (const auto& client : clients_) {
        control::ClientStatus made;
        made.id = client->id();
        made.connection_id = client->connection_id();
        made.parked = !client->is_settled();
        made.linked_to_target = source_.has_linked(client->id());
        if (client->round_trip_time())
            made.round_trip_us = static_cast<std::uint64_t>(to_us(*client->round_trip_time()));
        made.main = client->main_status();
        for (const auto& [link, channel] : client->channels()) {
            // Of those that live on a worker more is told below, where they are there still.
            control::ChannelStatus told;
            if (channel.driver) told = channel.driver->status();
            told.type = wire::name_of(channel.key.type);
            told.id = channel.key.id;
            if (channel.display != nullptr)
                on_workers[link] = {status.clients.size(), made.channels.size()};
            made.channels.push_back(std::move(told));
        }
        status.clients.push_back(std::move(made));
    }
    for (const auto& display : displays_) {
        const std::size_t at = status.displays.size();
        status.displays.push_back({display->id(), 0, 0, 0, 0});
        display->ask_counters([answer, at, on_workers](const Display::Counters& counters,
                                                       const Display::Channels& channels) {
            auto& told = answer->status.displays[at];
            told = {told.id, counters.commands, counters.images, counters.raw_bytes,
                    counters.encoded_bytes};
            for (const auto& [link, channel] : channels) {
                const auto place = on_workers.find(link);
                if (place == on_workers.end()) continue;
                const auto [client, index] = place->second;
                answer->status.clients[client].channels[index] = channel;
            }
        });
    }
}

}  // namespace segue::spice::server
