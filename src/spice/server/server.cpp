// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/server.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "base/log.h"
#include "spice/server/link/listen_socket.h"

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
        default: return {};
    }
}

}  // namespace

Server::Server() = default;

Server::~Server() {
    *alive_ = false;
    while (!clients_.empty())
        remove_client(clients_.back()->id(), "the server ends");
    // First those who could call back, then those who would be called.
    links_.reset();
    displays_.clear();
    source_timer_.reset();
}

Result<> Server::start(Loop& home, HostEvents& events) {
    home_ = &home;
    events_ = &events;
    started_ = home.now();
    source_timer_ = home.make_timer([this] { perform(source_.timer(), source_.destination()); });
    LinkServer::Handlers handlers;
    handlers.on_linked = [this](LinkedSocket socket) { on_linked(std::move(socket)); };
    handlers.on_peer = [this](PeerEvent event, std::shared_ptr<PeerInfo> peer) {
        events_->peer_event(event, *peer);
    };
    handlers.status = [this] { return status(); };
    handlers.carry_state = [this] { carry_state(); };
    handlers.drop_state = [this] { withdraw(); };
    handlers.state_taken = [this] { state_taken(); };
    handlers.state_arrived = [this](CarriedParts parts, const StateKey& key) {
        state_arrived(std::move(parts), key);
    };
    links_ = std::make_unique<LinkServer>(admission_, home, std::move(handlers));
    apply_options();
    TRY(load_tls());
    TRY(links_->start());
    // Read once, at the start: nothing listens while it is unset.
    if (const char* path = std::getenv(control::kPathVariable)) links_->open_control(path);
    return listen_all();
}

Result<> Server::load_tls() {
    if (options_.secure_port < 0 && options_.tls.certificate.empty()) return {};
    net::TlsFiles files;
    files.authority = options_.tls.authority;
    files.certificate = options_.tls.certificate;
    files.key = options_.tls.key;
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
}

// --- Devices ------------------------------------------------------------------------------------

Result<Display*> Server::add_display(std::unique_ptr<DisplayDevice> device) {
    if (home_ == nullptr)
        return fail(ErrorCode::operation_invalid, "a display before spice_server_init");
    auto display =
        TRY(Display::make(std::move(device), *home_, [this](LinkId link) { channel_lost(link); }));
    displays_.push_back(std::move(display));
    apply_options();
    if (running_) displays_.back()->start();
    return displays_.back().get();
}

void Server::remove_display(Display* display) {
    const auto found = std::find_if(displays_.begin(), displays_.end(),
                                    [&](const auto& own) { return own.get() == display; });
    if (found == displays_.end()) return;
    for (const auto& client : clients_)
        client->display_removed(display);
    displays_.erase(found);
    apply_options();
}

Result<> Server::set_keyboard(std::unique_ptr<KeyboardDevice> keyboard) {
    if (keyboard_) return fail(ErrorCode::exists, "there is a keyboard already");
    keyboard_ = std::move(keyboard);
    return {};
}

Result<> Server::set_mouse(std::unique_ptr<MouseDevice> mouse) {
    if (mouse_) return fail(ErrorCode::exists, "there is a mouse already");
    mouse_ = std::move(mouse);
    return {};
}

Result<> Server::set_tablet(std::unique_ptr<TabletDevice> tablet) {
    if (tablet && tablet_) return fail(ErrorCode::exists, "there is a tablet already");
    tablet_ = std::move(tablet);
    if (tablet_ && pointer_width_ > 0) tablet_->set_logical_size(pointer_width_, pointer_height_);
    update_mouse_mode();
    return {};
}

void Server::set_migration_observer(std::unique_ptr<MigrationObserver> observer) {
    migration_observer_ = std::move(observer);
}

void Server::leds_changed(std::uint8_t leds) {
    for (const auto& client : clients_)
        client->leds_changed(leds);
}

void Server::primary_changed(int width, int height, bool mouse_mode) {
    pointer_width_ = width;
    pointer_height_ = height;
    primary_allows_tablet_ = mouse_mode;
    if (tablet_) tablet_->set_logical_size(width, height);
    update_mouse_mode();
}

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

// --- Mouse mode ---------------------------------------------------------------------------------

Server::Session Server::session() const {
    Session session;
    session.displays = static_cast<std::uint32_t>(displays_.size());
    session.supported_modes = main_wire::MouseMode::server;
    if (tablet_ && primary_allows_tablet_)
        session.supported_modes = session.supported_modes | main_wire::MouseMode::client;
    session.mode = mouse_mode_;
    if (home_ != nullptr) {
        session.multi_media_time =
            static_cast<std::uint32_t>(to_ms(home_->now().since_start) & 0xffffffff);
    }
    for (const auto& display : displays_)
        session.channels.push_back({ChannelType::display, display->id()});
    session.channels.push_back({ChannelType::inputs, 0});
    for (const auto& display : displays_)
        session.channels.push_back({ChannelType::cursor, display->id()});
    return session;
}

void Server::update_mouse_mode() {
    const bool allowed = tablet_ && primary_allows_tablet_;
    if (!allowed) mouse_mode_ = main_wire::MouseMode::server;
    for (const auto& client : clients_)
        client->mouse_mode_changed();
}

void Server::want_mouse_mode(main_wire::MouseMode mode) {
    const bool wants_client = mode == main_wire::MouseMode::client;
    if (wants_client && !(tablet_ && primary_allows_tablet_)) return;
    if (mode != main_wire::MouseMode::client && mode != main_wire::MouseMode::server) return;
    if (mode == mouse_mode_) return;
    mouse_mode_ = mode;
    for (const auto& client : clients_)
        client->mouse_mode_changed();
}

// --- Input --------------------------------------------------------------------------------------

void Server::scancode(std::uint8_t byte) {
    if (keyboard_) keyboard_->push_scancode(byte);
}
std::uint8_t Server::leds() {
    return keyboard_ ? keyboard_->leds() : 0;
}
void Server::mouse_motion(int dx, int dy, int dz, std::uint32_t buttons) {
    if (mouse_) mouse_->motion(dx, dy, dz, buttons);
}
void Server::mouse_buttons(std::uint32_t buttons) {
    if (mouse_) mouse_->buttons(buttons);
}
void Server::tablet_position(int x, int y, std::uint32_t buttons, std::uint8_t) {
    if (tablet_) tablet_->position(x, y, buttons);
}
void Server::tablet_wheel(int motion, std::uint32_t buttons) {
    if (tablet_) tablet_->wheel(motion, buttons);
}
void Server::tablet_buttons(std::uint32_t buttons) {
    if (tablet_) tablet_->buttons(buttons);
}
bool Server::absolute_pointer() const {
    return mouse_mode_ == main_wire::MouseMode::client;
}

// --- The machine --------------------------------------------------------------------------------

void Server::vm_start() {
    running_ = true;
    source_.machine_runs();
    // A machine that was paused on the way goes on telling; one that comes back does not leave.
    if (sender_.step() != StateSender::Step::told) drop_state();
    for (const auto& display : displays_)
        display->start();
}

void Server::vm_stop() {
    running_ = false;
    for (const auto& display : displays_)
        display->stop();
    tell_last_state();
}

// --- Clients ------------------------------------------------------------------------------------

Result<> Server::add_connection(int socket, bool tls, bool skip_auth) {
    if (home_ == nullptr)
        return fail(ErrorCode::operation_invalid, "a client before spice_server_init");
    if (socket < 0) return fail(ErrorCode::invalid_argument, "a client with descriptor {}", socket);
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
    if (socket.setup.key.type != ChannelType::main) {
        admission_->link_arrived(socket.connection_id, socket.id);
        Client* client = find_session(socket.connection_id);
        if (client == nullptr) return refuse(std::move(socket), "its client has gone");
        client->channel_linked(std::move(socket));
        return;
    }
    // One client at a time: the newest. An attempt that was given up may come behind its successor.
    for (const auto& client : clients_) {
        if (client->main_link() > socket.id)
            return refuse(std::move(socket), "a newer one is here");
    }
    while (!clients_.empty())
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
    if (clients_.empty()) mouse_mode_ = main_wire::MouseMode::server;
    if (options_.exit_on_disconnect && *alive_ && clients_.empty() && !destination) ::_exit(0);
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
    return made;
}

void Server::peer_event(PeerEvent event, const PeerInfo& peer) {
    if (events_ != nullptr) events_->peer_event(event, peer);
}

void Server::tell(const control::Event& event) {
    if (links_) links_->tell(event);
}

control::Status Server::status() {
    control::Status status;
    status.migration = name_of(source_.state());
    for (const auto& client : clients_) {
        control::ClientStatus made;
        made.id = client->id();
        made.connection_id = client->connection_id();
        made.parked = !client->is_settled();
        made.linked_to_target = source_.has_linked(client->id());
        if (client->round_trip_time())
            made.round_trip_us = static_cast<std::uint64_t>(to_us(*client->round_trip_time()));
        made.main_bytes_sent = client->bytes_sent();
        for (const auto& [link, channel] : client->channels())
            made.channels.push_back({std::string(wire::name_of(channel.key.type)), channel.key.id});
        status.clients.push_back(std::move(made));
    }
    for (const auto& display : displays_) {
        const Display::Counters counters = display->counters();
        status.displays.push_back({display->id(), counters.commands, counters.images,
                                   counters.raw_bytes, counters.encoded_bytes});
    }
    return status;
}

}  // namespace segue::spice::server
