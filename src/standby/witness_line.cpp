// SPDX-License-Identifier: LGPL-2.1-or-later
#include "standby/witness_line.h"

#include <sys/socket.h>

#include <cerrno>

#include "base/id.h"
#include "base/log.h"
#include "net/message_code.h"
#include "protect/witness_message.h"
#include "standby/etcd_line.h"

namespace segue::standby {
namespace {

class UdpLine final : public WitnessLine {
  public:
    UdpLine(Loop& loop, net::Resolver& resolver, net::Address address, const LeaseId& id,
            const AgentKey& key, LeaseTable::Side side, Handlers handlers)
        : WitnessLine(loop, side, LeaseTerms(), std::move(handlers)),
          resolver_(resolver),
          address_(std::move(address)),
          id_(id),
          key_(witness_key(key)) {}

  private:
    void resolved(Result<std::vector<net::SocketAddress>> addresses);
    void ask() override;
    void receive();

    net::Resolver& resolver_;
    net::Address address_;
    LeaseId id_;
    AgentKey key_;
    std::shared_ptr<void> resolving_;
    bool resolves_ = false;
    bool complained_ = false;
    net::Descriptor socket_;
    std::unique_ptr<Watch> watch_;
};

void UdpLine::resolved(Result<std::vector<net::SocketAddress>> addresses) {
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

void UdpLine::ask() {
    ask_again();
    if (!socket_) {
        // Asked again when it was not found: a name may be known later.
        if (std::exchange(resolves_, true)) return;
        resolving_ = resolver_.resolve(
            address_.host, address_.port,
            [this](Result<std::vector<net::SocketAddress>> found) { resolved(std::move(found)); });
        return;
    }
    const auto question = client_.ask(loop_.now());
    if (!question) return;
    const Bytes datagram = net::sealed(key_, witness_question(id_, side_, *question));
    (void)::send(socket_.get(), datagram.data(), datagram.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
}

void UdpLine::receive() {
    std::uint8_t buffer[128];
    for (int count = 0; count < 16; ++count) {
        const ssize_t got = ::recv(socket_.get(), buffer, sizeof buffer, MSG_DONTWAIT);
        // A refused datagram is an error of the socket once, and nothing more.
        if (got < 0) return;
        const auto plain = net::unsealed(key_, ByteView(buffer, static_cast<std::size_t>(got)));
        if (!plain) continue;
        const auto answer = read_witness_answer(*plain);
        if (!answer || answer->id != id_) continue;
        // What settles ends this round: it may destroy this object.
        if (answered(answer->number, answer->verdict)) return;
    }
}

}  // namespace

Result<WitnessOptions> parse_witness(std::string_view text, const std::string& tls_directory) {
    const std::size_t comma = text.rfind(',');
    const auto id = Uuid::parse(comma == std::string_view::npos ? "" : text.substr(comma + 1));
    const std::string_view where = text.substr(0, comma);
    WitnessOptions options;
    if (id) options.id = id->bytes;
    if (id && arbiter::is_etcd(where)) {
        options.where = TRY(arbiter::parse_etcd(where, tls_directory));
        return options;
    }
    auto address = net::Address::parse("tcp:" + std::string(where));
    if (!id || !address) {
        return fail(ErrorCode::invalid_argument,
                    "--witness {}: give HOST:PORT,UUID or etcd://HOST:PORT,UUID", text);
    }
    options.where = std::move(*address);
    return options;
}

AgentKey witness_key(const AgentKey& key) {
    return net::message_code(key, as_bytes("witness"));
}

std::unique_ptr<WitnessLine> WitnessLine::make(Loop& loop, net::Resolver& resolver,
                                               const WitnessOptions& options, const AgentKey& key,
                                               LeaseTable::Side side, Handlers handlers) {
    if (const auto* cluster = std::get_if<arbiter::EtcdCluster>(&options.where)) {
        return make_etcd_line(loop, *cluster, options.id, side, std::move(handlers));
    }
    return std::make_unique<UdpLine>(loop, resolver, std::get<net::Address>(options.where),
                                     options.id, key, side, std::move(handlers));
}

WitnessLine::WitnessLine(Loop& loop, LeaseTable::Side side, LeaseTerms terms, Handlers handlers)
    : loop_(loop),
      side_(side),
      // Greater than what an earlier process of this side has used.
      client_(side,
              static_cast<std::uint64_t>(loop.clock().wall().time_since_epoch() /
                                         std::chrono::microseconds(1)),
              terms),
      handlers_(std::move(handlers)) {
    timer_ = loop_.make_timer([this] { ask(); });
    timer_->start(Duration{0});
}

bool WitnessLine::is_heard() const {
    return heard_at_ && loop_.now() - *heard_at_ < client_.terms().term;
}

bool WitnessLine::answered(std::uint64_t number, LeaseClient::Verdict verdict) {
    heard_at_ = loop_.now();
    if (client_.answered(number, verdict)) {
        const auto settled = handlers_.settled;
        settled(client_.state());
        return true;
    }
    if (client_.may_release(loop_.now())) handlers_.renewed();
    return false;
}

}  // namespace segue::standby
