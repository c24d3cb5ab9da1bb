// SPDX-License-Identifier: LGPL-2.1-or-later
// The server's part in moving its clients: what QEMU asks for, what `segued` asks for, and what the
// tables of migration/ want done.
#include <algorithm>

#include "base/log.h"
#include "spice/server/migration/extension.schema.h"
#include "spice/server/server.h"
#include "spice/wire/encoding.h"

namespace segue::spice::server {
namespace {

// Of no client: where the parts of a state tell the media time.
const CarriedKey kMediaTime{0, {wire::ChannelType::main, 0}, CarriedSection::blob};
// And the mouse mode.
const CarriedKey kMouseMode{0, {wire::ChannelType::inputs, 0}, CarriedSection::blob};

std::uint32_t media_time_at(Instant now, std::uint32_t offset) {
    return static_cast<std::uint32_t>(to_ms(now.since_start) & 0xffffffff) + offset;
}

}  // namespace

// --- Migration ----------------------------------------------------------------------------------

Result<> Server::migrate_connect(const MigrationDestination& destination) {
    std::vector<MigrationSource::Candidate> candidates;
    for (const auto& client : clients_) {
        candidates.push_back({client->id(), client->ability(), !client->has_come()});
    }
    auto actions = source_.connect(destination, candidates, options_.seamless_migration);
    if (!actions) {
        // The embedder waits for its callback even then.
        if (migration_observer_) migration_observer_->connect_complete();
        return tl::make_unexpected(actions.error());
    }
    drop_state();
    sender_.forget();
    perform(*actions, destination);
    return {};
}

Result<> Server::migrate_start() {
    return source_.start();
}

bool Server::migrate_end(bool moved) {
    const auto destination = source_.destination();
    const bool knows_where = destination.has_value() || clients_.empty() || !moved;
    // A machine that was paused already did not stop once more.
    if (moved) tell_last_state();
    if (moved) ask_clients();
    const MigrationSource::Carry carried = carry();
    if (!moved) drop_state();
    perform(source_.end(moved, present(), carried), destination);
    if (!moved) moves_are_off();
    return knows_where;
}

// The target has not gone on with it: nobody is sent after it any more.
void Server::machine_stays() {
    const bool had_gone = source_.is_leaving();
    perform(source_.machine_runs(), source_.destination());
    if (had_gone) moves_are_off();
}

Result<> Server::migrate_info(const MigrationDestination& destination) {
    if (destination.host.empty() || (destination.port < 0 && destination.secure_port < 0))
        return fail(ErrorCode::invalid_argument, "migrate_info needs a host and a port");
    switch_destination_ = destination;
    return {};
}

Result<> Server::migrate_switch() {
    if (clients_.empty()) return {};
    if (!switch_destination_)
        return fail(ErrorCode::operation_invalid, "migrate_switch before migrate_info");
    for (const auto& client : clients_)
        client->send_switch_host(*switch_destination_);
    switch_destination_.reset();
    return {};
}

// --- The standby of a protected machine ---------------------------------------------------------

void Server::set_standby(const control::StandbyPlace& place) {
    standby_ = place;
    for (const auto& client : clients_)
        tell_standby(*client);
    if (place.host.empty()) standby_.reset();
}

void Server::tell_standby(Client& client) {
    if (!standby_ || (client.moved_here() && !client.has_come())) return;
    const auto port = [](std::uint16_t one) { return one == 0 ? -1 : int{one}; };
    const MigrationDestination destination{standby_->host, port(standby_->port),
                                           port(standby_->tls_port), standby_->subject};
    if (standby_->source == control::StandbySource::left) {
        client.send_switch_host(destination);
    } else {
        client.send_standby(destination, standby_->source == control::StandbySource::runs);
    }
}

// What waits on the workers leaves there.
void Server::gate_moved() {
    const bool held_before = std::exchange(picture_held_, gate_->holds(true));
    if (picture_held_ != held_before) encoding_changed();
    for (const auto& display : displays_)
        display->leave_gate();
    for (const auto& client : clients_)
        client->leave_gate();
}

void Server::client_answered(ClientId client, MigrationSource::Answer answer) {
    const auto destination = source_.destination();
    if (auto actions = source_.answered(client, answer)) perform(*actions, destination);
}

void Server::channel_came(LinkId link) {
    for (const auto& client : clients_)
        client->channel_came(link);
}

void Server::client_settled(ClientId id) {
    const Client* client = find_client(id);
    // Who logs in knows already where a machine is that has gone.
    if (client == nullptr || (!client->moved_here() && !source_.awaits(id))) return;
    const auto destination = source_.destination();
    perform(source_.settled(id, client->ability()), destination);
}

// --- State beside the clients -------------------------------------------------------------------

void Server::collect_state(bool freeze, StateCollection::Done done) {
    // These move nothing while the machine stands still.
    CarriedParts ports;
    if (freeze) {
        for (auto& [key, state] : devices_->port_states())
            ports[{0, key, CarriedSection::port}] = std::move(state);
    }
    const auto collection = std::make_shared<StateCollection>(
        [done = std::move(done), &clock = home_->clock(), offset = media_offset_,
         mode = mouse_mode_, ports = std::move(ports)](CarriedParts parts) {
            parts.insert(ports.begin(), ports.end());
            const std::uint32_t time = media_time_at(clock.now(), offset);
            parts[kMediaTime] = wire::encode(0, wire::extension::MediaTime{time}).body();
            const auto bit = static_cast<std::uint8_t>(mode);
            parts[kMouseMode] = wire::encode(0, wire::extension::MouseModeState{bit}).body();
            done(std::move(parts));
        });
    collected_ = collection->outcome();
    for (const auto& client : clients_) {
        if (source_.follows_seamlessly(client->id())) client->collect_state(freeze, collection);
    }
}

// Of an earlier one nothing is told any more.
void Server::stop_collecting() {
    if (collected_) collected_->give_up();
    collected_.reset();
    is_collecting_first_ = false;
    ++collections_;
}

// `key`: of a new move.
void Server::collect_first_state(const std::optional<StateKey>& key) {
    stop_collecting();
    is_collecting_first_ = true;
    collect_state(false, [this, &home = *home_, key, alive = alive_,
                          number = collections_](const CarriedParts& parts) {
        home.post([this, key, alive, number, parts] {
            if (!*alive || number != collections_) return;
            is_collecting_first_ = false;
            links_->tell_state(key ? sender_.begin(parts, *key) : sender_.begin_again(parts));
            if (std::exchange(wants_last_, false)) tell_last_state();
        });
    });
}

// When the clients have been told to go, what they bring has left without the key.
void Server::carry_state() {
    const MigrationSource::State state = source_.state();
    if (state != MigrationSource::State::linking && state != MigrationSource::State::linked) return;
    // One client more has linked. When the machine stands still its state is not waited for, and
    // what was told of the others is final.
    if (sender_.step() == StateSender::Step::told) return collect_first_state({});
    if (sender_.step() != StateSender::Step::idle) return;
    StateKey key;
    random_.fill(key);
    collect_first_state(key);
}

// The machine stands still: from now on nothing is sent that would make this untrue. Told by the
// last worker that has answered, since QEMU may keep the home thread out for as long as it saves
// devices.
void Server::tell_last_state() {
    wants_last_ = is_collecting_first_;
    if (wants_last_ || sender_.step() != StateSender::Step::told) return;
    auto last = std::make_shared<StateSender::Last>(sender_.finish());
    stop_collecting();
    collect_state(true, [links = links_.get(), last](CarriedParts parts) {
        links->tell_state(last->with(std::move(parts)));
    });
}

// A machine that goes on here was only paused on its way (its disk was full, its watchdog struck).
void Server::take_last_state_back() {
    const StateSender::Step step = sender_.step();
    wants_last_ = false;
    const bool is_told = step == StateSender::Step::last_told || step == StateSender::Step::taken;
    if (!is_told && !is_collecting_first_) return;
    const MigrationSource::State state = source_.state();
    if (state != MigrationSource::State::linking && state != MigrationSource::State::linked)
        return drop_state();
    if (is_collecting_first_) return;
    for (const auto& client : clients_)
        client->thaw();
    collect_first_state({});
}

void Server::drop_state() {
    if (sender_.step() == StateSender::Step::idle && !is_collecting_first_) return;
    stop_collecting();
    wants_last_ = false;
    sender_.drop();
    for (const auto& client : clients_)
        client->thaw();
}

// The move was given up before it began: QEMU has no word for that.
void Server::withdraw() {
    drop_state();
    if (source_.is_started()) return;
    perform(source_.end(false, present()), source_.destination());
    moves_are_off();
}

void Server::moves_are_off() {
    for (const auto& client : clients_)
        client->move_is_off();
}

void Server::state_taken() {
    if (!sender_.taken()) return;
    const auto destination = source_.destination();
    perform(source_.state_taken(), destination);
}

MigrationSource::Carry Server::carry() const {
    if (is_collecting_first_)
        return wants_last_ ? MigrationSource::Carry::waiting : MigrationSource::Carry::none;
    switch (sender_.step()) {
        case StateSender::Step::last_told: return MigrationSource::Carry::waiting;
        case StateSender::Step::taken: return MigrationSource::Carry::taken;
        default: return MigrationSource::Carry::none;
    }
}

void Server::state_arrived(CarriedParts parts, const StateKey& key, Instant came_at) {
    // The first brings only the key.
    if (parts.empty() && !running_) {
        port_states_ = PortStates::expected;
        devices_->expect_port_states();
    } else if (port_states_ == PortStates::expected) {
        port_states_ = PortStates::here;
    }
    arrived_state_ = std::move(parts);
    arrived_key_ = key;
    take_media_time(came_at);
    take_mouse_mode();
    if (running_) give_port_states();
    for (const auto& display : displays_)
        display->expect_state_beside();
    for (const auto& client : clients_)
        give_state(*client);
}

void Server::take_media_time(Instant came_at) {
    const auto part = arrived_state_.find(kMediaTime);
    if (part == arrived_state_.end()) return;
    const auto there = wire::parse<wire::extension::MediaTime>(
        wire::SharedBytes::borrow(std::exchange(part->second, {})));
    arrived_state_.erase(part);
    if (!there) return log_warning("spice", "media time: {}", there.error().message);
    const auto since = static_cast<std::uint32_t>(to_ms(home_->now() - came_at));
    continue_media_time(there->milliseconds + since, true);
}

void Server::take_mouse_mode() {
    const auto part = arrived_state_.find(kMouseMode);
    if (part == arrived_state_.end()) return;
    const auto there = wire::parse<wire::extension::MouseModeState>(
        wire::SharedBytes::borrow(std::exchange(part->second, {})));
    arrived_state_.erase(part);
    if (!there) return log_warning("spice", "mouse mode: {}", there.error().message);
    brought_mode_ = static_cast<wire::main::MouseMode>(there->mode);
    update_mouse_mode();
}

// Until the machine is here, that may still go on over there, and all be told anew.
void Server::give_port_states() {
    if (port_states_ != PortStates::here) return;
    port_states_ = PortStates::none;
    CharDevices::PortStates states;
    for (const auto& [key, state] : arrived_state_) {
        if (key.connection_id == 0 && key.section == CarriedSection::port)
            states[key.channel] = state;
    }
    bool somebody_comes = false;
    for (const auto& client : clients_) {
        somebody_comes |= client->moved_here() && !client->has_come();
        // Also one that has linked, and not said yet how it goes on.
        if (!client->is_settled()) devices_->agent().expect(client->id());
    }
    devices_->take_port_states(states, somebody_comes);
}

std::uint32_t Server::media_time() const {
    return home_ == nullptr ? 0 : media_time_at(home_->now(), media_offset_);
}

// Hosts count from when each was started. The first word sets the time; who came another way may
// have been longer on it, and then it goes on a little, but never back. What a client alone has
// said stands until the other server says something quite different.
void Server::continue_media_time(std::uint32_t there, bool is_sure) {
    constexpr std::int32_t kLongestWay = 2000;
    const auto ahead = static_cast<std::int32_t>(there - media_time());
    const bool is_near = std::abs(std::int64_t{ahead}) <= kLongestWay;
    const bool is_first = !std::exchange(media_time_goes_on_, true);
    const bool corrects = is_sure && std::exchange(only_client_told_time_, false) && !is_near;
    const bool is_told =
        !is_first || std::any_of(clients_.begin(), clients_.end(),
                                 [](const auto& client) { return client->is_settled(); });
    if (is_told && !corrects && !(is_near && ahead > 0)) return;
    if (is_first) only_client_told_time_ = !is_sure;
    media_offset_ += static_cast<std::uint32_t>(ahead);
    for (const auto& client : clients_)
        client->media_time_changed();
}

// The target restores the channel, or has restored it: it is told what its client wants now.
void Server::wish_came_late(LinkId link, ImageCompression wish) {
    for (const auto& client : clients_) {
        const auto channel = client->channels().find(link);
        if (channel == client->channels().end()) continue;
        const CarriedKey key{client->connection_id(), channel->second.key, CarriedSection::wish};
        const Bytes part{static_cast<std::uint8_t>(wish)};
        if (collected_ && collected_->add(link, key, part)) return;
        auto more = sender_.more({{key, part}});
        if (more) links_->tell_state(std::move(*more));
    }
}

void Server::give_state(Client& client) {
    if (!client.moved_here()) return;
    if (arrived_key_) client.expect_seals(*arrived_key_);
    // Until its machine is here, that may still go on over there, and all be told anew.
    if (running_ || client.is_settled()) client.take_state(arrived_state_);
}

// One that has not come yet is not asked: it would throw the question away, and never answer it.
// One that has answered, and not what was said behind the question, has come to a stand in between.
Server::Silence Server::ask_clients() {
    constexpr Duration kLongWay = 2s;
    Silence told;
    for (const auto& client : clients_) {
        const bool is_here = !client->moved_here() || client->has_come();
        const bool owes_answer = !client->main().is_ping_answered() || client->main().is_flushing();
        if (!is_here || owes_answer) {
            told.silent.insert(client->id());
        } else if (client->round_trip_time() > kLongWay) {
            told.woken.insert(client->id());
        }
        if (is_here) client->main().ping();
    }
    return told;
}

std::vector<ClientId> Server::present() const {
    std::vector<ClientId> ids;
    for (const auto& client : clients_)
        ids.push_back(client->id());
    return ids;
}

void Server::perform(const MigrationSource::Actions& actions,
                     const std::optional<MigrationDestination>& destination) {
    using Source = MigrationSource;
    for (const Source::Action& action : actions) {
        if (const auto* begin = std::get_if<Source::SendBegin>(&action)) {
            if (Client* client = find_client(begin->client))
                client->send_begin(*destination, begin->seamless);
        } else if (const auto* cancel = std::get_if<Source::SendCancel>(&action)) {
            if (Client* client = find_client(cancel->client)) client->send_cancel();
        } else if (const auto* end = std::get_if<Source::SendEnd>(&action)) {
            if (Client* client = find_client(end->client)) client->send_end();
        } else if (const auto* elsewhere = std::get_if<Source::SendSwitchHost>(&action)) {
            if (Client* client = find_client(elsewhere->client))
                client->send_switch_host(*destination);
        } else if (const auto* migrate = std::get_if<Source::MigrateChannels>(&action)) {
            Client* client = find_client(migrate->client);
            if (client == nullptr) continue;
            if (sender_.key()) client->seal_states(*sender_.key());
            client->migrate_channels(migrate->carried ? collected_.get() : nullptr);
        } else if (const auto* disconnect = std::get_if<Source::Disconnect>(&action)) {
            drop_client(disconnect->client, "it did not follow its machine in time");
        } else if (const auto* timer = std::get_if<Source::StartTimer>(&action)) {
            source_timer_->start(timer->delay);
        } else if (std::holds_alternative<Source::StopTimer>(action)) {
            source_timer_->cancel();
        } else if (std::holds_alternative<Source::ConnectComplete>(action)) {
            if (migration_observer_) migration_observer_->connect_complete();
        } else if (const auto* linked = std::get_if<Source::ClientsLinked>(&action)) {
            tell({control::EventKind::clients_linked, 0, linked->linked, linked->failed, 0});
        } else if (std::holds_alternative<Source::EndComplete>(action)) {
            tell({control::EventKind::clients_left, 0, 0, 0, 0});
            if (migration_observer_) migration_observer_->end_complete();
        }
    }
}

}  // namespace segue::spice::server
