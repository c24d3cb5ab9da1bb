// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/agent/agent.h"

#include <algorithm>

#include "base/log.h"

namespace segue::spice::server {
namespace {

using Verdict = AgentFilter::Verdict;
using wire::SharedBytes;

// Pieces of the server's own carry what they are as their price.
constexpr std::uint32_t kMousePrice = 1;

Bytes chunk(std::uint32_t port, ByteView data) {
    LittleWriter writer;
    writer.u32(port);
    writer.u32(static_cast<std::uint32_t>(data.size()));
    writer.bytes(data);
    return writer.take();
}

}  // namespace

Agent::Agent(Loop& loop, Hooks hooks) : loop_(loop), hooks_(std::move(hooks)) {
    patience_ = loop_.make_timer([this] { give_up_arrived(); });
    wait_bound_ = loop_.make_timer([this] { wait_no_longer(); });
}

Agent::~Agent() {
    *alive_ = false;
}

// --- The device ---------------------------------------------------------------------------------

Result<> Agent::attach(std::unique_ptr<CharDevice> device) {
    if (port_) return fail(ErrorCode::exists, "there is an agent already");
    broken_port_.reset();  // the guest has opened it anew
    DevicePort::Owner& owner = *this;
    port_ = std::make_unique<DevicePort>(std::move(device), loop_, owner);
    reader_ = {};
    from_agent_ = {};
    speaker_ = 0;
    mouse_under_way_ = false;
    wants_graphics_devices_ = false;
    port_->device().set_connected(true);
    port_->set_held(!expected_.empty());
    patience_->cancel();
    take_arrived();
    for (auto& [id, session] : sessions_) {
        if (session.knows) continue;
        reset(session);
        session.knows = true;
        session.user->agent_connected(TokenAccount::kWindow);
    }
    hooks_.on_change();
    if (port_) port_->set_running(running_);
    return {};
}

void Agent::detach() {
    broken_port_.reset();
    if (!port_) return;
    port_.reset();
    forget_agent();
}

void Agent::forget_agent() {
    brought_.reset();
    reader_ = {};
    speaker_ = 0;
    mice_.clear();
    for (auto& [id, session] : sessions_) {
        reset(session);
        if (!std::exchange(session.knows, false)) continue;
        session.user->agent_disconnected();
    }
    hooks_.on_change();
}

// The agent broke its protocol: it is taken away from the clients, and from the guest until its
// port is opened anew.
void Agent::broken(const std::string& why) {
    log_warning("spice", "the guest's agent is disconnected: {}", why);
    std::unique_ptr<DevicePort> port = std::move(port_);
    port->set_running(false);
    forget_agent();
    broken_port_ = std::move(port);
    // Not from inside the device's own call: QEMU does not expect to be closed there.
    loop_.post([this, alive = alive_] {
        if (*alive) close_broken();
    });
}

void Agent::close_broken() {
    if (!broken_port_) return;
    // The device may take itself away from inside the call.
    const std::unique_ptr<DevicePort> port = std::move(broken_port_);
    port->device().set_connected(false);
}

void Agent::set_running(bool running) {
    running_ = running;
    captures_ = 0;
    if (!running) made_up_ = false;
    // Of a move that ended here after all: whose message it was has gone.
    if (running && speaker_ != 0 && find(speaker_) == nullptr) end_unfinished(speaker_);
    const bool brings = brought_ || !arrived_.empty();
    if (running && !port_ && brings) patience_->start(kAttachPatience);
    if (port_) port_->set_running(running);
    bound_the_wait();
}

void Agent::wakeup() {
    if (port_) port_->wakeup();
}

// --- From the agent -----------------------------------------------------------------------------

bool Agent::somebody_takes() const {
    bool any = false;
    for (const auto& [id, session] : sessions_) {
        if (!session.started) continue;
        any = true;
        if (session.to_client.empty() && session.account.may_take() &&
            session.user->agent_has_room())
            return true;
    }
    // For nobody it is read, too, and dropped: the agent must not hang.
    return !any && arrived_.empty();
}

void Agent::device_readable() {
    if (reading_) return;
    reading_ = true;
    std::string why;
    while (port_ && why.empty() && somebody_takes()) {
        const std::size_t size = port_->read(reader_.room());
        if (size == 0) break;
        auto piece = reader_.filled(size);
        if (!piece) {
            why = piece.error().message;
        } else if (*piece) {
            const Result<> done = deliver(std::move(**piece));
            if (!done) why = done.error().message;
        }
    }
    reading_ = false;
    if (!why.empty()) broken(why);
}

Result<> Agent::deliver(AgentReader::Piece piece) {
    if (piece.port == VDP_SERVER_PORT) return {};
    const bool begins = !from_agent_.in_message();
    const Verdict verdict = from_agent_.process(piece.bytes, rules_);
    if (verdict == Verdict::broken)
        return fail(ErrorCode::protocol, "a message without a whole header, or beyond its end");
    if (begins) {
        look_at_announcement(piece.bytes);
        // Who starts in the middle of a message gets the next.
        for (auto& [id, session] : sessions_)
            session.receives = session.started;
    }
    if (verdict != Verdict::pass) return {};
    const SharedBytes shared = SharedBytes::take(std::move(piece.bytes));
    for (auto& [id, session] : sessions_) {
        if (session.receives) give(id, session, shared);
    }
    return {};
}

// What the embedder forbids is not announced to clients; what else the agent can do concerns us.
void Agent::look_at_announcement(Bytes& piece) {
    constexpr std::size_t kRequest = sizeof(VDAgentMessage);
    constexpr std::size_t kCaps = kRequest + sizeof(VDAgentAnnounceCapabilities);
    if (load<ByteOrder::little, std::uint32_t>(piece.data() + 4) !=
            VD_AGENT_ANNOUNCE_CAPABILITIES ||
        piece.size() < kCaps + sizeof(std::uint32_t))
        return;
    std::uint32_t caps = load<ByteOrder::little, std::uint32_t>(piece.data() + kCaps);
    const auto bit = [](unsigned number) { return std::uint32_t{1} << number; };
    if (!rules_.copy_paste) {
        caps &= ~(bit(VD_AGENT_CAP_CLIPBOARD) | bit(VD_AGENT_CAP_CLIPBOARD_BY_DEMAND) |
                  bit(VD_AGENT_CAP_CLIPBOARD_SELECTION));
    }
    if (!rules_.file_transfer) caps |= bit(VD_AGENT_CAP_FILE_XFER_DISABLED);
    store<ByteOrder::little>(piece.data() + kCaps, caps);
    wants_graphics_devices_ = (caps & bit(VD_AGENT_CAP_GRAPHICS_DEVICE_INFO)) != 0;
    send_graphics_devices();
}

void Agent::give(ClientId id, Session& session, const SharedBytes& piece) {
    session.to_client.push_back(piece);
    flush(session);
    if (session.to_client.size() <= kMostToClient) return;
    log_warning("spice", "client {} takes nothing from the agent, others do: it begins anew", id);
    reset(session);
    session.user->agent_disconnected();
    session.user->agent_connected(TokenAccount::kWindow);
}

void Agent::flush(Session& session) {
    while (!session.to_client.empty() && session.account.may_take() &&
           session.user->agent_has_room()) {
        session.account.took();
        session.user->agent_says(session.to_client.front());
        session.to_client.pop_front();
    }
}

// --- Clients ------------------------------------------------------------------------------------

Agent::Session* Agent::find(ClientId id) {
    const auto found = sessions_.find(id);
    return found == sessions_.end() ? nullptr : &found->second;
}

void Agent::reset(Session& session) {
    Session fresh;
    fresh.user = session.user;
    fresh.knows = session.knows;
    fresh.leaves = session.leaves;
    session = std::move(fresh);
}

void Agent::join(ClientId id, User& user) {
    Session& session = sessions_[id];
    session.user = &user;
    session.knows = is_attached();
    expect_no_more(id);
    bound_the_wait();
}

void Agent::leave(ClientId id) {
    expect_no_more(id);
    late_.erase(id);
    const auto found = sessions_.find(id);
    if (found == sessions_.end()) return;
    const bool was_started = found->second.started;
    const bool has_moved_on = found->second.leaves;
    sessions_.erase(found);
    // It took along what it had here, and goes on elsewhere.
    if (has_moved_on || !port_ || arrived_.count(id) != 0) return;
    port_->forget(id);
    if (speaker_ == id || (was_started && !anyone_started())) end_unfinished(id);
    [[maybe_unused]] const auto done = pass_on_held();
    if (port_) port_->wakeup();
}

bool Agent::anyone_started() const {
    return std::any_of(sessions_.begin(), sessions_.end(),
                       [](const auto& entry) { return entry.second.started; });
}

// The agent forgets what it has of an unfinished message.
void Agent::end_unfinished(ClientId id) {
    if (speaker_ == id) speaker_ = 0;
    write_own(VD_AGENT_CLIENT_DISCONNECTED, {});
}

Result<> Agent::start(ClientId id, std::uint32_t tokens) {
    Session* session = find(id);
    // Also what a client says before it knows that the agent has gone.
    if (session == nullptr || (!port_ && arrived_.empty())) return {};
    session->started = true;
    session->account.set_granted_by_client(tokens);
    if (port_) port_->wakeup();
    return {};
}

Result<> Agent::tokens(ClientId id, std::uint32_t tokens) {
    Session* session = find(id);
    if (session == nullptr || !session->started) return {};
    session->account.granted_by_client(tokens);
    room(id);
    return {};
}

void Agent::room(ClientId id) {
    Session* session = find(id);
    if (session == nullptr || !session->started) return;
    flush(*session);
    if (port_) device_readable();
}

Result<> Agent::data(ClientId id, const SharedBytes& piece) {
    Session* session = find(id);
    if (session == nullptr || !session->started) return {};
    if (!session->account.spend()) {
        return fail(ErrorCode::protocol, "an agent message beyond the {} that were granted",
                    TokenAccount::kWindow);
    }
    const bool is_held = !port_ || !expected_.empty() || (speaker_ != 0 && speaker_ != id);
    if (is_held || !session->to_agent.empty()) {
        session->to_agent.push_back(SharedBytes::copy(piece.view()));
        return {};
    }
    TRY(pass_on(id, *session, piece));
    return pass_on_held();
}

Result<> Agent::pass_on(ClientId id, Session& session, const SharedBytes& piece) {
    switch (session.filter.process(piece.view(), rules_)) {
        case Verdict::broken:
            return fail(ErrorCode::protocol,
                        "an agent message without a whole header, or beyond its end");
        case Verdict::drop: pay_back(session, 1); return {};
        case Verdict::monitors:
            pay_back(session, 1);
            return collect_monitors(session, piece.view());
        case Verdict::pass: break;
    }
    speaker_ = session.filter.in_message() ? id : 0;
    return port_->write(SharedBytes::take(chunk(VDP_CLIENT_PORT, piece.view())), id, 1);
}

// The messages that waited for another client's.
Result<> Agent::pass_on_held() {
    for (bool again = true; again && port_ && expected_.empty();) {
        again = false;
        for (auto& [id, session] : sessions_) {
            if ((speaker_ != 0 && speaker_ != id) || session.to_agent.empty()) continue;
            const SharedBytes piece = session.to_agent.front();
            session.to_agent.pop_front();
            TRY(pass_on(id, session, piece));
            again = true;
            break;
        }
    }
    return {};
}

Result<> Agent::collect_monitors(Session& session, ByteView piece) {
    constexpr std::size_t kMost = sizeof(VDAgentMessage) + sizeof(VDAgentMonitorsConfig) +
                                  256 * (sizeof(VDAgentMonConfig) + sizeof(VDAgentMonitorMM));
    if (session.monitors.size() + piece.size() > kMost) {
        return fail(ErrorCode::limit_exceeded, "a configuration of more than 256 monitors");
    }
    session.monitors.insert(session.monitors.end(), piece.begin(), piece.end());
    if (session.filter.in_message()) return {};
    Bytes message = std::exchange(session.monitors, {});
    message.erase(message.begin(),
                  message.begin() + static_cast<std::ptrdiff_t>(sizeof(VDAgentMessage)));
    LittleReader reader(message);
    const std::uint64_t count = reader.u32();
    const std::uint32_t flags = reader.u32();
    const bool has_sizes = (flags & VD_AGENT_CONFIG_MONITORS_FLAG_PHYSICAL_SIZE) != 0;
    const std::uint64_t each =
        sizeof(VDAgentMonConfig) + (has_sizes ? sizeof(VDAgentMonitorMM) : 0);
    if (!reader.ok() || count * each > reader.remaining()) {
        return fail(ErrorCode::protocol, "a configuration of {} monitors in {} bytes", count,
                    message.size());
    }
    hooks_.on_monitors(std::move(message));
    return {};
}

void Agent::device_took(Payer payer, std::uint32_t tokens) {
    if (payer != DevicePort::kServer) {
        if (Session* session = find(payer)) pay_back(*session, tokens);
        return;
    }
    if (tokens != kMousePrice) return;
    mouse_under_way_ = false;
    send_mouse();
}

void Agent::pay_back(Session& session, std::uint32_t tokens) {
    if (session.leaves) return session.account.freed(tokens);
    if (const std::uint32_t granted = session.account.paid_back(tokens))
        session.user->agent_grants(granted);
}

// --- The server's own words ---------------------------------------------------------------------

Bytes Agent::own_message(std::uint32_t type, ByteView data) {
    LittleWriter message;
    message.u32(VD_AGENT_PROTOCOL);
    message.u32(type);
    message.u64(0);
    message.u32(static_cast<std::uint32_t>(data.size()));
    message.bytes(data);
    return chunk(VDP_SERVER_PORT, message.take());
}

void Agent::write_own(std::uint32_t type, ByteView data) {
    if (!port_) return;
    const std::uint32_t price = type == VD_AGENT_MOUSE_STATE ? kMousePrice : 0;
    const Result<> done =
        port_->write(SharedBytes::take(own_message(type, data)), DevicePort::kServer, price);
    if (!done) log_warning("spice", "{}", done.error().message);
}

void Agent::mouse(const AgentMouse& mouse) {
    if (!port_) return;
    const bool moves_on = !mice_.empty() && mice_.back().buttons == mouse.buttons;
    if (moves_on || mice_.size() == kMostMice) mice_.pop_back();
    mice_.push_back(mouse);
    send_mouse();
}

// One at a time, so that the rest can still be replaced.
void Agent::send_mouse() {
    if (mouse_under_way_ || mice_.empty()) return;
    const AgentMouse mouse = mice_.front();
    mice_.pop_front();
    mouse_under_way_ = true;
    LittleWriter writer;
    writer.u32(mouse.x);
    writer.u32(mouse.y);
    writer.u32(mouse.buttons);
    writer.u8(mouse.display);
    write_own(VD_AGENT_MOUSE_STATE, writer.take());
}

void Agent::graphics_devices_changed() {
    send_graphics_devices();
}

void Agent::send_graphics_devices() {
    if (!port_ || !wants_graphics_devices_) return;
    const Bytes devices = hooks_.graphics_devices();
    if (!devices.empty()) write_own(VD_AGENT_GRAPHICS_DEVICE_INFO, devices);
}

}  // namespace segue::spice::server
