// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/main/main_channel.h"

namespace segue::spice::server {
namespace {

namespace main_wire = wire::main;

// Ids of pings that are no measurement.
constexpr std::uint32_t kBarrier = 0x80000000;
// Bytes of the extension that tells it.
constexpr std::size_t kMediaTime = 12;

}  // namespace

struct MainChannel::Handler {
    MainChannel& channel;
    MainEvents& events = channel.events_;

    Result<> operator()(const main_wire::AttachChannels&) { return events.attach_channels(); }
    Result<> operator()(const main_wire::MouseModeRequest& wanted) {
        return events.want_mouse_mode(wanted.mode);
    }
    Result<> operator()(const main_wire::AgentStart& agent) {
        return events.agent_start(agent.tokens);
    }
    Result<> operator()(const main_wire::AgentData& agent) {
        return events.agent_data(agent.data.contiguous());
    }
    Result<> operator()(const main_wire::AgentToken& agent) {
        return events.agent_tokens(agent.tokens);
    }
    Result<> operator()(const main_wire::MigrateConnected&) {
        return channel.answered(MainEvents::Linked::semi_seamless);
    }
    Result<> operator()(const main_wire::MigrateConnectedSeamless&) {
        return channel.answered(MainEvents::Linked::seamless);
    }
    Result<> operator()(const main_wire::MigrateConnectError&) {
        return channel.answered(MainEvents::Linked::no);
    }
    Result<> operator()(const main_wire::MigrateEnd&) { return events.migrate_end(); }
    Result<> operator()(const main_wire::MigrateDstDoSeamless& wanted) {
        return events.migrate_do_seamless(wanted.source_version);
    }
    // Sizes of a cache that no client has had for years, and hints that nothing here uses.
    Result<> operator()(const main_wire::ClientInfo&) { return {}; }
    Result<> operator()(const main_wire::QualityIndicator&) { return {}; }
};

Result<> MainChannel::handle(std::uint16_t number, const wire::SharedBytes& body) {
    return main_wire::dispatch_from_client(number, body, Handler{*this});
}

// Only what the guest's agent says: the rest is between server and client, and overtakes it.
bool MainChannel::shows_guest(std::uint16_t number) const {
    using main_wire::AgentConnected, main_wire::AgentConnectedTokens;
    using main_wire::AgentData, main_wire::AgentDisconnected;
    for (const std::uint16_t own : {wire::encode_from_server(AgentConnected{}).number,
                                    wire::encode_from_server(AgentConnectedTokens{}).number,
                                    wire::encode_from_server(AgentData{}).number,
                                    wire::encode_from_server(AgentDisconnected{}).number}) {
        if (number == own) return true;
    }
    return false;
}

void MainChannel::cancel_migration() {
    send(main_wire::MigrateCancel{});
    if (!std::exchange(awaits_answer_, false)) return;
    wire::common::Ping message;
    barrier_ = message.id = kBarrier | ++barriers_;
    send(message);
}

Result<> MainChannel::answered(MainEvents::Linked linked) {
    if (barrier_) return {};
    awaits_answer_ = false;
    return events_.migrate_linked(linked);
}

void MainChannel::ping() {
    // Behind MIGRATE nothing is sent, and so nothing answered.
    if (!ping_answered_ || is_migrating()) return;
    wire::common::Ping message;
    message.id = ++ping_id_;
    message.timestamp = static_cast<std::uint64_t>(to_us(clock_.now().since_start));
    ping_answered_ = false;
    send(message);
}

void MainChannel::ponged(std::uint32_t id, std::uint64_t timestamp) {
    if (id == barrier_) return barrier_.reset();
    const auto now = static_cast<std::uint64_t>(to_us(clock_.now().since_start));
    if (id != ping_id_ || ping_answered_ || timestamp > now) return;
    ping_answered_ = true;
    events_.round_trip(std::chrono::microseconds(now - timestamp));
}

std::uint32_t MainChannel::migrate_flags() const {
    return static_cast<std::uint32_t>(wire::common::MigrateFlags::need_flush |
                                      wire::common::MigrateFlags::need_data_transfer);
}

Bytes MainChannel::migrate_data() {
    told_state_ = true;
    return write_main_state(events_.main_state());
}

Result<> MainChannel::restore(const wire::SharedBytes& blob) {
    MainState state = TRY(read_main_state(blob));
    state.only_client_says = only_client_says();
    return events_.restore_main(state);
}

// --- The state ----------------------------------------------------------------------------------

Bytes write_main_state(const MainState& state) {
    Bytes bytes = wire::encode(0, state.blob).body();
    const auto append = [&bytes](const auto& extension) {
        const Bytes more = wire::encode(0, extension).body();
        bytes.insert(bytes.end(), more.begin(), more.end());
    };
    const auto& agent = state.agent;
    if (agent.order != 0 || agent.others_goes_on || !agent.held.empty()) append(agent);
    if (state.media_time) append(wire::extension::MediaTime{*state.media_time});
    return bytes;
}

Result<MainState> read_main_state(const wire::SharedBytes& bytes) {
    MainState state;
    state.blob = TRY(wire::parse<wire::migration::Main>(bytes));
    // What its offsets point at stands behind its fixed part, and ours behind that.
    const std::size_t end = wire::encode(0, state.blob).body().size();
    if (end > bytes.size()) return state;
    wire::SharedBytes more = bytes.slice(end, bytes.size() - end);
    const auto begins_with = [&more](std::string_view magic) {
        return as_text(more.view()).substr(0, 4) == magic;
    };
    // The time stands last, and has one size.
    if (more.size() >= kMediaTime) {
        const wire::SharedBytes last = more.slice(more.size() - kMediaTime, kMediaTime);
        if (const auto time = wire::parse<wire::extension::MediaTime>(last)) {
            state.media_time = time->milliseconds;
            more = more.slice(0, more.size() - kMediaTime);
        }
    }
    if (begins_with("SGAG")) state.agent = TRY(wire::parse<wire::extension::AgentState>(more));
    return state;
}

}  // namespace segue::spice::server
