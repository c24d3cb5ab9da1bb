// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rpc/server.h"

#include <algorithm>

#include "base/log.h"
#include "rpc/connection_calls.h"
#include "rpc/remote.schema.h"

namespace segue::rpc {
namespace {

// No question is longer; what a crowd of strangers can make us keep is this much each.
constexpr std::size_t kMaxReadOnlyMessage = 256u << 10;
// Connections beyond the limit that may ask why; the oldest of more is cut off.
constexpr std::size_t kMaxRefused = 64;

}  // namespace

struct Server::Kind {
    const SessionOptions* options;
    std::shared_ptr<net::TlsContext> tls;
};

Server::Server(Loop& loop, Dispatcher& calls, ServerOptions options)
    : loop_(loop),
      calls_(calls),
      options_(std::move(options)),
      read_only_options_(options_.session) {
    read_only_options_.read_only = true;
    read_only_options_.max_message = kMaxReadOnlyMessage;
    refusal_options_ = read_only_options_;
    add_connection_calls(calls_);
    silence_timer_ = loop_.make_timer([this] { end_silent_ones(); });
}

Server::~Server() {
    *alive_ = false;
    listeners_.clear();
    // Hooks of the sessions may look at the server: it is still whole here.
    stop();
}

Result<> Server::listen(ListenPoint point) {
    const bool is_tcp = point.address.transport == net::Transport::tcp;
    const bool is_tls = point.address.transport == net::Transport::tls;
    if (is_tls && !point.tls) {
        return fail(ErrorCode::config_unsupported,
                    "cannot listen on '{}': no TLS certificate is "
                    "configured",
                    point.address.text());
    }
    if (is_tcp) {
        const auto local =
            TRY(net::SocketAddress::of_numeric(point.address.host, point.address.port));
        if (!local.is_loopback()) {
            return fail(ErrorCode::config_unsupported,
                        "cannot listen on '{}': TCP without authentication is for loopback only; "
                        "use tls:{}:{}",
                        point.address.text(), point.address.host, point.address.port);
        }
    }
    auto kind = std::make_unique<Kind>();
    kind->options = point.read_only ? &read_only_options_ : &options_.session;
    kind->tls = is_tls ? point.tls : nullptr;
    const Kind* const shared = kind.get();
    kinds_.push_back(std::move(kind));
    const auto on_accept = [this, shared](net::Descriptor descriptor,
                                          const net::SocketAddress& peer) {
        accept(*shared, std::move(descriptor), peer);
    };
    listeners_.push_back(
        point.socket ? TRY(net::Listener::adopt(loop_, std::move(point.socket), on_accept))
                     : TRY(net::Listener::make(loop_, point.address, point.options, on_accept)));
    log_info("rpc", "serving {}", point.address.text());
    if (is_tcp) {
        log_warning("rpc",
                    "{} asks nobody who they are: every user of this host may manage it; use a "
                    "unix socket or tls where that is not wanted",
                    point.address.text());
    }
    return {};
}

void Server::set_tls(const std::shared_ptr<net::TlsContext>& tls) {
    for (const auto& kind : kinds_) {
        if (kind->tls) kind->tls = tls;
    }
}

bool Server::serves_tls() const {
    return std::any_of(kinds_.begin(), kinds_.end(),
                       [](const auto& kind) { return kind->tls != nullptr; });
}

std::vector<net::SocketAddress> Server::addresses() const {
    std::vector<net::SocketAddress> all;
    for (const auto& listener : listeners_)
        all.push_back(listener->local());
    return all;
}

bool Server::is_full(const Kind& kind) const {
    const bool read_only_full =
        read_only_sessions_ >= std::max<std::size_t>(1, options_.max_connections / 2);
    return sessions_.size() >= options_.max_connections ||
           (kind.options->read_only && read_only_full);
}

void Server::accept(const Kind& kind, net::Descriptor descriptor, const net::SocketAddress& peer) {
    std::optional<NetLink::Tls> tls;
    if (kind.tls) {
        auto filter = kind.tls->make_filter({});
        if (!filter) return log_warning("rpc", "{}: {}", peer.text(), filter.error().message);
        tls = NetLink::Tls{std::move(*filter), true};
    }
    auto link = std::make_unique<NetLink>(loop_, std::move(descriptor), std::move(tls));
    if (is_full(kind)) return refuse(std::move(link), peer);
    refusing_ = false;
    add(std::move(link), *kind.options);
}

// The log says it once for each time that the limit is reached.
void Server::refuse(std::unique_ptr<Link> link, const net::SocketAddress& peer) {
    if (refused_.size() >= kMaxRefused) {
        const auto oldest = refused_.begin()->second;
        refused_.erase(refused_.begin());
        oldest->close({ErrorCode::connection_lost, "refused, and others came after it"});
    }
    refusal_options_.refusal = Error{
        ErrorCode::limit_exceeded,
        fmt::format("there are {} connections, which is the limit; close some, or give the daemon "
                    "more descriptors (LimitNOFILE)",
                    sessions_.size())};
    const std::uint64_t id = next_id_++;
    auto session = std::make_shared<Session>(loop_, std::move(link), calls_, refusal_options_, id);
    refused_[id] = session;
    watch_silence();
    session->start([this, id] {
        loop_.post([this, alive = alive_, id] {
            if (*alive) refused_.erase(id);
        });
    });
    if (std::exchange(refusing_, true)) return;
    log_warning("rpc", "{}: refused: {}", peer.text().empty() ? "unix" : peer.text(),
                refusal_options_.refusal->message);
}

// The timer runs only while somebody has not spoken yet.
void Server::end_silent_ones() {
    watches_silence_ = false;
    end_silent_ones(Sessions(sessions_));
    end_silent_ones(Sessions(refused_));
}

void Server::end_silent_ones(const Sessions& sessions) {
    for (const auto& [id, session] : sessions) {
        if (session->has_spoken() || session->is_closed()) continue;
        if (loop_.now() - session->started_at() < options_.max_silence) {
            watch_silence();
            continue;
        }
        session->close({ErrorCode::timeout,
                        fmt::format("no call came within {} ms", to_ms(options_.max_silence))});
    }
}

void Server::watch_silence() {
    if (std::exchange(watches_silence_, true)) return;
    silence_timer_->start(options_.max_silence / 2);
}

std::shared_ptr<Session> Server::adopt(std::unique_ptr<Link> link, bool read_only) {
    return add(std::move(link), read_only ? read_only_options_ : options_.session);
}

std::shared_ptr<Session> Server::add(std::unique_ptr<Link> link, const SessionOptions& options) {
    const std::uint64_t id = next_id_++;
    auto session = std::make_shared<Session>(loop_, std::move(link), calls_, options, id);
    sessions_[id] = session;
    const std::size_t counts = options.read_only ? 1 : 0;
    read_only_sessions_ += counts;
    watch_silence();
    session->start([this, id, counts] {
        // The session is in the middle of a callback: it goes when that has returned.
        loop_.post([this, alive = alive_, id, counts] {
            if (!*alive) return;
            sessions_.erase(id);
            read_only_sessions_ -= counts;
        });
    });
    return session;
}

std::shared_ptr<Session> Server::find(std::uint64_t id) const {
    const auto found = sessions_.find(id);
    return found == sessions_.end() ? nullptr : found->second;
}

void Server::stop(std::int32_t close_reason) {
    listeners_.clear();
    refused_.clear();
    const auto sessions = sessions_;
    for (const auto& [id, session] : sessions) {
        if (session->wants_close_notice()) {
            session->send_event<remote::ConnectEventConnectionClosed>({close_reason});
        }
        session->close({ErrorCode::connection_lost, "the server stops"});
    }
}

}  // namespace segue::rpc
