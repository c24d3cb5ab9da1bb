// SPDX-License-Identifier: LGPL-2.1-or-later
// A connection to a libvirt daemon, ours or stock: what the CLI and a migration's source daemon
// use.
//
//   client_ = std::make_unique<rpc::Client>(loop, resolver, uri, options);
//   client_->open([this](Result<> opened) { … });
//   client_->call<remote::DomainLookupByName>({"name"}, [](Result<remote::DomainReply> reply) { …
//   });
//
// Calls may overlap; each callback runs once, on the loop, also when the connection is lost. The
// client may be destroyed in any callback: then no other one runs.
#pragma once

#include <map>
#include <memory>

#include "net/connect.h"
#include "net/tls.h"
#include "rpc/endpoint.h"
#include "rpc/remote.schema.h"
#include "rpc/reply.h"
#include "rpc/uri.h"

namespace segue::rpc {

struct ClientOptions {
    Duration connect_timeout{10s};  // of everything until the connection is open
    KeepAliveRule keepalive;
    bool read_only = false;
    // For TLS: CA, and our certificate and key. Empty paths: libvirt's places below the URI's
    // pkipath, or /etc/pki.
    net::TlsFiles tls;
};

class Client {
  public:
    using OnOpened = std::function<void(Result<>)>;

    Client(Loop& loop, net::Resolver& resolver, ConnectionUri uri, ClientOptions options);
    // Over a link that exists: a test, the simulator.
    Client(Loop& loop, net::Resolver& resolver, std::unique_ptr<Link> link, std::string name,
           ClientOptions options);
    ~Client();

    // Connects, authenticates (only "none" is known), arms keepalive, opens the driver.
    void open(OnOpened on_opened);
    bool is_open() const { return open_; }
    // After open(): the connection is over. Waiting calls have had their error before.
    void on_closed(std::function<void(const Error&)> callback) { on_closed_ = std::move(callback); }

    template <class P>
    void call(const typename P::Call& body, std::function<void(Outcome<P>)> on_reply) {
        send_call(call_header(P::kProgram, P::kNumber), body, P::kName, decoder<P>(on_reply));
    }
    // For procedures that open a stream. Null, and on_reply with the error, when it cannot be sent.
    template <class P>
    std::shared_ptr<Stream> call_with_stream(const typename P::Call& body,
                                             Stream::Handlers handlers,
                                             std::function<void(Outcome<P>)> on_reply) {
        const Header header = call_header(P::kProgram, P::kNumber);
        auto stream = endpoint_ ? endpoint_->add_stream(header, std::move(handlers)) : nullptr;
        const bool sent = send_call(header, body, P::kName, decoder<P>(on_reply));
        if (!sent && stream) endpoint_->remove_stream(header.serial);
        return sent ? stream : nullptr;
    }
    // Hears the events that registrations asked for.
    template <class E>
    void on_event(std::function<void(const typename E::Body&)> callback) {
        events_[{E::kProgram, E::kNumber}] = [callback](ByteView payload) -> Result<> {
            callback(TRY(read_body<typename E::Body>(payload, E::kName)));
            return {};
        };
    }

    // Says goodbye and closes; no callback runs any more.
    void close();
    PeerInfo peer() const { return endpoint_ ? endpoint_->peer() : PeerInfo{}; }

  private:
    // What came for a call: a payload, or the error that the peer or the connection gave.
    using OnAnswer = std::function<void(Result<ByteView>)>;
    struct Waiting {
        std::string_view name;
        OnAnswer on_answer;
    };

    template <class P>
    static OnAnswer decoder(std::function<void(Outcome<P>)> on_reply) {
        return [on_reply = std::move(on_reply)](Result<ByteView> answer) {
            if (!answer) return on_reply(tl::make_unexpected(answer.error()));
            auto body = read_body<typename P::Reply>(*answer, P::kName);
            if (!body) return on_reply(tl::make_unexpected(body.error()));
            if constexpr (std::is_same_v<typename P::Reply, Nothing>) {
                on_reply({});
            } else {
                on_reply(std::move(*body));
            }
        };
    }
    template <class T>
    bool send_call(const Header& header, const T& body, std::string_view name, OnAnswer on_answer) {
        return send_packet(header, make_packet(header, body, name), name, std::move(on_answer));
    }
    Header call_header(std::uint32_t program, std::int32_t procedure);
    bool send_packet(const Header& header, Result<Bytes> packet, std::string_view name,
                     OnAnswer on_answer);

    Result<std::optional<NetLink::Tls>> make_tls() const;
    void connected(Result<net::Descriptor> socket);
    void start(std::unique_ptr<Link> link);
    void authenticate();
    void ask_keepalive();
    void open_driver();
    void finish_opening(Result<> outcome);
    Result<> on_packet(const Packet& packet);
    void on_endpoint_closed(const Error& reason);

    Loop& loop_;
    net::Resolver& resolver_;
    ConnectionUri uri_;
    ClientOptions options_;
    std::unique_ptr<Link> given_link_;
    std::unique_ptr<net::Connector> connector_;
    std::unique_ptr<Endpoint> endpoint_;
    std::unique_ptr<Timer> opening_timer_;
    OnOpened on_opened_;
    std::function<void(const Error&)> on_closed_;
    std::map<std::uint32_t, Waiting> waiting_;
    std::map<std::pair<std::uint32_t, std::int32_t>, std::function<Result<>(ByteView)>> events_;
    std::uint32_t next_serial_ = 0;
    bool open_ = false;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace segue::rpc
