// SPDX-License-Identifier: LGPL-2.1-or-later
// One user's session with one virtual machine, wherever that runs: its channels, their connections,
// and what the follower's table says when the machine moves.
#pragma once

#include <deque>
#include <map>

#include "base/random.h"
#include "spice/client/agent/agent.h"
#include "spice/client/announced.h"
#include "spice/client/channel_wire.h"
#include "spice/client/cursor_channel.h"
#include "spice/client/devices/smartcard_channel.h"
#include "spice/client/devices/stream_channel.h"
#include "spice/client/display_channel.h"
#include "spice/client/follower.h"
#include "spice/client/inputs_channel.h"
#include "spice/client/main_channel.h"
#include "spice/client/sound/playback_channel.h"
#include "spice/client/sound/record_channel.h"

namespace segue::spice::client {

enum class MoveManner { seamless, semi_seamless, switch_host };
std::string_view name_of(MoveManner manner);

// What the owner of a session is told, on the loop's thread. No call may destroy the session.
class SessionListener : public AgentListener,
                        public SoundListener,
                        public StreamListener,
                        public SmartcardListener {
  public:
    ~SessionListener() override = default;
    // Every channel is open.
    virtual void on_connected() = 0;
    virtual void on_migrate_begin(const Endpoint& target, bool seamless) = 0;
    virtual void on_target_connected(const Endpoint& target) = 0;
    virtual void on_switch(const Endpoint& target, MoveManner manner) = 0;
    virtual void on_migrate_done(const Endpoint& home, MoveManner manner) = 0;
    virtual void on_migrate_cancelled() = 0;
    // Something failed that is being tried again, or a channel that is not needed.
    virtual void on_problem(const Error& error) = 0;
    virtual void on_lost(const Error& error) = 0;
    // Where the machine goes on if its host dies; no host: nowhere.
    virtual void on_standby(const Endpoint& standby) { (void)standby; }
    // The session is over: nothing follows. No error: it was closed, or the machine was switched
    // off.
    virtual void on_over(const std::optional<Error>& error) = 0;

    // `from_target`: the first picture of a new host since the switch.
    virtual void on_picture(ChannelKey display, const DisplayNews& news, bool from_target) = 0;
    virtual void on_cursor(ChannelKey cursor, const CursorState& state) {
        (void)cursor, (void)state;
    }
    virtual void on_mouse_mode(wire::main::MouseMode mode) { (void)mode; }
    virtual void on_modifiers(wire::inputs::KeyboardModifiers modifiers) { (void)modifiers; }
    virtual void on_name(const std::string& name) { (void)name; }
};

class Session final : ChannelHost, MainListener {
  public:
    Session(Environment& environment, Settings settings, SessionListener& listener);
    ~Session() override;

    void start();
    void close();

    FollowerState state() const { return state_; }
    const Settings& settings() const { return settings_; }
    // Null while there is none.
    DisplayChannel* display(std::uint8_t id);
    InputsChannel* inputs();
    MainChannel& main();
    Agent& agent() { return agent_; }
    RecordChannel* record();
    // A USB, port or folder channel that the listener was told of.
    StreamChannel* stream(ChannelKey key);
    SmartcardChannel* smartcard();
    // Whether what a stream is given now leaves soon. If not: on_stream_drained tells when it will.
    bool takes_stream_bytes(ChannelKey key) const;
    // Another device behind the same channel: the guest's end sees the old one go. Only while the
    // session is settled.
    void reopen(ChannelKey key);
    // Back-pressure: while false the guest's bytes stay on their way.
    void set_stream_reading(ChannelKey key, bool reading);
    // The owner's loudspeaker drives the media time: samples of this time are heard in `delay_ms`.
    void hear(std::uint32_t media_time, std::uint32_t delay_ms);
    std::uint32_t media_time() const { return clock_.at(environment_.loop.now()); }

    bool is_secure() const;
    std::uint64_t bytes_received() const;
    // Of the main channel's connection; nothing where it is not known.
    std::optional<std::uint32_t> round_trip_us() const;
    // It is over because the server does not take the password, or wants one.
    bool was_denied() const { return was_denied_; }

  private:
    // An event of the follower with what belongs to it.
    struct Happening {
        FollowerEvent event;
        ChannelKey key{};
        wire::common::MigrateFlags flags{};
    };
    // The announced target and the connections to it.
    struct Target {
        enum class Answer { not_asked, asked, accepted, refused };
        Endpoint endpoint;
        Trust trust;
        std::optional<std::uint32_t> seamless_version;
        std::shared_ptr<TlsClient> tls;
        std::map<ChannelKey, std::shared_ptr<ChannelWire>> wires;
        Answer answer = Answer::not_asked;
        // Devices whose connection broke and is to be made once more, for which it was, and those
        // that broke again.
        std::set<ChannelKey> broken;
        std::set<ChannelKey> linked_twice;
        std::set<ChannelKey> unplugged;
    };
    // session_channels.cpp: the channels and who hears of them.
    // What a user works without, if need be.
    static bool is_of_device(wire::ChannelType type);
    Channel* make_channel(ChannelKey key);
    std::unique_ptr<Channel> make_device_channel(ChannelKey key);
    bool is_wanted(ChannelKey key) const;
    template <class One>
    One* find_channel(ChannelKey key);

    // session.cpp: life, fresh connections.
    void open_fresh(const Candidate& candidate);
    std::shared_ptr<ChannelWire> make_wire(ChannelKey key);
    ChannelWire::Handlers handlers_of(ChannelKey key);
    WirePlan plan_of(ChannelKey key, const Endpoint& endpoint, const Trust& trust,
                     std::shared_ptr<TlsClient>& tls) const;
    void connect_channel(ChannelKey key);
    bool has_room_for(wire::ChannelType type) const;
    void silence();
    void drop_channel(ChannelKey key);
    void on_wire_linked(ChannelKey key);
    Result<> on_wire_message(ChannelKey key, const wire::IncomingMessage& message);
    void on_wire_closed(ChannelKey key, const Error& error, Ending ending);
    void relink(ChannelKey key);
    Result<> leave_other_machine();
    void on_main_closed(const Error& error, Ending ending);
    void on_session_ended(Ending ending);
    void attach(ChannelKey key, bool anew);
    void tell_drained(ChannelKey key);
    void check_session_up();
    void forget_caches_of(ChannelKey key);
    void reset_channels(ResetReason reason, bool with_main);
    void on_display_news(ChannelKey key, const DisplayNews& news);
    void resume_waiting_channels();
    bool shows_old_picture() const;
    // The old host's picture goes after this time, complete or not.
    void bound_picture(Duration bound);

    // session_migration.cpp: the follower's events and actions.
    void happen(const Happening& happening);
    void perform(FollowerAction action, const Happening& happening);
    void perform_report(FollowerAction action);
    void announce(const wire::main::Destination& to, std::optional<std::uint32_t> version);
    void open_target();
    void connect_to_target(ChannelKey key);
    bool waits_at_target() const;
    bool leave_behind(ChannelKey key);
    void link_once_more();
    void link_left_behind();
    void close_target();
    void forget_target();
    void on_target_linked(ChannelKey key);
    Result<> on_target_message(const wire::IncomingMessage& message);
    void ask_target();
    void check_target_ready();
    void move_channel(ChannelKey key, wire::common::MigrateFlags flags);
    void lose_before_move(ChannelKey key);
    void leave_for_later(ChannelKey key);
    void check_all_moved();
    void stay_at_source();
    void go_on_to_deferred();
    void close_left_behind();
    void take_over();
    void adopt_target();
    void note_arrival(bool was_sent);
    void look_for_source();
    void open_next_candidate();
    void start_retry();
    bool target_can_start_anew(const Endpoint& endpoint) const;

    // session_standby.cpp: where the machine goes on if its host dies.
    void forget_standby();
    void leave_standby();
    void look_at_source();
    bool is_source_silent();
    void ask_standby();
    void go_to_standby();

    // ChannelHost
    void on_migrate(ChannelKey key, wire::common::MigrateFlags flags) override;
    void on_ready_to_move(ChannelKey key) override;
    bool is_done(const wire::WaitForChannel& wait) override;
    void on_disconnecting(ChannelKey key, wire::LinkError reason) override;
    // MainListener
    void on_init(const wire::main::Init& init) override;
    void on_channels(const std::vector<ChannelKey>& channels) override;
    void on_mouse_mode(wire::main::MouseMode current) override;
    Result<> on_uuid(const std::array<std::uint8_t, 16>& uuid) override;
    void on_media_time(std::uint32_t milliseconds) override;
    Result<> on_name(const std::string& name) override;
    void on_migrate_begin(const wire::main::Destination& to,
                          std::optional<std::uint32_t> seamless_version) override;
    void on_migrate_cancel() override;
    void on_migrate_end() override;
    void on_switch_host(const wire::main::Destination& to) override;
    void on_standby_host(const wire::standby::StandbyHost& standby) override;
    void on_agent(bool connected) override;
    void on_agent_data(ByteView chunk) override;
    void on_agent_drained() override;

    static constexpr ChannelKey kMain{wire::ChannelType::main, 0};

    Environment& environment_;
    Settings settings_;
    SessionListener& listener_;
    FollowerState state_ = FollowerState::starting;
    std::deque<Happening> happenings_;
    bool in_happening_ = false;
    std::optional<Error> last_error_;

    std::shared_ptr<wire::MemoryBudget> memory_;
    MediaClock clock_;
    DrawingThread drawing_;
    std::shared_ptr<SharedCaches> caches_;
    std::map<ChannelKey, std::unique_ptr<Channel>> channels_;
    Agent agent_;
    std::map<ChannelKey, std::shared_ptr<ChannelWire>> wires_;
    std::shared_ptr<TlsClient> tls_;
    // Channels that a server refused without TLS, or that run over it: never without it again.
    std::set<ChannelKey> secured_;
    std::uint32_t session_id_ = 0;
    bool has_init_ = false;
    bool has_list_ = false;
    bool is_up_ = false;
    struct Relinks {
        int count = 0;
        Instant last{};
    };
    std::map<ChannelKey, Relinks> relinks_;

    std::unique_ptr<Target> target_;
    MoveManner manner_ = MoveManner::switch_host;
    std::set<ChannelKey> to_move_;
    // Behind the move: devices whose connection to the target broke, and was not refused.
    std::set<ChannelKey> to_link_anew_;
    // Connections to the source whose channels have moved. Stock servers end every channel of a
    // client whose main connection closes: they stay open until the last channel has moved.
    std::map<ChannelKey, std::shared_ptr<ChannelWire>> left_behind_;
    std::uint64_t generation_ = 0;  // counts the servers
    bool awaits_target_picture_ = false;
    bool picture_is_bound_ = false;
    // Announced while the last move was not over, or the session not whole.
    std::optional<std::pair<wire::main::Destination, std::optional<std::uint32_t>>> deferred_;
    std::vector<Candidate> candidates_;
    std::size_t next_candidate_ = 0;
    // Where the machine goes on if its host dies: asked while the source is silent or lost.
    std::optional<Candidate> standby_;
    bool standby_is_of_before_ = false;  // told in the session that was lost
    bool source_stands_still_ = false;
    std::uint64_t heard_bytes_ = 0;
    Instant heard_at_{};
    std::shared_ptr<ChannelWire> standby_wire_;
    std::shared_ptr<TlsClient> standby_tls_;
    // Until then only the first candidate is tried: the source has said that the machine is gone,
    // or has only been lost, and nobody has said so.
    std::optional<Instant> first_alone_until_;
    // Where the machine was to go when the source was lost, and until when that is worth a try.
    std::optional<Candidate> announced_;
    std::optional<Instant> announced_until_;
    // Where it was when it was lost; and after it was found at an announced target that no source
    // had sent us to, which may do without the machine.
    std::optional<Candidate> lost_at_;
    std::optional<Candidate> left_;
    std::optional<std::array<std::uint8_t, 16>> machine_;  // its UUID
    std::string machine_name_;                             // that its owner gave it; empty: none
    bool is_foreign_ = false;                              // what was found is another machine
    // The last server ended the session in order.
    bool was_ended_ = false;
    bool was_unreachable_ = false;  // or refused us, since then
    int attempts_ = 0;
    // When a server that had ended the session let us in again.
    std::optional<Instant> back_since_;
    int denials_ = 0;  // in a row
    bool was_denied_ = false;
    std::optional<Instant> lost_since_;
    std::optional<Instant> up_since_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // for tasks on the loop
    std::map<ChannelKey, std::unique_ptr<Timer>> relink_timers_;
    std::unique_ptr<Timer> patience_;
    std::unique_ptr<Timer> retry_;
    std::unique_ptr<Timer> picture_bound_;
    std::unique_ptr<Timer> source_look_;
    std::unique_ptr<Timer> once_more_;
};

}  // namespace segue::spice::client
