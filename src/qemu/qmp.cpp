// SPDX-License-Identifier: LGPL-2.1-or-later
#include "qemu/qmp.h"

#include <algorithm>
#include <utility>

namespace segue {
namespace {

// QEMU stops reading a monitor that has 8 commands queued (QMP_REQ_QUEUE_LEN_MAX, monitor/qmp.c),
// and an out-of-band command behind them would wait too. So we keep our own queue and send fewer.
constexpr std::size_t kInBandWindow = 6;

Error error_of(const std::string& command, const Json& error) {
    const bool unknown = error.text("class") == "CommandNotFound";
    return {unknown ? ErrorCode::no_support : ErrorCode::operation_failed,
            fmt::format("QEMU refused '{}': {}", command, error.text("desc", "no reason given"))};
}

std::int64_t microseconds_of(const Json& timestamp) {
    const std::int64_t seconds = timestamp.i64("seconds", -1);
    const std::int64_t part = timestamp.i64("microseconds", -1);
    if (seconds < 0 || part < 0 || seconds > INT64_MAX / 2'000'000) return 0;
    return seconds * 1'000'000 + std::min<std::int64_t>(part, 999'999);
}

}  // namespace

std::uint64_t QmpProtocol::execute(QmpCommand command) {
    const std::uint64_t id = next_id_++;
    if (state_ == State::closed) {
        actions_.push_back(QmpReply{id, tl::unexpected(*reason_)});
    } else if (pending() >= limits_.pending) {
        actions_.push_back(QmpReply{
            id, fail(ErrorCode::limit_exceeded, "'{}' was not sent: {} QMP commands wait already",
                     command.name, pending())});
    } else {
        waiting_.push_back({id, std::move(command)});
        pump();
    }
    return id;
}

void QmpProtocol::feed(std::string_view bytes) {
    while (!bytes.empty() && state_ != State::closed) {
        const std::size_t end = bytes.find('\n');
        const std::string_view part = bytes.substr(0, end);
        if (input_.size() + part.size() > limits_.line_bytes) {
            protocol_error(fmt::format("a line longer than {} bytes", limits_.line_bytes));
            return;
        }
        if (end == std::string_view::npos) {
            input_ += part;
            return;
        }
        bytes.remove_prefix(end + 1);
        if (input_.empty()) {
            line(part);
        } else {
            input_ += part;
            const std::string whole = std::move(input_);
            input_.clear();
            line(whole);
        }
    }
}

void QmpProtocol::close(Error reason) {
    if (state_ == State::closed) return;
    state_ = State::closed;
    reason_ = std::move(reason);
    input_.clear();
    for (const auto& [id, sent] : sent_) {
        if (id == negotiation_id_) continue;
        actions_.push_back(QmpReply{id, tl::unexpected(*reason_)});
    }
    for (const Waiting& waiting : waiting_) {
        actions_.push_back(QmpReply{waiting.id, tl::unexpected(*reason_)});
    }
    sent_.clear();
    waiting_.clear();
    actions_.push_back(QmpClosed{*reason_});
}

std::vector<QmpAction> QmpProtocol::take_actions() {
    return std::exchange(actions_, {});
}

void QmpProtocol::line(std::string_view text) {
    if (!text.empty() && text.back() == '\r') text.remove_suffix(1);
    if (text.empty()) return;
    const auto message = Json::parse(text, {.bytes = limits_.line_bytes, .depth = limits_.depth});
    if (!message) return protocol_error(message.error().message);
    if (!message->is_object()) return protocol_error("a line that is no JSON object");
    const bool is_reply = message->find("return") || message->find("error");
    if (state_ == State::greeting) {
        // What QEMU had still to say to the daemon that was connected before us.
        if (message->find("event") || is_reply) return;
        return greeting(*message);
    }
    if (message->find("event")) return event(*message);
    if (is_reply) return reply(*message);
    if (message->find("QMP") && !greeted_twice_) return greeted_again(*message);
    protocol_error("an object that is neither reply nor event");
}

void QmpProtocol::greeting(const Json& message) {
    const Json& offer = message["QMP"];
    const Json& version = offer["version"]["qemu"];
    if (!offer.is_object() || !version.is_object()) return protocol_error("no greeting");
    version_ = {static_cast<int>(version.i64("major")), static_cast<int>(version.i64("minor")),
                static_cast<int>(version.i64("micro")),
                std::string(offer["version"].text("package"))};
    for (const Json& capability : offer["capabilities"].items()) {
        if (capability.as_text() == "oob") out_of_band_ = true;
    }
    Json arguments = Json::object();
    if (out_of_band_) arguments.set("enable", Json::array({"oob"}));
    state_ = State::negotiating;
    send(negotiation_id_, {.name = "qmp_capabilities", .arguments = std::move(arguments)});
}

// QEMU 7.2 greets twice whom it accepts while its monitor is set up (monitor/qmp.c:
// CHR_EVENT_OPENED comes from the socket, and from whoever installs the handlers), and negotiates
// anew.
void QmpProtocol::greeted_again(const Json& message) {
    greeted_twice_ = true;
    if (sent_.erase(negotiation_id_) != 0) --in_band_;
    negotiation_id_ = next_id_++;
    greeting(message);
}

void QmpProtocol::agreed(const Json& message) {
    // It may have read our first word behind its second greeting: then that one counted.
    const Json& error = message["error"];
    const bool is_agreed_already = greeted_twice_ && error.text("class") == "CommandNotFound";
    if (message.find("error") && !is_agreed_already) {
        return close({ErrorCode::protocol, error_of("qmp_capabilities", message["error"]).message});
    }
    state_ = State::ready;
    if (!std::exchange(was_ready_, true)) actions_.push_back(QmpReady{version_, out_of_band_});
    pump();
}

void QmpProtocol::reply(const Json& message) {
    const auto id = message["id"].as_u64();
    const auto found = id ? sent_.find(*id) : sent_.end();
    if (found == sent_.end()) {
        // QEMU greets at once, and answers the daemon that was connected before us when it is done
        // with that one's last command: before it answers our first.
        if (state_ == State::negotiating) return;
        return protocol_error("a reply to no command of ours");
    }
    const Sent sent = std::move(found->second);
    sent_.erase(found);
    if (!sent.out_of_band) --in_band_;
    if (sent.with_descriptor) --descriptors_;
    if (*id == negotiation_id_) return agreed(message);
    if (const Json* error = message.find("error")) {
        actions_.push_back(QmpReply{*id, tl::unexpected(error_of(sent.name, *error))});
    } else {
        actions_.push_back(QmpReply{*id, message["return"]});
    }
    pump();
}

void QmpProtocol::event(const Json& message) {
    const auto name = message["event"].as_text();
    if (!name) return protocol_error("an event without a name");
    actions_.push_back(
        QmpEvent{std::string(*name), message["data"], microseconds_of(message["timestamp"])});
}

void QmpProtocol::pump() {
    if (state_ != State::ready) return;
    for (auto next = waiting_.begin(); next != waiting_.end();) {
        if (may_leave(next->command)) {
            send(next->id, next->command);
            next = waiting_.erase(next);
        } else if (out_of_band_) {
            // Nothing in band may overtake: from here on only out-of-band commands leave.
            next = std::find_if(next + 1, waiting_.end(),
                                [](const Waiting& waiting) { return waiting.command.out_of_band; });
        } else {
            break;
        }
    }
}

bool QmpProtocol::may_leave(const QmpCommand& command) const {
    // QEMU keeps only the descriptor that came last, and takes it when it runs the command.
    if (command.descriptor >= 0 && descriptors_ > 0) return false;
    return (command.out_of_band && out_of_band_) || in_band_ < kInBandWindow;
}

void QmpProtocol::send(std::uint64_t id, const QmpCommand& command) {
    const bool oob = command.out_of_band && out_of_band_;
    Json message = Json::object();
    message.set(oob ? "exec-oob" : "execute", command.name);
    if (!command.arguments.is_null()) message.set("arguments", command.arguments);
    message.set("id", id);
    sent_.emplace(id, Sent{command.name, oob, command.descriptor >= 0});
    if (!oob) ++in_band_;
    if (command.descriptor >= 0) ++descriptors_;
    actions_.push_back(QmpSend{message.dump() + "\n", command.descriptor});
}

void QmpProtocol::protocol_error(std::string_view what) {
    close({ErrorCode::protocol, fmt::format("QEMU's monitor broke the protocol: {}", what)});
}

}  // namespace segue
