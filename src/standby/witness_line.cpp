// SPDX-License-Identifier: LGPL-2.1-or-later
#include "standby/witness_line.h"

#include <sys/socket.h>

#include <cerrno>

#include "base/id.h"
#include "base/log.h"
#include "net/message_code.h"
#include "protect/witness_message.h"

namespace segue::standby {

Result<WitnessOptions> parse_witness(std::string_view text) {
    const std::size_t comma = text.rfind(',');
    const auto id = Uuid::parse(comma == std::string_view::npos ? "" : text.substr(comma + 1));
    auto address = net::Address::parse("tcp:" + std::string(text.substr(0, comma)));
    if (!id || !address) {
        return fail(ErrorCode::invalid_argument, "--witness {}: give HOST:PORT,UUID", text);
    }
    WitnessOptions options;
    options.address = std::move(*address);
    options.id = id->bytes;
    return options;
}

AgentKey witness_key(const AgentKey& key) {
    return net::message_code(key, as_bytes("witness"));
}

WitnessLine::WitnessLine(Loop& loop, net::Resolver& resolver, WitnessOptions options,
                         const AgentKey& key, LeaseTable::Side side, Handlers handlers)
    : loop_(loop),
      resolver_(resolver),
      options_(std::move(options)),
      key_(witness_key(key)),
      side_(side),
      // Greater than what an earlier process of this side has used.
      client_(side, static_cast<std::uint64_t>(loop.clock().wall().time_since_epoch() /
                                               std::chrono::microseconds(1))),
      handlers_(std::move(handlers)) {
    timer_ = loop_.make_timer([this] { ask(); });
    timer_->start(Duration{0});
}

void WitnessLine::claim() {
    client_.claim();
    ask();
}

bool WitnessLine::is_heard() const {
    return heard_at_ && loop_.now() - *heard_at_ < client_.terms().term;
}

void WitnessLine::resolved(Result<std::vector<net::SocketAddress>> addresses) {
    resolves_ = false;
    if (!addresses || addresses->empty()) return;
    for (const net::SocketAddress& peer : *addresses) {
        net::Descriptor socket(
            ::socket(peer.family(), SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        if (socket && ::connect(socket.get(), peer.get(), peer.size) == 0) {
            socket_ = std::move(socket);
            break;
        }
        // Asked again each period, and said once.
        if (complained_) continue;
        log_error("witness", "cannot reach {}: {}", peer.text(), std::strerror(errno));
    }
    complained_ = !socket_;
    if (!socket_) return;
    watch_ = loop_.watch(socket_.get(), [this](Loop::Ready) { receive(); });
    watch_->set_interest(true, false);
    ask();
}

void WitnessLine::ask() {
    timer_->start(client_.terms().renew_every);
    if (!socket_) {
        // Asked again when it was not found: a name may be known later.
        if (std::exchange(resolves_, true)) return;
        resolving_ = resolver_.resolve(
            options_.address.host, options_.address.port,
            [this](Result<std::vector<net::SocketAddress>> found) { resolved(std::move(found)); });
        return;
    }
    const auto question = client_.ask(loop_.now());
    if (!question) return;
    const Bytes datagram = net::sealed(key_, witness_question(options_.id, side_, *question));
    (void)::send(socket_.get(), datagram.data(), datagram.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
}

void WitnessLine::receive() {
    std::uint8_t buffer[128];
    for (int count = 0; count < 16; ++count) {
        const ssize_t got = ::recv(socket_.get(), buffer, sizeof buffer, MSG_DONTWAIT);
        // A refused datagram is an error of the socket once, and nothing more.
        if (got < 0) return;
        const auto plain = net::unsealed(key_, ByteView(buffer, static_cast<std::size_t>(got)));
        if (!plain) continue;
        const auto answer = read_witness_answer(*plain);
        if (!answer || answer->id != options_.id) continue;
        heard_at_ = loop_.now();
        if (client_.answered(answer->number, answer->verdict)) {
            // It may destroy this object.
            const auto settled = handlers_.settled;
            return settled(client_.state());
        }
        if (client_.may_release(loop_.now())) handlers_.renewed();
    }
}

}  // namespace segue::standby
