// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rpc/client.h"

#include <algorithm>
#include <filesystem>

#include "base/log.h"
#include "rpc/connection_features.h"
#include "rpc/remote_error.h"

namespace segue::rpc {
namespace {

// Calls that wait for their answer on one connection: more is a defect of the caller.
constexpr std::size_t kMaxWaiting = 4096;

}  // namespace

Client::Client(Loop& loop, net::Resolver& resolver, ConnectionUri uri, ClientOptions options)
    : loop_(loop), resolver_(resolver), uri_(std::move(uri)), options_(std::move(options)) {}

Client::Client(Loop& loop, net::Resolver& resolver, std::unique_ptr<Link> link, std::string name,
               ClientOptions options)
    : loop_(loop), resolver_(resolver), options_(std::move(options)), given_link_(std::move(link)) {
    uri_.name = std::move(name);
}

Client::~Client() {
    *alive_ = false;
    close();
}

// --- Opening
// --------------------------------------------------------------------------------------

void Client::open(OnOpened on_opened) {
    on_opened_ = std::move(on_opened);
    opening_timer_ = loop_.make_timer([this] {
        finish_opening(fail(ErrorCode::timeout, "'{}' does not answer within {} ms",
                            uri_.address.text(), to_ms(options_.connect_timeout)));
    });
    opening_timer_->start(options_.connect_timeout);
    if (given_link_) return start(std::move(given_link_));
    connector_ = std::make_unique<net::Connector>(
        loop_, resolver_, uri_.address, options_.connect_timeout,
        [this](Result<net::Descriptor> socket) { connected(std::move(socket)); });
}

void Client::connected(Result<net::Descriptor> socket) {
    connector_.reset();
    if (!socket) return finish_opening(tl::make_unexpected(socket.error()));
    auto tls = make_tls();
    if (!tls) return finish_opening(tl::make_unexpected(tls.error()));
    start(std::make_unique<NetLink>(loop_, std::move(*socket), std::move(*tls)));
}

// libvirt's places: CA/cacert.pem, libvirt/clientcert.pem, libvirt/private/clientkey.pem below
// /etc/pki; all three in one directory with pkipath.
Result<std::optional<NetLink::Tls>> Client::make_tls() const {
    if (uri_.address.transport != net::Transport::tls) return std::optional<NetLink::Tls>();
    net::TlsFiles files = options_.tls;
    const bool in_one_place = !uri_.pki_path.empty();
    const std::string base = in_one_place ? uri_.pki_path : "/etc/pki";
    const std::string ours = in_one_place ? base : base + "/libvirt";
    if (files.authority.empty()) {
        files.authority = in_one_place ? base + "/cacert.pem" : base + "/CA/cacert.pem";
    }
    if (files.certificate.empty() && std::filesystem::exists(ours + "/clientcert.pem")) {
        files.certificate = ours + "/clientcert.pem";
        files.key = in_one_place ? ours + "/clientkey.pem" : ours + "/private/clientkey.pem";
    }
    const auto context = TRY(net::TlsContext::make(net::TlsSide::client, files, uri_.verify));
    auto filter = TRY(context->make_filter(uri_.address.host));
    return NetLink::Tls{std::move(filter), false};
}

void Client::start(std::unique_ptr<Link> link) {
    endpoint_ =
        std::make_unique<Endpoint>(loop_, std::move(link), Side::client, options_.keepalive);
    Endpoint::Handlers handlers;
    handlers.on_packet = [this](const Packet& packet) { return on_packet(packet); };
    handlers.on_closed = [this](const Error& reason) { on_endpoint_closed(reason); };
    endpoint_->start(std::move(handlers));
    authenticate();
}

void Client::authenticate() {
    call<remote::AuthList>({}, [this](Result<remote::AuthListReply> reply) {
        if (!reply) return finish_opening(tl::make_unexpected(reply.error()));
        const auto& types = reply->types;
        if (std::find(types.begin(), types.end(), remote::AuthType::none) == types.end()) {
            return finish_opening(fail(ErrorCode::auth_failed,
                                       "'{}' demands authentication by {}: only 'none' (or TLS "
                                       "certificates) is supported",
                                       uri_.address.text(),
                                       types.empty() ? "nothing" : name_of(types.front())));
        }
        ask_keepalive();
    });
}

void Client::ask_keepalive() {
    call<remote::ConnectSupportsFeature>(
        {kFeatureKeepAlive}, [this](Result<remote::NumberReply> reply) {
            if (!reply) return finish_opening(tl::make_unexpected(reply.error()));
            if (reply->value != 0) endpoint_->start_keepalive();
            open_driver();
        });
}

void Client::open_driver() {
    const std::uint32_t flags = options_.read_only ? kOpenReadOnly : 0;
    call<remote::ConnectOpen>({uri_.name, flags},
                              [this](Result<> opened) { finish_opening(std::move(opened)); });
}

void Client::finish_opening(Result<> outcome) {
    const OnOpened on_opened = std::exchange(on_opened_, nullptr);
    if (!on_opened) return;
    opening_timer_->cancel();
    connector_.reset();
    open_ = outcome.has_value();
    const auto alive = alive_;
    if (!outcome && endpoint_) endpoint_->close(outcome.error(), true);
    if (*alive) on_opened(std::move(outcome));
}

// --- Calls
// ----------------------------------------------------------------------------------------

Header Client::call_header(std::uint32_t program, std::int32_t procedure) {
    Header header;
    header.program = program;
    header.version = kProgramVersion;
    header.procedure = procedure;
    header.type = MessageType::call;
    header.serial = next_serial_++;
    return header;
}

bool Client::send_packet(const Header& header, Result<Bytes> packet, std::string_view name,
                         OnAnswer on_answer) {
    const auto refuse = [&](Error error) {
        loop_.post([alive = alive_, on_answer, error = std::move(error)] {
            if (*alive) on_answer(tl::make_unexpected(error));
        });
        return false;
    };
    if (!packet) return refuse(packet.error());
    if (!endpoint_ || endpoint_->is_closed()) {
        return refuse({ErrorCode::connection_lost,
                       fmt::format("{}: there is no connection with the daemon", name)});
    }
    if (waiting_.size() >= kMaxWaiting) {
        return refuse(
            {ErrorCode::limit_exceeded,
             fmt::format("{}: {} calls wait for their answer already", name, waiting_.size())});
    }
    waiting_[header.serial] = {name, std::move(on_answer)};
    endpoint_->send_packet(std::move(*packet));
    return true;
}

Result<> Client::on_packet(const Packet& packet) {
    const Header& header = packet.header;
    // Descriptors that nobody asked for are closed.
    for (std::uint32_t count = 0; count < packet.descriptors; ++count)
        endpoint_->take_descriptor();
    if (header.type == MessageType::message) {
        const auto found = events_.find({header.program, header.procedure});
        if (found == events_.end()) return {};
        const auto hear = found->second;  // a copy: it may destroy the client
        return hear(packet.payload);
    }
    const bool is_reply =
        header.type == MessageType::reply || header.type == MessageType::reply_with_descriptors;
    const auto found = waiting_.find(header.serial);
    if (!is_reply || found == waiting_.end()) {
        return fail(ErrorCode::protocol,
                    "the daemon sent a {} with serial {} that nobody waits for",
                    name_of(header.type), header.serial);
    }
    const Waiting waiting = std::move(found->second);
    waiting_.erase(found);
    if (header.status == MessageStatus::ok) {
        waiting.on_answer(packet.payload);
        return {};
    }
    endpoint_->remove_stream(header.serial);
    const auto error = read_body<RemoteError>(packet.payload, waiting.name);
    waiting.on_answer(tl::make_unexpected(error ? from_remote(*error) : error.error()));
    return {};
}

void Client::on_endpoint_closed(const Error& reason) {
    const auto alive = alive_;
    const bool was_open = std::exchange(open_, false);
    const auto waiting = std::exchange(waiting_, {});
    for (const auto& [serial, call] : waiting) {
        call.on_answer(tl::make_unexpected(
            Error{reason.code, fmt::format("{}: {}", call.name, reason.message)}));
        if (!*alive) return;
    }
    finish_opening(tl::make_unexpected(reason));
    if (*alive && was_open && on_closed_) on_closed_(reason);
}

void Client::close() {
    on_opened_ = nullptr;
    on_closed_ = nullptr;
    connector_.reset();
    waiting_.clear();
    if (!endpoint_ || endpoint_->is_closed()) return;
    if (std::exchange(open_, false)) {
        const Header header = call_header(remote::kProgram, remote::ConnectClose::kNumber);
        endpoint_->send_packet(make_raw_packet(header, {}));
    }
    endpoint_->close({ErrorCode::connection_lost, "closed"}, true);
}

}  // namespace segue::rpc
