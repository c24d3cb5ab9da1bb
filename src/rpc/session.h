// SPDX-License-Identifier: LGPL-2.1-or-later
// A client's connection as the server's handlers see it.
#pragma once

#include <any>
#include <list>
#include <memory>

#include "rpc/dispatcher.h"
#include "rpc/endpoint.h"

namespace segue::rpc {

struct SessionOptions {
    // Calls of one connection that are served at once; beyond it the socket is not read.
    std::size_t max_in_flight = 20;
    KeepAliveRule keepalive;
    // Everything that changes something is refused, as if the client had asked for read-only.
    bool read_only = false;
    // The longest message of a client, in bytes; 0: the protocol's own limit of 32 MiB.
    std::size_t max_message = 0;
    // The answer to whatever a client asks first; the connection ends behind it.
    std::optional<Error> refusal;
    // Which of libvirt's features the daemon has (see Feature in libvirt.schema): the ones of the
    // connection itself (keepalive, callbacks, descriptors) need not be answered.
    std::function<bool(std::int32_t feature)> has_feature;
    // Judges the name and flags of CONNECT_OPEN.
    std::function<Result<>(const std::optional<std::string>& name)> open;
};

class Session : public std::enable_shared_from_this<Session> {
  public:
    Session(Loop& loop, std::unique_ptr<Link> link, const Dispatcher& calls,
            const SessionOptions& options, std::uint64_t id);
    ~Session();

    // `on_closed` comes last, after every hook, and may drop the session.
    void start(std::function<void()> on_closed);

    // Unique in the life of the server.
    std::uint64_t id() const { return id_; }
    bool is_read_only() const { return read_only_; }
    PeerInfo peer() const { return endpoint_.peer(); }
    Loop& loop() { return endpoint_.loop(); }

    // Runs when the connection is over, however it ended: autodestroy, deregistration. The number
    // takes the hook out again; hooks run in the order they came.
    std::uint64_t on_close(std::function<void()> hook);
    void remove_on_close(std::uint64_t hook);

    // Sends an event; its `callback` member must be set by now (EventHub does it).
    template <class E>
    void send_event(const typename E::Body& body) {
        Header header;
        header.program = E::kProgram;
        header.version = kProgramVersion;
        header.procedure = E::kNumber;
        header.type = MessageType::message;
        if (auto packet = make_packet(header, body, E::kName))
            send_event_packet(std::move(*packet));
    }
    bool wants_close_notice() const { return wants_close_notice_; }
    void set_wants_close_notice(bool wants) { wants_close_notice_ = wants; }

    // Ends the connection; `reason` goes to the log.
    void close(const Error& reason);
    bool is_closed() const { return endpoint_.is_closed(); }
    std::size_t in_flight() const { return in_flight_; }
    // A whole message has come: TLS, if any, is open, and the peer speaks the protocol.
    bool has_spoken() const { return has_spoken_; }
    Instant started_at() const { return started_at_; }

    // --- For the room itself ---
    const SessionOptions& options() const { return options_; }
    void set_read_only() { read_only_ = true; }
    void start_keepalive() { endpoint_.start_keepalive(); }
    void drop_stream(std::uint32_t serial) { endpoint_.remove_stream(serial); }
    std::shared_ptr<Stream> add_stream(const Header& header, Stream::Handlers handlers) {
        return endpoint_.add_stream(header, std::move(handlers));
    }
    void send_answer(Bytes packet, std::vector<net::Descriptor> descriptors);

  private:
    struct Hook {
        std::uint64_t number;
        std::function<void()> run;
    };

    Result<> on_packet(const Packet& packet);
    void serve(const Packet& packet, PendingCall pending);
    std::vector<net::Descriptor> take_descriptors(std::uint32_t count);
    void send_event_packet(Bytes packet);
    void update_holds();
    void on_closed(const Error& reason);

    Endpoint endpoint_;
    const Dispatcher& calls_;
    const SessionOptions& options_;
    std::uint64_t id_;
    bool read_only_;
    bool wants_close_notice_ = false;
    bool has_spoken_ = false;
    Instant started_at_;
    std::size_t in_flight_ = 0;
    bool held_ = false;
    std::uint64_t next_hook_ = 1;
    std::list<Hook> hooks_;
    std::function<void()> on_closed_;
};

}  // namespace segue::rpc
