// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/protection/witness.h"

#include <sys/socket.h>

#include <cerrno>

#include "base/log.h"
#include "net/message_code.h"
#include "protect/witness_message.h"

namespace segue {
namespace {

Result<LeaseId> id_of(const Json& arguments) {
    const auto uuid = Uuid::parse(arguments.text("key"));
    if (!uuid) return fail(ErrorCode::invalid_argument, "a witness needs the protection's key");
    return uuid->bytes;
}

}  // namespace

Result<> Witness::listen(std::uint16_t port) {
    const auto address = TRY(net::SocketAddress::of_numeric(door_.address(), port));
    net::Descriptor socket(
        ::socket(address.family(), SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket) return fail_errno("make a socket for", address.text(), errno);
    if (::bind(socket.get(), address.get(), address.size) != 0) {
        return fail_errno("bind", address.text(), errno);
    }
    socket_ = std::move(socket);
    port_ = port;
    watch_ = loop_.watch(socket_.get(), [this](Loop::Ready) { receive(); });
    watch_->set_interest(true, false);
    return {};
}

Result<> Witness::listen_somewhere() {
    if (socket_) return {};
    const std::uint16_t port = TRY(ports_.take(door_.address()));
    auto listening = listen(port);
    if (!listening) ports_.give_back(port);
    return listening;
}

// Where nothing is watched, nobody asks.
void Witness::rest_if_idle() {
    if (!watched_.empty() || !socket_) return;
    watch_.reset();
    socket_.reset();
    ports_.give_back(std::exchange(port_, 0));
}

Result<Json> Witness::open(const Json& arguments) {
    const LeaseId id = TRY(id_of(arguments));
    Watched watched;
    watched.key = TRY(parse_agent_key(arguments.text("secret")));
    watched.name = arguments.text("name");
    TRY(listen_somewhere());
    const auto opened = table_.open(id, LeaseTable::Holder::shared, loop_.now());
    if (!opened) {
        rest_if_idle();
        return tl::unexpected(opened.error());
    }
    watched_.insert_or_assign(id, std::move(watched));
    if (const auto kept = keep(id); !kept) {
        table_.close(id);
        watched_.erase(id);
        rest_if_idle();
        return tl::unexpected(kept.error());
    }
    log_info("witness", "watches the protection of domain '{}'", arguments.text("name"));
    const std::string host = what_leads_to(door_.address(), identity_);
    const bool v6 = host.find(':') != std::string::npos;
    return Json::object(
        {{"address", fmt::format("{}{}{}:{}", v6 ? "[" : "", host, v6 ? "]" : "", port_)},
         {"host", identity_.uuid.text()}});
}

Result<Json> Witness::claim(const Json& arguments) {
    const LeaseId id = TRY(id_of(arguments));
    const auto side =
        arguments.text("side") == "primary" ? LeaseTable::Side::primary : LeaseTable::Side::standby;
    const auto ruling = table_.claim(id, side, loop_.now());
    if (!ruling) return fail(ErrorCode::no_domain, "this witness watches no such protection");
    TRY(keep(id));
    return Json::object({{"verdict", protect::witness::name_of(ruling->verdict)}});
}

Result<Json> Witness::end(const Json& arguments) {
    const LeaseId id = TRY(id_of(arguments));
    // First the record: one that stayed would be watched again by the next daemon, for ever.
    TRY(store_.commit({storage::EraseProtection{Uuid{id}}}));
    table_.close(id);
    watched_.erase(id);
    rest_if_idle();
    return Json::object();
}

Result<> Witness::keep(const LeaseId& id) {
    Watched& watched = watched_.at(id);
    const auto holder = table_.holder(id);
    if (!holder || watched.kept == holder) return {};
    storage::ProtectionRecord record;
    record.domain = Uuid{id};
    record.role = "witness";
    record.state = name_of(*holder);
    record.settings = Json::object({{"secret", to_hex(watched.key.data(), watched.key.size())},
                                    {"name", watched.name},
                                    {"port", port_}})
                          .dump();
    TRY(store_.commit({record}));
    watched.kept = holder;
    return {};
}

void Witness::restore(const storage::ProtectionRecord& record) {
    const auto settings = Json::parse(record.settings);
    const auto key = settings ? parse_agent_key(settings->text("secret"))
                              : Result<AgentKey>(tl::unexpected(settings.error()));
    const auto holder = holder_of(record.state);
    if (!key || !holder) return log_error("witness", "a record that cannot be read is left");
    const LeaseId& id = record.domain.bytes;
    if (const auto opened = table_.open(id, *holder, loop_.now()); !opened) {
        return log_error("witness", "{}", opened.error().message);
    }
    watched_[id] = {*key, std::string(settings->text("name")), *holder};
    if (socket_) return;
    const auto port = static_cast<std::uint16_t>(settings->u64("port"));
    (void)ports_.take_exactly(port);
    if (const auto listening = listen(port); !listening) {
        log_error("witness", "nobody can renew a lease here: {}", listening.error().message);
    }
}

void Witness::receive() {
    // Some in a row, and then somebody else's turn.
    for (int count = 0; count < 64; ++count) {
        std::uint8_t buffer[128];
        net::SocketAddress sender;
        sender.size = sizeof sender.storage;
        const ssize_t got = ::recvfrom(socket_.get(), buffer, sizeof buffer, MSG_DONTWAIT,
                                       sender.get(), &sender.size);
        if (got < 0) return;
        answer(ByteView(buffer, static_cast<std::size_t>(got)), sender);
    }
}

// Strangers are not answered at all.
void Witness::answer(ByteView datagram, const net::SocketAddress& sender) {
    if (datagram.size() != kWitnessQuestionSize + sizeof(net::MessageCode)) return;
    const auto question = read_witness_question(datagram.first(kWitnessQuestionSize));
    if (!question) return;
    const auto watched = watched_.find(question->id);
    if (watched == watched_.end() || !net::unsealed(watched->second.key, datagram)) return;
    const auto ruling =
        table_.ask(question->id, question->side, question->wish, question->number, loop_.now());
    if (!ruling) return;
    if (ruling->is_new) {
        log_warning("witness", "domain '{}': the {} goes on alone", watched->second.name,
                    protect::witness::name_of(question->side));
    }
    // What is not kept is not said: it is asked again, and the decision stands.
    if (const auto kept = keep(question->id); !kept) {
        return log_error("witness", "{}", kept.error().message);
    }
    const Bytes reply = net::sealed(
        watched->second.key, witness_answer(question->id, ruling->verdict, question->number));
    (void)::sendto(socket_.get(), reply.data(), reply.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
                   sender.get(), sender.size);
}

}  // namespace segue
