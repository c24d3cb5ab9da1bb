// SPDX-License-Identifier: LGPL-2.1-or-later
// The agent's part of a hand-over: what its clients take along, and bring.
#include <algorithm>

#include "base/log.h"
#include "spice/server/agent/agent.h"

namespace segue::spice::server {

using wire::SharedBytes;
namespace extension = wire::extension;

namespace {

// Whole chunks as a client's words are written, each allowed.
bool are_chunks(ByteView bytes, AgentFilter& filter, const AgentRules& rules) {
    LittleReader reader(bytes);
    while (reader.remaining() > 0) {
        const std::uint32_t port = reader.u32();
        const std::uint32_t size = reader.u32();
        if (!reader.ok() || port != VDP_CLIENT_PORT || size > VD_AGENT_MAX_DATA_SIZE ||
            size > reader.remaining()) {
            return false;
        }
        if (filter.process(reader.bytes(size), rules) != AgentFilter::Verdict::pass) return false;
    }
    return true;
}

}  // namespace

// --- Source -------------------------------------------------------------------------------------

void Agent::before_migrate(ClientId id) {
    Session* session = find(id);
    if (session == nullptr) return;
    session->leaves = true;
    if (port_) {
        if (auto piece = reader_.cut(least_to_cut())) {
            if (const Result<> done = deliver(std::move(*piece)); !done)
                return broken(done.error().message);
        }
    }
    // What was read is with the client; it will not count tokens of this server any more.
    for (const SharedBytes& piece : session->to_client)
        session->user->agent_says(piece);
    session->to_client.clear();
}

Agent::Carried Agent::capture(ClientId id) {
    Carried carried;
    wire::migration::Main& state = carried.state;
    const auto found = sessions_.find(id);
    if (found == sessions_.end()) return carried;
    const Session& session = found->second;
    const auto arrived = arrived_.find(id);
    if (arrived != arrived_.end()) {
        carried = arrived->second;
    } else if (!port_) {
        return carried;
    } else {
        state.agent_device.connected = true;
        DevicePort::Unwritten unwritten = port_->capture_rest(id);
        state.agent_device.write_client_tokens = unwritten.tokens;
        state.agent_device.write_data = SharedBytes::take(std::move(unwritten.bytes));
        carried.more.order = captures_++;
        carried.more.others_goes_on = speaker_ != 0 && speaker_ != id;
        capture(reader_, from_agent_, state);
    }
    for (const SharedBytes& piece : session.to_agent) {
        extension::HeldPiece held;
        held.data = SharedBytes::copy(piece.view());
        carried.more.held.push_back(std::move(held));
        ++state.agent_device.write_client_tokens;
    }
    session.account.capture(state.agent_device);
    state.client_agent_started = session.started;
    state.client_remaining = session.filter.remaining();
    state.client_filter = static_cast<std::uint8_t>(session.filter.verdict());
    return carried;
}

// What is not settled here yet goes on as it came.
std::optional<wire::migration::Main> Agent::port_state() const {
    if (!port_ || !expected_.empty() || !arrived_.empty()) return brought_;
    wire::migration::Main state;
    state.agent_device.connected = true;
    state.agent_device.write_data = SharedBytes::take(port_->capture(DevicePort::kServer).bytes);
    state.client_agent_started = anyone_started();
    state.client_remaining = speaker_ != 0 ? 1u : 0u;  // somebody has a message under way
    // Of a piece that is not whole its client will be sent what has come; nobody else needs it.
    AgentReader reader = reader_;
    AgentFilter filter = from_agent_;
    if (const auto piece = reader.cut(least_to_cut())) {
        if (piece->port == VDP_CLIENT_PORT) filter.process(piece->bytes, rules_);
    }
    capture(reader, filter, state);
    return state;
}

// At the beginning of a message no less than its header can go; the rest moves as state.
std::size_t Agent::least_to_cut() const {
    return from_agent_.in_message() ? 0 : sizeof(VDAgentMessage) - 1;
}

void Agent::capture(const AgentReader& reader, const AgentFilter& filter,
                    wire::migration::Main& state) {
    reader.capture(state);
    // Between two chunks of a message other servers cannot take its rest over; ours reads it here.
    state.agent_header_done =
        state.agent_chunk_header_size == sizeof(VDIChunkHeader) && state.agent_header.empty();
    state.agent_remaining = filter.remaining();
    state.agent_filter = static_cast<std::uint8_t>(filter.verdict());
}

// --- Target -------------------------------------------------------------------------------------

void Agent::expect_port_state() {
    expect(kNobody);
}

void Agent::take_port_state(const wire::migration::Main& state) {
    if (expected_.count(kNobody) == 0) return;
    if (state.agent_device.connected) {
        brought_ = state;
        // What stays beyond this function may not borrow.
        brought_->agent_device.write_data =
            SharedBytes::copy(state.agent_device.write_data.contiguous().view());
        if (!port_ && running_) patience_->start(kAttachPatience);
    }
    expect_no_more(kNobody);
}

void Agent::expect(ClientId id) {
    expected_.insert(id);
    if (port_) port_->set_held(true);
    bound_the_wait();
}

// A client that hangs must not keep the agent, and with it the pointer, from others; nor must what
// the other server does not tell.
void Agent::bound_the_wait() {
    const bool others_wait = !sessions_.empty() || expected_.count(kNobody) != 0;
    const bool waits = !expected_.empty() && others_wait && running_;
    // Who comes meanwhile makes it no longer.
    if (std::exchange(is_wait_bound_, waits) == waits) return;
    if (waits) {
        wait_bound_->start(kOthersPatience);
    } else {
        wait_bound_->cancel();
    }
}

void Agent::wait_no_longer() {
    is_wait_bound_ = false;
    const std::set<ClientId> waited_for = expected_;
    if (waited_for.count(kNobody) != 0) expect_no_more(kNobody);
    if (sessions_.empty()) return;
    for (const ClientId id : waited_for) {
        if (id == kNobody) continue;
        log_warning("spice", "the guest's agent: client {} brings no state: others go on", id);
        late_.insert(id);
        expect_no_more(id);
    }
}

// What its former server had still to write, as a client says that does not have its word for it.
// Where anything is forbidden here, only what can be judged: whole chunks from the first byte on.
bool Agent::may_be_written(ByteView bytes) const {
    if (rules_.copy_paste && rules_.file_transfer) return true;
    AgentFilter filter;
    return are_chunks(bytes, filter, rules_);
}

void Agent::expect_no_more(ClientId id) {
    if (expected_.erase(id) == 0 || !expected_.empty()) return;
    take_arrived();
    if (port_) port_->set_held(false);
    if (const Result<> done = pass_on_held(); !done)
        log_warning("spice", "the guest's agent: {}", done.error().message);
    bound_the_wait();
}

void Agent::restore(ClientId id, User& user, const Carried& carried) {
    Session& session = sessions_[id];
    session.user = &user;
    session.knows = is_attached();
    const wire::migration::Main& state = carried.state;
    const bool is_late = late_.erase(id) != 0 || made_up_;
    if (state.agent_device.connected && !is_late) {
        session.knows = true;
        session.started = state.client_agent_started;
        session.account.restore(state.agent_device);
        session.filter.restore(state.client_remaining, state.client_filter);
        Carried& kept = arrived_[id] = carried;
        // What stays beyond this function may not borrow.
        kept.state.agent_device.write_data =
            SharedBytes::copy(state.agent_device.write_data.contiguous().view());
        for (extension::HeldPiece& piece : kept.more.held)
            piece.data = SharedBytes::copy(piece.data.contiguous().view());
        if (!port_ && running_) patience_->start(kAttachPatience);
    } else if (session.knows) {
        // There was none at the source, or it has talked without its client since: the client
        // learns of one that is here.
        user.agent_connected(TokenAccount::kWindow);
    }
    expect_no_more(id);
    take_arrived();
    bound_the_wait();
}

// Behind what `at` brought another client's message goes on, and that client is not here: neither
// among those who come next (in front of `at`), nor among those whose state was written before.
bool Agent::lacks_end(AllArrived::const_iterator next, AllArrived::const_iterator at,
                      AllArrived::const_iterator end) {
    const extension::AgentState& more = at->second.more;
    if (!more.others_goes_on) return false;
    if (at != next && std::prev(at)->second.more.order == more.order + 1) return false;
    constexpr auto kPass = static_cast<std::uint8_t>(AgentFilter::Verdict::pass);
    return std::none_of(at, end, [](const auto& one) {
        const wire::migration::Main& state = one.second.state;
        return state.client_remaining != 0 && state.client_filter == kPass;
    });
}

// When all are here: what one has begun to say another one's bytes may end.
void Agent::take_arrived() {
    if (!port_ || !expected_.empty() || (arrived_.empty() && !brought_)) return;
    const auto brought = std::exchange(brought_, std::nullopt);
    AllArrived all(arrived_.begin(), arrived_.end());
    arrived_.clear();
    std::sort(all.begin(), all.end(), [](const auto& one, const auto& other) {
        return one.second.more.order > other.second.more.order;
    });
    // Each goes in front of the one before, and none is on its way until all are there.
    port_->set_held(true);
    bool is_ended = false;
    for (auto at = all.cbegin(); at != all.cend(); ++at) {
        if (lacks_end(all.cbegin(), at, all.cend())) {
            is_ended = true;
            port_->restore({own_message(VD_AGENT_CLIENT_DISCONNECTED, {}), 0}, DevicePort::kServer);
        }
        apply(at->first, at->second);
    }
    const bool first_came = !all.empty() && all.back().second.more.order == 0;
    if (brought && !first_came) make_up_for_absent(*brought, !all.empty(), is_ended);
    if (const Result<> done = pass_on_held(); !done)
        log_warning("spice", "the guest's agent: {}", done.error().message);
    if (port_) port_->set_held(false);
}

// The client that would have told how its former server's port stood is not here. What that had
// still to write goes in front of all, and what was begun there without an end is ended.
void Agent::make_up_for_absent(const wire::migration::Main& brought, bool somebody_came,
                               bool is_ended) {
    made_up_ = true;
    if (!somebody_came) {
        reader_.restore(brought);
        from_agent_.restore(brought.agent_remaining, brought.agent_filter);
    }
    const SharedBytes unwritten = brought.agent_device.write_data.contiguous();
    Bytes bytes(unwritten.view().begin(), unwritten.view().end());
    const bool is_cut = brought.client_remaining != 0 && speaker_ == 0;
    if (!is_ended && (is_cut || (brought.client_agent_started && !anyone_started()))) {
        const Bytes end = own_message(VD_AGENT_CLIENT_DISCONNECTED, {});
        bytes.insert(bytes.end(), end.begin(), end.end());
    }
    port_->restore({std::move(bytes), 0}, DevicePort::kServer);
}

void Agent::apply(ClientId id, const Carried& carried) {
    const wire::migration::Main& state = carried.state;
    const bool is_restricted = !rules_.copy_paste || !rules_.file_transfer;
    // What cannot be judged any more is dropped.
    constexpr std::uint8_t kDrop = static_cast<std::uint8_t>(AgentFilter::Verdict::drop);
    const bool is_doubtful = carried.only_client_says && is_restricted;
    reader_.restore(state);
    from_agent_.restore(state.agent_remaining, is_doubtful ? kDrop : state.agent_filter);
    const auto held = static_cast<std::uint32_t>(carried.more.held.size());
    const std::uint32_t tokens = state.agent_device.write_client_tokens;
    const SharedBytes unwritten = state.agent_device.write_data.contiguous();
    Bytes bytes(unwritten.view().begin(), unwritten.view().end());
    if (carried.only_client_says && !may_be_written(bytes)) {
        log_warning("spice",
                    "the guest's agent: {} bytes that client {} brings are left out: they "
                    "are not what it may say",
                    bytes.size(), id);
        bytes.clear();
    }
    port_->restore({std::move(bytes), tokens - std::min(held, tokens)}, id);
    Session* session = find(id);
    if (session == nullptr) {
        // It has gone already, and what it had begun to say has no end.
        if (state.client_remaining != 0 || !anyone_started()) end_unfinished(id);
        return;
    }
    if (is_doubtful && session->filter.in_message())
        session->filter.restore(session->filter.remaining(), kDrop);
    session->receives = session->started;
    for (std::size_t index = held; index-- > 0;)
        session->to_agent.push_front(carried.more.held[index].data.contiguous());
    if (session->filter.in_message() && session->filter.verdict() == AgentFilter::Verdict::pass)
        speaker_ = id;
    // What the former server could not say any more.
    pay_back(*session, 0);
}

// The port has not opened.
void Agent::give_up_arrived() {
    brought_.reset();
    for (const auto& [id, carried] : std::exchange(arrived_, {})) {
        Session* session = find(id);
        if (session == nullptr) continue;
        reset(*session);
        session->knows = false;
        session->user->agent_disconnected();
    }
}

}  // namespace segue::spice::server
