// SPDX-License-Identifier: LGPL-2.1-or-later
#include "cli/connection.h"

#include <charconv>

#include "base/id.h"
#include "rpc/extension.schema.h"
#include "rpc/remote.schema.h"

namespace segue::cli {
namespace {

constexpr std::string_view kDefaultSocket = "/run/segue/segue.sock";

Result<Json> read_answer(const rpc::Outcome<rpc::extension::Query>& answer) {
    if (!answer) return tl::make_unexpected(answer.error());
    return Json::parse(answer->value);
}

}  // namespace

Connection::Connection()
    : loop_(make_asio_loop()), resolver_(std::make_unique<net::Resolver>(*loop_)) {}

Connection::~Connection() {
    if (client_) client_->close();
}

Result<std::unique_ptr<Connection>> Connection::open(const std::string& uri, bool read_only) {
    auto parsed = TRY(rpc::ConnectionUri::parse(uri, kDefaultSocket));
    std::unique_ptr<Connection> connection(new Connection);
    rpc::ClientOptions options;
    options.read_only = read_only;
    connection->client_ = std::make_unique<rpc::Client>(*connection->loop_, *connection->resolver_,
                                                        std::move(parsed), std::move(options));
    Result<> opened;
    bool is_answered = false;
    connection->client_->open([&](Result<> outcome) {
        opened = std::move(outcome);
        is_answered = true;
        connection->loop_->stop();
    });
    while (!is_answered)
        connection->loop_->run();
    if (!opened) {
        return fail(ErrorCode::connection_lost, "cannot reach '{}': {}; try `segue doctor`", uri,
                    opened.error().message);
    }
    connection->client_->on_closed([raw = connection.get()](const Error& why) {
        raw->lost_ = true;
        raw->loss_ = {ErrorCode::connection_lost, "the daemon is gone: " + why.message};
        raw->loop_->stop();
    });
    return connection;
}

Result<rpc::DomainRef> Connection::find_domain(const std::string& word) {
    using namespace rpc::remote;
    auto by_name = call<DomainLookupByName>({word});
    if (by_name) return by_name->domain;
    if (by_name.error().code != ErrorCode::no_domain) {
        return tl::make_unexpected(by_name.error());
    }
    if (const auto uuid = Uuid::parse(word)) {
        if (auto found = call<DomainLookupByUuid>({*uuid})) return found->domain;
    }
    std::int32_t id = -1;
    const auto [end, code] = std::from_chars(word.data(), word.data() + word.size(), id);
    if (code == std::errc() && end == word.data() + word.size()) {
        if (auto found = call<DomainLookupById>({id})) return found->domain;
    }
    return fail(ErrorCode::no_domain, "no domain '{}': `segue list --all` names those there are",
                word);
}

Result<Json> Connection::query(const std::string& name, const Json& arguments) {
    return read_answer(call<rpc::extension::Query>({name, arguments.dump()}));
}

Result<Json> Connection::command(const std::string& name, const Json& arguments) {
    const auto answer = call<rpc::extension::Command>({name, arguments.dump()});
    if (!answer) return tl::make_unexpected(answer.error());
    return Json::parse(answer->value);
}

}  // namespace segue::cli
