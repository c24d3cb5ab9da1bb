// SPDX-License-Identifier: LGPL-2.1-or-later
#include "standby/agent_port.h"

#include "base/log.h"

namespace segue::standby {

using Kind = AgentLink::Kind;

Result<std::unique_ptr<AgentPort>> AgentPort::make(Loop& loop, const net::Address& address,
                                                   const AgentKey& key,
                                                   std::shared_ptr<net::TlsContext> tls,
                                                   Handlers handlers) {
    std::unique_ptr<AgentPort> port(new AgentPort(loop, key, std::move(tls), std::move(handlers)));
    net::ListenOptions options;
    options.mode = 0600;
    port->listener_ = TRY(
        net::Listener::make(loop, address, options,
                            [raw = port.get()](net::Descriptor socket, const net::SocketAddress&) {
                                raw->accept(std::move(socket));
                            }));
    return port;
}

AgentPort::AgentPort(Loop& loop, const AgentKey& key, std::shared_ptr<net::TlsContext> tls,
                     Handlers handlers)
    : loop_(loop), key_(key), tls_(std::move(tls)), handlers_(std::move(handlers)) {
    hello_bound_ = loop.make_timer([this] {
        if (!linked_) {
            close_with(fail(ErrorCode::timeout, "an agent that does not greet in {} s",
                            to_ms(kHelloBound) / 1000)
                           .value(),
                       true);
        }
    });
    given_up_bound_ = loop.make_timer([this] {
        close_with({ErrorCode::timeout, "the agent does not hear that it was given up"}, false);
    });
}

void AgentPort::accept(net::Descriptor socket) {
    if (connection_) return refuse(std::move(socket));
    if (strangers_.size() >= kMaxStrangers) {
        send_away(strangers_.begin()->first, "too many connect and do not greet");
    }
    const std::uint64_t number = ++last_number_;
    Stranger stranger;
    stranger.connection = connect(std::move(socket), number);
    if (!stranger.connection) return;
    stranger.bound = loop_.make_timer([this, number] {
        send_away(number,
                  fmt::format("an agent that does not greet in {} s", to_ms(kHelloBound) / 1000));
    });
    stranger.bound->start(kHelloBound);
    strangers_[number] = std::move(stranger);
}

void AgentPort::stranger_said(std::uint64_t number, ByteView bytes) {
    const auto found = strangers_.find(number);
    if (found == strangers_.end()) return;
    Bytes& input = found->second.input;
    input.insert(input.end(), bytes.begin(), bytes.end());
    const auto greeted = has_greeted(input);
    if (!greeted) return send_away(number, greeted.error().message);
    if (*greeted) return let_in(number);
    if (input.size() > kMaxGreeting) send_away(number, "a greeting without an end");
}

Result<bool> AgentPort::has_greeted(ByteView input) const {
    AgentLink link(AgentLink::End::standby);
    AgentLink::Message message;
    if (TRY(link.next(input, message)) == 0) return false;
    if (message.kind == Kind::closing) {
        return fail(ErrorCode::connection_lost, "an agent leaves before it greets: {}",
                    AgentLink::reason_of(message));
    }
    if (message.key == key_) return true;
    return fail(ErrorCode::denied, "an agent with the wrong key: not of this protection");
}

// He is the agent: nobody else is waited for.
void AgentPort::let_in(std::uint64_t number) {
    auto stranger = strangers_.extract(number);
    while (!strangers_.empty())
        send_away(strangers_.begin()->first, "another agent is linked");
    link_ = AgentLink(AgentLink::End::standby);
    farewell_heard_ = closing_heard_ = false;
    number_ = number;
    connection_ = std::move(stranger.mapped().connection);
    hello_bound_->start(kHelloBound);
    on_input(stranger.mapped().input);
}

void AgentPort::send_away(std::uint64_t number, const std::string& reason) {
    auto stranger = strangers_.extract(number);
    if (stranger.empty()) return;
    note("agent link: " + reason);
    part_with(std::move(stranger.mapped().connection), number, reason);
    // It may be its own callback.
    loop_.post([gone = std::shared_ptr<Timer>(std::move(stranger.mapped().bound))] {});
}

std::unique_ptr<net::Connection> AgentPort::connect(net::Descriptor socket, std::uint64_t number) {
    net::Connection::Handlers handlers;
    handlers.on_input = [this, number](ByteView bytes) {
        number == number_ ? on_input(bytes) : stranger_said(number, bytes);
    };
    handlers.on_closed = [this, number](const Error& reason) { ended(number, reason); };
    // One that is parted with is being closed, and comes through on_closed.
    handlers.on_end_of_input = [this, number] {
        if (number == number_) return input_ended();
        send_away(number, "an agent leaves before it greets");
    };
    auto connection =
        std::make_unique<net::Connection>(loop_, std::move(socket), std::move(handlers));
    if (tls_ != nullptr && connection->peer().family() != AF_UNIX) {
        auto filter = tls_->make_filter("");
        if (!filter) {
            note("an agent was refused: " + filter.error().message);
            return nullptr;
        }
        connection->set_filter(std::move(*filter));
    }
    connection->start();
    return connection;
}

void AgentPort::refuse(net::Descriptor socket) {
    note("a second agent was refused");
    if (parting_.size() >= kMaxParting) return;
    // A number that is never that of a link.
    const std::uint64_t number = UINT64_MAX - refused_++;
    part_with(connect(std::move(socket), number), number, "another agent is linked");
}

// Whoever reaches this port can knock as often as he likes: he fills no log.
void AgentPort::note(const std::string& refusal) {
    const Instant now = loop_.now();
    if (notes_ == 0 || now - notes_since_ > kNotePeriod) {
        if (notes_ > kMaxNotes) {
            log_warning("standby", "{} more agents were refused", notes_ - kMaxNotes);
        }
        notes_ = 0;
        notes_since_ = now;
    }
    notes_ += 1;
    if (notes_ <= kMaxNotes) log_warning("standby", "{}", refusal);
}

void AgentPort::part_with(std::unique_ptr<net::Connection> connection, std::uint64_t number,
                          const std::string& reason) {
    if (!connection || connection->is_closed()) return;
    if (parting_.size() >= kMaxParting) {
        connection->close();
        // A handler of it may be running.
        return loop_.post([gone = std::shared_ptr<net::Connection>(std::move(connection))] {});
    }
    net::Connection& last = *connection;
    parting_[number] = std::move(connection);
    last.send(AgentLink::closing(reason));
    last.close_after_output(kPartingBound);
}

void AgentPort::ended(std::uint64_t number, const Error& reason) {
    if (number == number_) return close_with(reason, false);
    const auto stranger = strangers_.extract(number);
    if (!stranger.empty()) note("agent link: " + reason.message);
    parting_.erase(number);
}

void AgentPort::on_input(ByteView bytes) {
    heard_at_ = loop_.now();
    if (handlers_.heard) handlers_.heard();
    input_.insert(input_.end(), bytes.begin(), bytes.end());
    look();
}

void AgentPort::resume() {
    if (!looking_) look();
}

// Handlers may drop the link, and with it the input.
void AgentPort::look() {
    looking_ = true;
    const std::uint64_t number = number_;
    Result<> outcome;
    while (number == number_ && connection_ && !handlers_.must_wait()) {
        AgentLink::Message message;
        const auto now = link_.next(ByteView(input_).subspan(looked_at_), message);
        outcome = now ? Result<>() : tl::make_unexpected(now.error());
        if (!now || *now == 0) break;
        looked_at_ += *now;
        outcome = take(message);
        if (!outcome) break;
    }
    looking_ = false;
    if (number != number_ || !connection_) return;
    if (!outcome) return close_with(outcome.error(), true);
    input_.erase(input_.begin(), input_.begin() + static_cast<std::ptrdiff_t>(looked_at_));
    looked_at_ = 0;
    const bool reading = input_.size() < kMaxWaiting;
    if (connection_->is_reading() != reading) connection_->set_reading(reading);
}

Result<> AgentPort::take(const AgentLink::Message& message) {
    switch (message.kind) {
        case Kind::hello:
            if (!handlers_.connected()) {
                return fail(ErrorCode::operation_invalid, "an agent came at a wrong time");
            }
            linked_ = true;
            hello_bound_->cancel();
            connection_->send(AgentLink::tell(Kind::welcome));
            return {};
        case Kind::stream: return handlers_.stream(message.bytes);
        case Kind::frames: return handlers_.frames(message.device, message.bytes);
        case Kind::write: return handlers_.write(message.device, message.offset, message.bytes);
        case Kind::zero: return handlers_.zero(message.device, message.offset, message.length);
        case Kind::dead:
        case Kind::ends:
        case Kind::yields:
            farewell_heard_ = true;
            handlers_.farewell(message.kind);
            return {};
        case Kind::input:
            if (handlers_.input) handlers_.input(message.device, message.length, message.waits);
            return {};
        case Kind::pauses: return handlers_.paused(true);
        case Kind::resumes:
            TRY(handlers_.paused(false));
            if (may_send()) connection_->send(AgentLink::tell(Kind::resumed));
            return {};
        case Kind::closing:
            // No farewell: one may follow.
            if (std::exchange(closing_heard_, true)) return {};
            log_info("standby", "the agent says why it closes the link: {}",
                     AgentLink::reason_of(message));
            return {};
        case Kind::welcome:
        case Kind::taken:
        case Kind::given_up:
        case Kind::resumed:
        case Kind::asks:
        case Kind::paces:
        case Kind::word: break;
    }
    return {};
}

void AgentPort::send(ColoMessage message) {
    if (may_send()) connection_->send(AgentLink::word(message));
}

// Frames toward a guest whose agent does not read are dropped, as a full switch port does.
bool AgentPort::send_frames(std::size_t card, ByteView frames) {
    if (!may_send() || connection_->output_waiting() > kMaxWaiting / 2) return false;
    connection_->send(AgentLink::frames(card, frames));
    return true;
}

void AgentPort::ask(bool one) {
    if (may_send()) connection_->send(AgentLink::tell(one ? Kind::asks : Kind::paces));
}

bool AgentPort::farewell_waits() const {
    AgentLink link = link_;
    AgentLink::Message message;
    for (std::size_t at = looked_at_, now = 1; now != 0; at += now) {
        now = link.next(ByteView(input_).subspan(at), message).value_or(0);
        const bool is_farewell = message.kind == Kind::dead || message.kind == Kind::ends ||
                                 message.kind == Kind::yields;
        if (now != 0 && is_farewell) return true;
    }
    return false;
}

// The agent has said all it had to say. Behind a farewell it listens on: "ends" is answered, if
// only when a commit that it waits for is over. Whoever hears a farewell ends the link.
void AgentPort::input_ended() {
    const std::uint64_t number = number_;
    if (!looking_) look();
    if (number != number_ || !connection_) return;
    const bool is_answered = !heard_given_up_ && linked_ && (farewell_heard_ || farewell_waits());
    if (!is_answered)
        close_with({ErrorCode::connection_lost, "the agent has ended the link"}, false);
}

// A link may end while its last words wait for a commit. What else waits belongs to an epoch that
// is not whole; "ends" and "dead" say whether this standby may take over.
void AgentPort::hear_farewell() {
    AgentLink::Message message;
    for (auto now = std::size_t{1}; now != 0; looked_at_ += now) {
        now = link_.next(ByteView(input_).subspan(looked_at_), message).value_or(0);
        if (now == 0) return;
        const bool is_farewell = message.kind == Kind::dead || message.kind == Kind::ends ||
                                 message.kind == Kind::yields;
        if (is_farewell) handlers_.farewell(message.kind);
    }
}

void AgentPort::say_taken() {
    if (may_send()) connection_->send(AgentLink::tell(Kind::taken));
}

// The agent closes when it has heard, and its words until then must not reset the link.
void AgentPort::give_up(std::function<void()> heard) {
    if (!connection_ || !linked_) return heard();
    if (heard_given_up_) {
        heard_given_up_ = [first = std::move(heard_given_up_), heard = std::move(heard)] {
            first();
            heard();
        };
        return;
    }
    heard_given_up_ = std::move(heard);
    connection_->send(AgentLink::tell(Kind::given_up));
    connection_->end_output();
    given_up_bound_->start(kGivenUpBound);
}

void AgentPort::drop(const std::string& reason) {
    if (linked_) log_info("standby", "the link to the agent is closed: {}", reason);
    const bool has_ended_output = static_cast<bool>(heard_given_up_);
    if (heard_given_up_) loop_.post(std::exchange(heard_given_up_, nullptr));
    if (linked_) hear_farewell();
    const std::uint64_t number = std::exchange(number_, 0);
    linked_ = false;
    hello_bound_->cancel();
    given_up_bound_->cancel();
    // A handler of this connection may be running.
    if (connection_ && !connection_->is_closed() && !has_ended_output) {
        part_with(std::move(connection_), number, reason);
    } else if (connection_) {
        connection_->close();
        loop_.post([gone = std::shared_ptr<net::Connection>(std::move(connection_))] {});
    }
    // look() may stand in it.
    loop_.post([gone = std::make_shared<Bytes>(std::move(input_))] {});
    input_ = {};
    looked_at_ = 0;
}

void AgentPort::close_with(const Error& reason, bool at_fault) {
    const bool was_linked = linked_;
    if (!was_linked) note("agent link: " + reason.message);
    drop(reason.message);
    if (was_linked) handlers_.lost(reason, at_fault);
}

}  // namespace segue::standby
