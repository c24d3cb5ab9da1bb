// SPDX-License-Identifier: LGPL-2.1-or-later
// A client's part of a hand-over: what it is told at the source, and what it brings to the target.
#include <algorithm>

#include "base/log.h"
#include "spice/server/client.h"
#include "spice/server/server.h"
#include "spice/wire/standby.schema.h"

namespace segue::spice::server {
namespace {

namespace main_wire = wire::main;

// A client that knows of a standby takes a silent server for a dead one: an idle guest must be
// heard.
constexpr Duration kBeat = 500ms;
// A machine that has run here for so long did not just arrive: who says that it moves here with it
// would only pass by what is asked of every other client.
constexpr Duration kArrivalBound = 60s;

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

void Client::send_cancel() {
    was_sent_away_ = false;
    main_->cancel_migration();
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

// Each way to go follows a ping: who does not answer it has not read what is behind.
void Client::send_end() {
    was_sent_away_ = true;
    main_->ping();
    main_->say(main_wire::MigrateEnd{});
}

void Client::send_switch_host(const MigrationDestination& destination) {
    was_sent_away_ = true;
    main_->ping();
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

void Client::migrate_channels(const StateCollection::Outcome* carried) {
    was_sent_away_ = true;
    caches_->freeze();
    for (auto& [link, channel] : channels_) {
        if (channel.display != nullptr) {
            // A display that was not ready had nothing to tell.
            channel.display->migrate(link, carried != nullptr && carried->has(link));
        } else {
            channel.driver->channel().migrate();
        }
    }
    main_->ping();
    main_->migrate();
}

void Client::collect_state(bool freeze, const std::shared_ptr<StateCollection>& into) {
    for (const auto& [link, channel] : channels_) {
        CarriedKey key{connection_id_, channel.key, CarriedSection::blob};
        if (channel.display == nullptr) {
            if (auto state = channel.driver->channel().carried_state(freeze))
                into->outcome()->add(link, key, std::move(*state));
            continue;
        }
        channel.display->tell_state(
            link, freeze, [into, link = link, key](Display::Carried carried) mutable {
                into->outcome()->add(link, key, std::move(carried.state));
                key.section = CarriedSection::shown;
                if (!carried.shown.empty())
                    into->outcome()->add(link, key, std::move(carried.shown));
            });
    }
}

void Client::seal_states(const StateKey& key) {
    main_->seal_state(key);
    for (const auto& [link, channel] : channels_) {
        if (channel.display != nullptr) {
            channel.display->seal_state(link, key);
        } else {
            channel.driver->channel().seal_state(key);
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
    // There and back is the way of this state, too.
    const auto way = static_cast<std::uint32_t>(to_ms(round_trip_.value_or(Duration{})));
    const std::uint32_t time = server_.session().multi_media_time + way;
    return {std::move(carried.state), std::move(carried.more), time};
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
    for (auto& [link, channel] : channels_) {
        const auto take = [this, &parts, &key = channel.key](CarriedSection section) {
            const auto part = parts.find({connection_id_, key, section});
            if (part == parts.end()) return Bytes{};
            Bytes bytes = std::move(part->second);
            parts.erase(part);
            return bytes;
        };
        Display::Carried carried;
        carried.state = take(CarriedSection::blob);
        if (channel.display == nullptr) {
            take_home_state(channel, std::move(carried.state));
            continue;
        }
        carried.shown = take(CarriedSection::shown);
        const Bytes wish = take(CarriedSection::wish);
        if (!wish.empty()) carried.wish = static_cast<ImageCompression>(wish.front());
        channel.display->take_state(link, std::move(carried));
    }
}

void Client::take_home_state(ClientChannel& channel, Bytes state) {
    if (state.empty() || !channel.driver) return;
    const Result<> taken =
        channel.driver->channel().take_state(wire::SharedBytes::take(std::move(state)));
    if (!taken) return log_warning("spice", "{}: {}", name_of(channel.key), taken.error().message);
    if (channel.playback != nullptr && !sound_latency_ms_)
        sound_latency_ms_ = channel.playback->latency_ms();
}

void Client::expect_seals(const StateKey& key) {
    if (const Result<> done = early_states_->check(key); !done)
        return server_.drop_client(id_, done.error().message);
    main_driver_->expect_seal(key);
    for (const auto& [link, channel] : channels_) {
        if (channel.display != nullptr) {
            channel.display->expect_seal(link, key);
        } else {
            channel.driver->expect_seal(key);
        }
    }
}

// Devices that a client keeps waiting go on: what they had under way is lost.
void Client::state_is_late() {
    if (const auto late = target_->late()) {
        is_absent_ = true;
        perform(*late);
    }
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
    // One that nobody has sealed is the client's own word, and the time is everybody's.
    const bool is_believed = !state.only_client_says || server_.client_count() == 1;
    if (state.media_time && !is_late && is_believed)
        server_.continue_media_time(*state.media_time, !state.only_client_says);
    perform(TRY(target_->state_came()));
    if (std::exchange(is_absent_, false)) watch_arrival();
    server_.machine_is_here();
    server_.give_state(*this);
    // The agent has talked without its client since: what stood in the middle then is of no use.
    Agent::Carried carried;
    if (!is_late) carried = {state.blob, state.agent, state.only_client_says};
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
    if (!has_moved() || told_that_it_came_) return;
    // First, so that it is not told of what is plugged in there when it has been sent on.
    for (const LinkId link : gone_meanwhile_)
        server_.close_channel(link);
    if (!gone_meanwhile_.empty()) return;
    told_that_it_came_ = true;
    come_timer_->cancel();
    server_.client_settled(id_);
    if (target_) server_.tell_standby(*this);
}

}  // namespace segue::spice::server
