// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/client/agent/agent.h"

#include <limits>

#include "base/log.h"

namespace segue::spice::client {

namespace agent = wire::agent;
using agent::Capability;

namespace {

constexpr std::size_t kSelections = 3;
constexpr std::size_t kSelectionPrefix = 4;

bool is_clipboard(std::uint32_t type) {
    return type == agent::Clipboard::kFromServer || type == agent::ClipboardGrab::kFromServer ||
           type == agent::ClipboardRequest::kFromServer ||
           type == agent::ClipboardRelease::kFromServer;
}

// Ends of lines: the guest may have CR LF, the user's side has LF.
std::string without_returns(ByteView text) {
    std::string result;
    result.reserve(text.size());
    for (std::size_t at = 0; at < text.size(); ++at) {
        const bool paired = text[at] == '\r' && at + 1 < text.size() && text[at + 1] == '\n';
        if (!paired) result += static_cast<char>(text[at]);
    }
    return result;
}

std::string with_returns(ByteView text) {
    std::string result;
    result.reserve(text.size() + text.size() / 16);
    for (std::size_t at = 0; at < text.size(); ++at) {
        if (text[at] == '\n' && (at == 0 || text[at - 1] != '\r')) result += '\r';
        result += static_cast<char>(text[at]);
    }
    return result;
}

}  // namespace

Agent::Agent(Send send, AgentListener& listener)
    : send_(std::move(send)),
      listener_(listener),
      files_([this](std::uint32_t type,
                    ByteView body) { return send_(AgentStream::frame(type, body)); },
             listener) {}

void Agent::on_connected(bool connected) {
    if (std::exchange(connected_, connected) == connected && !connected) return;
    stream_.reset();
    theirs_ = {};
    serials_ = {};
    broken_ = false;
    if (connected) return announce(true);
    files_.fail_all(agent::FileStatus::vdagent_not_connected);
    if (std::exchange(ready_, false)) listener_.on_agent_ready(false);
}

void Agent::announce(bool request) {
    const auto ours = wire::Capabilities::of(
        {Capability::mouse_state, Capability::monitors_config, Capability::reply,
         Capability::display_config, Capability::clipboard_by_demand,
         Capability::clipboard_selection, Capability::audio_volume_sync,
         Capability::monitors_config_position, Capability::file_xfer_detailed_errors,
         Capability::clipboard_no_release_on_regrab, Capability::clipboard_grab_serial});
    (void)say(agent::AnnounceCapabilities{request ? 1u : 0u, ours.words()});
}

void Agent::on_data(ByteView chunk) {
    if (!connected_ || broken_) return;
    const Result<> fed = stream_.feed(chunk, [this](const auto& message) { handle(message); });
    if (fed) return;
    log_warning("spice", "the guest's agent is not understood until it connects again: {}",
                fed.error().message);
    broken_ = true;
}

void Agent::handle(const AgentStream::Message& message) {
    wire::SharedBytes body = message.body;
    selection_ = Selection::clipboard;
    if (is_clipboard(message.type) && can(Capability::clipboard_selection)) {
        if (body.size() < kSelectionPrefix) return;
        selection_ = static_cast<Selection>(body.view()[0]);
        body = body.slice(kSelectionPrefix, body.size() - kSelectionPrefix);
    }
    if (message.type == agent::ClipboardGrab::kFromServer &&
        can(Capability::clipboard_grab_serial)) {
        if (body.size() < sizeof grab_serial_) return;
        grab_serial_ = load<ByteOrder::little, std::uint32_t>(body.data());
        body = body.slice(sizeof grab_serial_, body.size() - sizeof grab_serial_);
    }
    if (static_cast<std::size_t>(selection_) >= kSelections || message.type > 0xffff) return;
    const Result<> handled = agent::dispatch_from_server(static_cast<std::uint16_t>(message.type),
                                                         body, [this](const auto& parsed) {
                                                             on(parsed);
                                                             return Result<>{};
                                                         });
    // An agent that is newer than we are says things that we do not know.
    if (!handled) log_debug("spice", "the guest's agent: {}", handled.error().message);
}

void Agent::on(const agent::AnnounceCapabilities& message) {
    theirs_ = wire::Capabilities(message.words);
    if (message.request != 0) announce(false);
    tell_wishes();
    if (!std::exchange(ready_, true)) listener_.on_agent_ready(true);
}

void Agent::tell_wishes() {
    if (!monitors_.empty()) set_monitors(monitors_);
    if (display_) set_display(*display_);
    if (max_clipboard_ && can(Capability::max_clipboard)) {
        const auto most = std::numeric_limits<std::int32_t>::max();
        (void)say(agent::MaxClipboard{static_cast<std::int32_t>(
            std::min<std::uint32_t>(*max_clipboard_, static_cast<std::uint32_t>(most)))});
    }
}

void Agent::set_monitors(std::vector<agent::Monitor> monitors) {
    monitors_ = std::move(monitors);
    if (!can(Capability::monitors_config)) return;
    agent::MonitorsConfig message;
    if (can(Capability::monitors_config_position))
        message.flags = agent::MonitorsFlags::use_position;
    message.monitors = monitors_;
    (void)say(message);
}

void Agent::set_display(agent::DisplayConfig config) {
    display_ = config;
    if (can(Capability::display_config)) (void)say(config);
}

// --- Clipboard -----------------------------------------------------------------------------------

bool Agent::is_too_long(std::size_t bytes) const {
    return bytes > agent::kClipboardData || (max_clipboard_ && bytes > *max_clipboard_);
}

bool Agent::has_clipboard(Selection selection) const {
    return can(Capability::clipboard_by_demand) &&
           (selection == Selection::clipboard || can(Capability::clipboard_selection));
}

Bytes Agent::prefix_of(Selection selection) const {
    if (!can(Capability::clipboard_selection)) return {};
    return {static_cast<std::uint8_t>(selection), 0, 0, 0};
}

void Agent::offer_clipboard(Selection selection, const std::vector<ClipboardType>& types) {
    if (!has_clipboard(selection)) return;
    LittleWriter prefix;
    prefix.bytes(prefix_of(selection));
    if (can(Capability::clipboard_grab_serial))
        prefix.u32(serials_[static_cast<std::size_t>(selection)]++);
    (void)say(agent::ClipboardGrab{types}, prefix.view());
}

void Agent::withdraw_clipboard(Selection selection) {
    if (has_clipboard(selection)) (void)say(agent::ClipboardRelease{}, prefix_of(selection));
}

void Agent::request_clipboard(Selection selection, ClipboardType type) {
    if (has_clipboard(selection)) (void)say(agent::ClipboardRequest{type}, prefix_of(selection));
}

void Agent::send_clipboard(Selection selection, ClipboardType type, ByteView data) {
    if (!has_clipboard(selection)) return;
    agent::Clipboard message;
    message.type = type;
    const bool converts = type == ClipboardType::utf8_text && can(Capability::guest_lineend_crlf);
    message.data.append(converts ? wire::SharedBytes::copy(as_bytes(with_returns(data)))
                                 : wire::SharedBytes::copy(data));
    if (is_too_long(message.data.size())) {
        log_warning("spice", "{} bytes are too many for the guest's clipboard: the limit is {}",
                    data.size(), max_clipboard_.value_or(agent::kClipboardData));
        message.type = ClipboardType::none;
        message.data = {};
    }
    if (const Result<> sent = say(message, prefix_of(selection)); !sent)
        log_warning("spice", "clipboard: {}", sent.error().message);
}

void Agent::on(const agent::ClipboardGrab& message) {
    if (!has_clipboard(selection_)) return;
    if (can(Capability::clipboard_grab_serial)) {
        auto& next = serials_[static_cast<std::size_t>(selection_)];
        if (grab_serial_ < next) return;  // ours was first
        next = grab_serial_ + 1;
    }
    listener_.on_guest_offer(selection_, message.types);
}

void Agent::on(const agent::ClipboardRelease&) {
    listener_.on_guest_offer(selection_, {});
}

void Agent::on(const agent::ClipboardRequest& message) {
    listener_.on_guest_request(selection_, message.type);
}

void Agent::on(const agent::Clipboard& message) {
    const wire::SharedBytes data = message.data.contiguous();
    if (is_too_long(data.size())) {
        return log_warning("spice",
                           "{} bytes of the guest's clipboard are left there: "
                           "SPICE_MAX_CLIPBOARD is {}",
                           data.size(), *max_clipboard_);
    }
    if (message.type != ClipboardType::utf8_text)
        return listener_.on_guest_clipboard(selection_, message.type, data.view());
    const std::string text = without_returns(data.view());
    listener_.on_guest_clipboard(selection_, message.type, as_bytes(text));
}

// --- The rest ------------------------------------------------------------------------------------

void Agent::on(const agent::FileXferStatus& message) {
    files_.on_status(message);
}

void Agent::on(const agent::AudioVolumeSync& message) {
    listener_.on_guest_volume(message);
}

template <class Message>
Result<> Agent::say(const Message& message, ByteView prefix) {
    if (!connected_) return fail(ErrorCode::operation_invalid, "the guest has no agent");
    const wire::EncodedMessage encoded = wire::encode_from_client(message);
    if (encoded.broken_field != nullptr) {
        return fail(ErrorCode::limit_exceeded, "{} of a message to the guest's agent is too long",
                    encoded.broken_field);
    }
    Bytes body(prefix.begin(), prefix.end());
    const Bytes rest = encoded.body();
    body.insert(body.end(), rest.begin(), rest.end());
    return send_(AgentStream::frame(encoded.number, body));
}

}  // namespace segue::spice::client
