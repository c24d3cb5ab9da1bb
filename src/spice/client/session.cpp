// SPDX-License-Identifier: LGPL-2.1-or-later
// The session's life with one server: connections, channels, and what is up.
#include "spice/client/session.h"

#include "spice/client/ticket.h"

namespace segue::spice::client {

using wire::ChannelType;

namespace {

// After a hand-over the old picture is shown at most this much longer than the new server needs for
// its first one.
constexpr Duration kPictureBound = 400ms;
// The same while the new server has no surface at all: the guest's screen may be off.
constexpr Duration kBlankBound = 2s;
// Of one channel, each within Settings::trouble_for of the one before.
constexpr int kMaxRelinks = 3;
// A machine has a few dozen channels at most; each display has a picture of its own.
constexpr std::size_t kMaxChannels = 64;
constexpr std::size_t kMaxDisplays = 16;
constexpr Duration kRelinkDelay = 200ms;
// A server that refuses connections for so long is not only on its way back.
constexpr Duration kRestart = 1s;
// A server that lets us in again and ends that within this time has another viewer, who came back,
// too: stock servers serve one. Without an end of it nobody would see anything.
constexpr Duration kTakenWithin = 30s;
// A ticket may be set a moment after its server has begun to listen.
constexpr int kMaxDenials = 3;

// What nearly every server with a screen has: connected while the main channel is being linked.
constexpr ChannelKey kUsual[] = {
    {ChannelType::display, 0}, {ChannelType::inputs, 0}, {ChannelType::cursor, 0}};

wire::Capabilities without(const wire::Capabilities& offered, std::uint32_t masked) {
    std::vector<std::uint32_t> words = offered.words();
    if (!words.empty()) words[0] &= ~masked;
    return wire::Capabilities(std::move(words));
}

}  // namespace

std::string_view name_of(MoveManner manner) {
    switch (manner) {
        case MoveManner::seamless: return "seamless";
        case MoveManner::semi_seamless: return "semi-seamless";
        case MoveManner::switch_host: return "switch-host";
    }
    return "unknown";
}

Session::Session(Environment& environment, Settings settings, SessionListener& listener)
    : environment_(environment),
      settings_(std::move(settings)),
      listener_(listener),
      memory_(std::make_shared<wire::MemoryBudget>(settings_.memory_bound)),
      caches_(std::make_shared<SharedCaches>(settings_.image_cache_pixels,
                                             settings_.glz_window_pixels, memory_)),
      agent_([this](ByteView bytes) { return main().send_agent(bytes); }, listener),
      patience_(environment.loop.make_timer([this] { happen({FollowerEvent::patience_over}); })),
      retry_(environment.loop.make_timer([this] { happen({FollowerEvent::retry_due}); })),
      picture_bound_(environment.loop.make_timer([this] {
          for (const auto& [key, channel] : channels_) {
              if (key.type == ChannelType::display)
                  static_cast<DisplayChannel&>(*channel).painter().complete_picture();
          }
      })),
      source_look_(environment.loop.make_timer([this] { look_at_source(); })),
      once_more_(environment.loop.make_timer([this] { link_once_more(); })) {
    if (settings_.max_clipboard) agent_.limit_clipboard(*settings_.max_clipboard);
}

Session::~Session() {
    for (const auto& [key, wire] : wires_)
        wire->close();
    close_left_behind();
    close_target();
    leave_standby();
}

void Session::start() {
    const Endpoint& endpoint = settings_.endpoint;
    // Who names no plain port wants none, whatever other servers may offer.
    if (!endpoint.is_unix() && endpoint.port == 0 && endpoint.tls_port != 0)
        settings_.all_secure = true;
    // Nothing is drawn yet.
    drawing_.post(prepare_tickets);
    open_fresh({settings_.endpoint, settings_.trust});
}

void Session::close() {
    last_error_.reset();
    happen({FollowerEvent::close});
}

bool Session::is_secure() const {
    return !wires_.empty() && std::all_of(wires_.begin(), wires_.end(), [](const auto& entry) {
        return entry.second->is_secure();
    });
}

std::uint64_t Session::bytes_received() const {
    std::uint64_t total = 0;
    for (const auto& [key, wire] : wires_)
        total += wire->bytes_received();
    return total;
}

std::optional<std::uint32_t> Session::round_trip_us() const {
    const auto wire = wires_.find(kMain);
    return wire == wires_.end() ? std::nullopt : wire->second->round_trip_us();
}

// --- Channels and their wires --------------------------------------------------------------------

WirePlan Session::plan_of(ChannelKey key, const Endpoint& endpoint, const Trust& trust,
                          std::shared_ptr<TlsClient>& tls) const {
    WirePlan plan;
    plan.key = key;
    plan.endpoint = endpoint;
    plan.user = settings_.user;
    plan.password = settings_.password;
    plan.proxy = settings_.proxy;
    plan.memory = memory_;
    plan.secure_first = secured_.contains(key);
    // Once over TLS, never without it, whoever the server is.
    plan.plain_allowed = !settings_.must_be_secure(key.type) && !secured_.contains(key);
    using wire::CommonCapability;
    plan.common = without(
        wire::Capabilities::of({CommonCapability::auth_selection, CommonCapability::auth_spice,
                                CommonCapability::auth_sasl, CommonCapability::mini_header}),
        settings_.masked_common_capabilities);
    const auto masked = settings_.masked_capabilities.find(key.type);
    plan.capabilities = without(channels_.at(key)->capabilities(),
                                masked == settings_.masked_capabilities.end() ? 0 : masked->second);
    if (!endpoint.is_unix() && endpoint.tls_port != 0) {
        if (!tls) {
            if (auto made = TlsClient::make(trust, endpoint.host)) {
                tls = std::move(*made);
            } else {
                listener_.on_problem(made.error());
            }
        }
        plan.tls = tls;
    }
    return plan;
}

ChannelWire::Handlers Session::handlers_of(ChannelKey key) {
    ChannelWire::Handlers handlers;
    handlers.on_linked = [this, key] { on_wire_linked(key); };
    handlers.on_message = [this, key](const wire::IncomingMessage& message) {
        return on_wire_message(key, message);
    };
    handlers.on_closed = [this, key](const Error& error, Ending ending) {
        on_wire_closed(key, error, ending);
    };
    handlers.on_drained = [this, key] { tell_drained(key); };
    return handlers;
}

std::shared_ptr<ChannelWire> Session::make_wire(ChannelKey key) {
    make_channel(key);
    auto wire = ChannelWire::make(
        environment_, plan_of(key, settings_.endpoint, settings_.trust, tls_), handlers_of(key));
    wires_[key] = wire;
    wire->connect();
    return wire;
}

void Session::open_fresh(const Candidate& candidate) {
    log_debug("spice", "a new session with {}", candidate.endpoint.text());
    for (const auto& [key, wire] : wires_)
        wire->close();
    wires_.clear();
    close_left_behind();
    for (const auto& [key, channel] : channels_)
        channel->detach();
    silence();
    settings_.endpoint = candidate.endpoint;
    settings_.trust = candidate.trust;
    tls_.reset();
    has_init_ = has_list_ = is_up_ = false;
    relinks_.clear();
    make_wire(kMain)->link(0);
    // The other connections are made meanwhile; their links wait for the session's id.
    if (!environment_.connector) {
        for (const ChannelKey key : kUsual)
            make_wire(key);
    }
}

// Nobody hears or speaks while there is no server.
void Session::silence() {
    for (const auto& [key, channel] : channels_) {
        if (key.type == ChannelType::playback || key.type == ChannelType::record)
            channel->reset(ResetReason::fresh);
    }
}

void Session::connect_channel(ChannelKey key) {
    if (!is_wanted(key)) return;
    const auto found = wires_.find(key);
    const auto wire =
        found != wires_.end() && !found->second->is_closed() ? found->second : make_wire(key);
    wire->link(session_id_);
}

void Session::drop_channel(ChannelKey key) {
    if (const auto wire = wires_.find(key); wire != wires_.end()) {
        wire->second->close();
        wires_.erase(wire);
    }
    if (target_) {
        if (const auto twin = target_->wires.find(key); twin != target_->wires.end()) {
            twin->second->close();
            target_->wires.erase(twin);
            check_target_ready();
        }
    }
    to_move_.erase(key);
    const auto channel = channels_.find(key);
    if (channel == channels_.end()) return;
    channel->second->reset(ResetReason::gone);
    // It may be on the stack.
    environment_.loop.post([gone = std::shared_ptr<Channel>(std::move(channel->second))] {});
    channels_.erase(channel);
}

void Session::attach(ChannelKey key, bool anew) {
    const auto& wire = wires_.at(key);
    Channel& channel = *channels_.at(key);
    if (wire->is_secure()) secured_.insert(key);
    channel.attach(
        [wire = wire.get()](wire::EncodedMessage message) { wire->send(std::move(message)); },
        wire->server_capabilities(), anew);
    tell_drained(key);
}

void Session::on_wire_linked(ChannelKey key) {
    if (key == kMain) {
        Channel& channel = *channels_.at(kMain);
        channel.reset(ResetReason::fresh);
        attach(key, true);
        return;
    }
    // A target that starts everything anew says INIT first; on_init() attaches what is linked then.
    if (!has_init_) return;
    // The source may have told all others to go before it had this one, and waits for them.
    if (state_ == FollowerState::moving && to_move_.contains(key) && is_of_device(key.type))
        return lose_before_move(key);
    attach(key, true);
    wires_.at(key)->release();
    // A channel that came late goes where the others wait already.
    const bool others_wait = target_ && !target_->wires.empty();
    if (others_wait && !target_->wires.contains(key)) connect_to_target(key);
    check_session_up();
}

Result<> Session::on_wire_message(ChannelKey key, const wire::IncomingMessage& message) {
    const auto channel = channels_.find(key);
    if (channel == channels_.end()) return {};
    TRY(channel->second->receive(message));
    // What was received may have taken the channel away.
    const auto still = channels_.find(key);
    if (still != channels_.end() && still->second->is_overwhelmed()) set_stream_reading(key, false);
    resume_waiting_channels();
    return {};
}

void Session::resume_waiting_channels() {
    std::vector<ChannelKey> waiting;
    for (const auto& [key, channel] : channels_) {
        if (channel->is_waiting()) waiting.push_back(key);
    }
    for (const ChannelKey key : waiting) {
        // What one of them had to say may have taken another away, or itself.
        const auto channel = channels_.find(key);
        if (channel == channels_.end() || !channel->second->is_waiting()) continue;
        if (const Result<> resumed = channel->second->resume(); !resumed) {
            if (const auto wire = wires_.find(key); wire != wires_.end()) wire->second->close();
            on_wire_closed(key, resumed.error(), Ending::broken);
            return;
        }
    }
}

void Session::on_main_closed(const Error& error, Ending ending) {
    last_error_ = error;
    if (has_init_) return on_session_ended(ending);
    denials_ = ending == Ending::denied ? denials_ + 1 : 0;
    if (denials_ == kMaxDenials || (denials_ != 0 && state_ == FollowerState::starting)) {
        last_error_->code = ErrorCode::auth_failed;
        was_denied_ = true;
        was_ended_ = false;
        return happen({FollowerEvent::sent_away});
    }
    was_unreachable_ = true;
    // Whoever refuses us there is no server of a machine that we have lost; silence is only
    // silence, and may be that of our own network.
    const bool is_refused = error.code != ErrorCode::timeout && ending != Ending::unreachable;
    if (state_ == FollowerState::reconnecting && is_refused && first_alone_until_)
        first_alone_until_ = std::min(*first_alone_until_, *lost_since_ + kRestart);
    happen({FollowerEvent::session_failed});
}

void Session::on_session_ended(Ending ending) {
    const bool at_home = state_ == FollowerState::settled || state_ == FollowerState::reconnecting;
    // Another machine that is found in its place says nothing of how it ended; and where nothing
    // else is left to ask, its own user is not to be thrown out again and again.
    const bool is_foreign = std::exchange(is_foreign_, false);
    if (is_foreign && candidates_.empty() && !standby_) {
        was_ended_ = false;
        return happen({FollowerEvent::sent_away});
    }
    if (!is_foreign) was_ended_ = at_home && ending == Ending::in_order;
    const auto back_since = std::exchange(back_since_, std::nullopt);
    const bool is_second = back_since && environment_.loop.now() - *back_since < kTakenWithin;
    was_unreachable_ = false;
    // Where a move is known of, the machine has gone that way.
    if (!was_ended_ || !is_second || announced_) return happen({FollowerEvent::source_lost});
    was_ended_ = false;
    last_error_ =
        Error{ErrorCode::cancelled,
              fmt::format("another viewer has taken the screen at {}: the server let this "
                          "one in again and ended it at once; close the other one",
                          settings_.endpoint.text())};
    happen({FollowerEvent::sent_away});
}

void Session::on_wire_closed(ChannelKey key, const Error& error, Ending ending) {
    if (key == kMain) return on_main_closed(error, ending);
    if (channels_.contains(key)) channels_.at(key)->detach();
    if (state_ == FollowerState::moving && to_move_.contains(key)) {
        // What the user sees and types into is worth a fresh session; the rest is not.
        listener_.on_problem(error);
        last_error_ = error;
        return lose_before_move(key);
    }
    // A connection made in advance that nobody listens to is no loss.
    if (!has_list_) return;
    last_error_ = error;
    Relinks& relinks = relinks_[key];
    if (environment_.loop.now() - relinks.last > settings_.trouble_for) relinks.count = 0;
    relinks.last = environment_.loop.now();
    if (relinks.count++ >= kMaxRelinks) {
        listener_.on_problem(error);
        if (key.type == ChannelType::display) {
            happen({FollowerEvent::source_lost});
        } else {
            drop_channel(key);
            check_session_up();
        }
        return;
    }
    log_debug("spice", "{}; linked again", error.message);
    auto& timer = relink_timers_[key];
    if (!timer) timer = environment_.loop.make_timer([this, key] { relink(key); });
    timer->start(kRelinkDelay);
}

void Session::relink(ChannelKey key) {
    const auto wire = wires_.find(key);
    const bool still = wire != wires_.end() && wire->second->is_closed() &&
                       channels_.contains(key) && wires_.contains(kMain) &&
                       wires_.at(kMain)->is_linked();
    if (!still) return;
    if (state_ == FollowerState::moving && to_move_.contains(key)) return lose_before_move(key);
    channels_.at(key)->reset(ResetReason::fresh);
    forget_caches_of(key);
    connect_channel(key);
}

// --- What the main channel says ------------------------------------------------------------------

// The port of a machine that has gone may be another one's soon. Behind INIT, and before any other
// channel shows or says something.
Result<> Session::on_uuid(const std::array<std::uint8_t, 16>& uuid) {
    constexpr std::array<std::uint8_t, 16> kNone{};  // a QEMU that was given no -uuid
    if (uuid == kNone) return {};
    const bool is_other = machine_ && *machine_ != uuid;
    if (!is_other || state_ != FollowerState::reconnecting) {
        machine_ = uuid;
        return {};
    }
    return leave_other_machine();
}

// Of a machine that has no UUID its name may tell: QEMU has one for those that were given none.
Result<> Session::on_name(const std::string& name) {
    const std::string given = name.starts_with("QEMU ") ? std::string() : name;
    const bool is_other = !machine_ && !machine_name_.empty() && !given.empty() &&
                          machine_name_ != given && state_ == FollowerState::reconnecting;
    if (is_other) return leave_other_machine();
    if (!given.empty()) machine_name_ = given;
    listener_.on_name(name);
    return {};
}

Result<> Session::leave_other_machine() {
    is_foreign_ = true;
    back_since_.reset();
    for (const auto& [key, wire] : wires_) {
        if (key != kMain) wire->close();
    }
    const auto is_here = [this](const Candidate& one) {
        return one.endpoint == settings_.endpoint;
    };
    if (announced_ && is_here(*announced_)) announced_.reset();
    std::erase_if(candidates_, is_here);
    return fail(ErrorCode::operation_invalid, "at {} is another machine than the one that was lost",
                settings_.endpoint.text());
}

void Session::on_init(const wire::main::Init& init) {
    has_init_ = true;
    session_id_ = init.session_id;
    denials_ = 0;
    // One that was away in between was started anew.
    if (was_ended_ && !was_unreachable_ && state_ == FollowerState::reconnecting)
        back_since_ = environment_.loop.now();
    // Until it is known to be the same machine its standby may still be the one to go to.
    standby_is_of_before_ = state_ == FollowerState::reconnecting;
    if (!standby_is_of_before_) forget_standby();
    if (state_ == FollowerState::switching) {
        // The target starts every channel anew, on the connections that wait.
        std::vector<ChannelKey> missing;
        for (const auto& [key, channel] : channels_) {
            if (key == kMain) continue;
            const auto wire = wires_.find(key);
            if (wire == wires_.end()) missing.push_back(key);
            if (wire == wires_.end() || !wire->second->is_linked()) continue;
            attach(key, true);
            wire->second->release();
        }
        for (const ChannelKey key : missing)
            connect_channel(key);
        bound_picture(kBlankBound);
        check_session_up();
        return;
    }
    reset_channels(ResetReason::fresh, false);
    main().attach_channels();
    if (init.display_channels_hint == 0) return;
    for (const ChannelKey key : kUsual) {
        if (wires_.contains(key)) connect_channel(key);
    }
}

void Session::on_channels(const std::vector<ChannelKey>& channels) {
    // The first list is all that there is; a later one is what has been plugged in since.
    const bool is_first = !std::exchange(has_list_, true);
    std::vector<ChannelKey> gone;
    for (const auto& [key, channel] : channels_) {
        if (is_first && key != kMain &&
            std::find(channels.begin(), channels.end(), key) == channels.end())
            gone.push_back(key);
    }
    for (const ChannelKey key : gone)
        drop_channel(key);
    for (const ChannelKey key : channels) {
        if (key == kMain || !is_wanted(key)) continue;
        if (!channels_.contains(key) && !has_room_for(key.type)) {
            listener_.on_problem({ErrorCode::limit_exceeded,
                                  fmt::format("{}: a server has at most {} channels here, {} of "
                                              "them displays; this one is left out",
                                              text_of(key), kMaxChannels, kMaxDisplays)});
            continue;
        }
        connect_channel(key);
    }
    check_session_up();
}

bool Session::has_room_for(ChannelType type) const {
    const auto displays = std::count_if(channels_.begin(), channels_.end(), [](const auto& entry) {
        return entry.first.type == ChannelType::display;
    });
    return channels_.size() < kMaxChannels &&
           (type != ChannelType::display || static_cast<std::size_t>(displays) < kMaxDisplays);
}

// A display that is linked anew begins with empty caches at the server, where no other display of
// ours holds on to them.
void Session::forget_caches_of(ChannelKey key) {
    if (key.type != ChannelType::display) return;
    const auto displays = std::count_if(channels_.begin(), channels_.end(), [](const auto& entry) {
        return entry.first.type == ChannelType::display;
    });
    if (displays == 1) drawing_.post([caches = caches_] { caches->clear(); });
}

void Session::reset_channels(ResetReason reason, bool with_main) {
    ++generation_;
    drawing_.post([caches = caches_] { caches->clear(); });
    for (const auto& [key, channel] : channels_) {
        if (key == kMain && !with_main) continue;
        channel->reset(reason);
        if (key.type == ChannelType::display)
            static_cast<DisplayChannel&>(*channel).set_generation(generation_);
    }
}

bool Session::shows_old_picture() const {
    return std::any_of(channels_.begin(), channels_.end(), [](const auto& entry) {
        return entry.first.type == ChannelType::display &&
               static_cast<const DisplayChannel&>(*entry.second).is_waiting_for_picture();
    });
}

void Session::check_session_up() {
    if (is_up_ || !has_init_) return;
    const bool switching = state_ == FollowerState::switching;
    if (!switching && !has_list_) return;
    for (const auto& [key, channel] : channels_) {
        const auto wire = wires_.find(key);
        if (wire == wires_.end() || !wire->second->is_linked() || !channel->is_attached()) return;
    }
    // Behind a hand-over the user still looks at the old host's last picture.
    if (switching && shows_old_picture()) return;
    is_up_ = true;
    if (std::exchange(standby_is_of_before_, false)) forget_standby();
    was_ended_ = false;
    up_since_ = environment_.loop.now();
    // A session that is encrypted as a whole stays so, channels that it does not have yet included.
    if (is_secure()) settings_.all_secure = true;
    happen({FollowerEvent::session_up});
    go_on_to_deferred();
}

void Session::bound_picture(Duration bound) {
    picture_bound_->start(bound);
}

void Session::on_display_news(ChannelKey key, const DisplayNews& news) {
    // What a channel that has been dropped still had to show.
    const auto channel = channels_.find(key);
    if (channel == channels_.end()) return;
    if (news.error) {
        const auto wire = wires_.find(key);
        if (wire != wires_.end()) {
            wire->second->close();
            on_wire_closed(key, {news.error->code, text_of(key) + ": " + news.error->message},
                           Ending::broken);
        }
        return;
    }
    if (!channel->second->is_overwhelmed()) set_stream_reading(key, true);
    if (!news.waiting_for_picture) {
        picture_bound_->cancel();
        picture_is_bound_ = false;
    } else if (news.has_primary && !std::exchange(picture_is_bound_, true)) {
        bound_picture(kPictureBound);
    }
    const bool from_target =
        awaits_target_picture_ && news.generation == generation_ && !news.damage.empty();
    if (from_target) awaits_target_picture_ = false;
    listener_.on_picture(key, news, from_target);
    check_session_up();
    // Other displays may have waited for what has been drawn here.
    resume_waiting_channels();
}

bool Session::is_done(const wire::WaitForChannel& wait) {
    const auto found = channels_.find({wait.channel_type, wait.channel_id});
    return found == channels_.end() || found->second->handled_serial() >= wait.message_serial;
}

void Session::on_disconnecting(ChannelKey key, wire::LinkError reason) {
    log_info("spice", "{}: the server ends the channel, reason {}", text_of(key),
             static_cast<std::uint32_t>(reason));
}

}  // namespace segue::spice::client
