// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/client/main_channel.h"

namespace segue::spice::client {

namespace main = wire::main;
using wire::has;

wire::Capabilities MainChannel::capabilities() const {
    using main::Capability;
    auto offered =
        wire::Capabilities::of({Capability::semi_seamless_migrate, Capability::name_and_uuid,
                                Capability::agent_connected_tokens, Capability::seamless_migrate});
    offered.add(wire::standby::Capability::knows_standby);
    return offered;
}

Result<> MainChannel::handle(const wire::IncomingMessage& message) {
    if (message.number == wire::standby::StandbyHost::kFromServer) {
        return wire::standby::dispatch_from_server(
            message.number, message.body, [this](const auto& parsed) { return on(parsed); });
    }
    return main::dispatch_from_server(message.number, message.body,
                                      [this](const auto& parsed) { return on(parsed); });
}

void MainChannel::on_reset(ResetReason reason) {
    (void)reason;
    has_init_ = false;
    set_agent(false, 0);
    // The next server has not seen the beginning of what was being said.
    forget_agent_messages(true);
    forget_queue();
}

Result<> MainChannel::on(const main::Init& init) {
    if (has_init_) return fail(ErrorCode::protocol, "a second INIT in one session");
    has_init_ = true;
    supported_modes_ = static_cast<main::MouseMode>(init.supported_mouse_modes);
    mouse_mode_ = static_cast<main::MouseMode>(init.current_mouse_mode);
    listener_.on_init(init);
    listener_.on_media_time(init.multi_media_time);
    listener_.on_mouse_mode(mouse_mode_);
    if (init.agent_connected) set_agent(true, init.agent_tokens);
    if (!settings_.read_only) request_mouse_mode(main::MouseMode::client);
    return {};
}

Result<> MainChannel::on(const main::ChannelsList& list) {
    std::vector<ChannelKey> keys;
    for (const main::ChannelId& channel : list.channels)
        keys.push_back({channel.type, channel.id});
    listener_.on_channels(keys);
    return {};
}

void MainChannel::request_mouse_mode(main::MouseMode mode) {
    if (mouse_mode_ == mode || !has(supported_modes_, mode)) return;
    say(main::MouseModeRequest{mode});
}

Result<> MainChannel::on(const main::MouseModeChanged& changed) {
    supported_modes_ = changed.supported_modes;
    mouse_mode_ = changed.current_mode;
    listener_.on_mouse_mode(mouse_mode_);
    if (!settings_.read_only) request_mouse_mode(main::MouseMode::client);
    return {};
}

Result<> MainChannel::on(const main::MultiMediaTime& message) {
    listener_.on_media_time(message.time);
    return {};
}

void MainChannel::set_agent(bool connected, std::uint32_t tokens) {
    agent_tokens_ = connected ? tokens : 0;
    if (connected && !agent_connected_) say(main::AgentStart{kAgentTokens});
    if (!connected) forget_agent_messages(false);
    if (std::exchange(agent_connected_, connected) != connected) listener_.on_agent(connected);
    if (connected) send_waiting_agent_data();
}

// Servers count the bytes of a message, whether the agent is there or not: what was begun must be
// ended, or the rest of it is read as the head of the next one.
void MainChannel::forget_agent_messages(bool all) {
    std::size_t kept = 0;
    while (!all && kept < agent_queue_.size() && !agent_queue_[kept].begins_message)
        ++kept;
    agent_queue_.resize(kept);
    agent_queue_bytes_ = 0;
    for (const AgentChunk& chunk : agent_queue_)
        agent_queue_bytes_ += chunk.bytes.size();
}

Result<> MainChannel::on(const main::AgentConnected&) {
    set_agent(true, agent_tokens_);
    return {};
}

Result<> MainChannel::on(const main::AgentConnectedTokens& message) {
    set_agent(true, message.tokens);
    return {};
}

Result<> MainChannel::on(const main::AgentDisconnected&) {
    set_agent(false, 0);
    return {};
}

Result<> MainChannel::on(const main::AgentData& message) {
    const wire::SharedBytes chunk = message.data.contiguous();
    say(main::AgentToken{1});
    listener_.on_agent_data(chunk.view());
    return {};
}

Result<> MainChannel::on(const main::AgentToken& message) {
    // Stock servers grant what the agent has taken: the sum stays far below 2^32.
    agent_tokens_ += message.tokens;
    send_waiting_agent_data();
    return {};
}

Result<> MainChannel::send_agent(ByteView bytes) {
    if (!agent_connected_) return fail(ErrorCode::operation_invalid, "the guest has no agent");
    if (agent_queue_bytes_ + bytes.size() > kMaxAgentQueue) {
        return fail(ErrorCode::limit_exceeded, "more than {} bytes wait for the guest's agent",
                    kMaxAgentQueue);
    }
    bool begins_message = true;
    while (!bytes.empty()) {
        const std::size_t size = std::min<std::size_t>(bytes.size(), main::kAgentChunk);
        agent_queue_.push_back(
            {Bytes(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size)),
             std::exchange(begins_message, false)});
        agent_queue_bytes_ += size;
        bytes = bytes.subspan(size);
    }
    send_waiting_agent_data();
    return {};
}

void MainChannel::send_waiting_agent_data() {
    const bool had_some = !agent_queue_.empty();
    while (agent_tokens_ > 0 && !agent_queue_.empty()) {
        --agent_tokens_;
        main::AgentData data;
        agent_queue_bytes_ -= agent_queue_.front().bytes.size();
        data.data.append(wire::SharedBytes::take(std::move(agent_queue_.front().bytes)));
        agent_queue_.pop_front();
        say(data);
    }
    if (had_some && agent_queue_.empty()) listener_.on_agent_drained();
}

Result<> MainChannel::on(const main::Name& message) {
    return listener_.on_name(message.name);
}

Result<> MainChannel::on(const main::Uuid& message) {
    return listener_.on_uuid(message.uuid);
}

Result<> MainChannel::on(const main::MigrateBegin& message) {
    listener_.on_migrate_begin(message.destination, std::nullopt);
    return {};
}

Result<> MainChannel::on(const main::MigrateBeginSeamless& message) {
    listener_.on_migrate_begin(message.destination, message.source_version);
    return {};
}

Result<> MainChannel::on(const main::MigrateCancel&) {
    listener_.on_migrate_cancel();
    return {};
}

Result<> MainChannel::on(const main::MigrateEnd&) {
    listener_.on_migrate_end();
    return {};
}

Result<> MainChannel::on(const main::MigrateSwitchHost& message) {
    listener_.on_switch_host(message.destination);
    return {};
}

Result<> MainChannel::on(const wire::standby::StandbyHost& message) {
    listener_.on_standby_host(message);
    return {};
}

// Only a target that was asked says these, and the session reads them itself.
Result<> MainChannel::on(const main::MigrateDstSeamlessAck&) {
    return fail(ErrorCode::protocol, "a seamless acknowledgement nobody asked for");
}

Result<> MainChannel::on(const main::MigrateDstSeamlessNack&) {
    return fail(ErrorCode::protocol, "a seamless refusal nobody asked for");
}

}  // namespace segue::spice::client
