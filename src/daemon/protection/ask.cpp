// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/protection/ask.h"

#include "net/connect.h"
#include "net/connection.h"
#include "rpc/client.h"
#include "rpc/extension.schema.h"

namespace segue {
namespace {

constexpr std::size_t kMaxAnswer = 1U << 20;

class HelperQuestion : public std::enable_shared_from_this<HelperQuestion> {
  public:
    HelperQuestion(const Services& services, std::string line, Answer<Json> answer)
        : services_(services), line_(std::move(line)), answer_(std::move(answer)) {}

    void start(const std::string& socket, Duration bound) {
        // Keeps this object until the answer.
        bound_ = services_.loop.make_timer([self = shared_from_this(), socket] {
            self->finish(fail(ErrorCode::timeout, "'{}' does not answer", socket));
        });
        bound_->start(bound);
        connector_ = std::make_unique<net::Connector>(
            services_.loop, services_.resolver, net::Address::of_unix(socket), bound,
            [this](Result<net::Descriptor> made) { connected(std::move(made)); });
    }

  private:
    void connected(Result<net::Descriptor> made) {
        if (!made) return finish(tl::unexpected(made.error()));
        net::Connection::Handlers handlers;
        handlers.on_input = [this](ByteView bytes) { on_input(bytes); };
        handlers.on_closed = [this](const Error& error) { finish(tl::unexpected(error)); };
        connection_ = std::make_unique<net::Connection>(services_.loop, std::move(*made),
                                                        std::move(handlers));
        connection_->start();
        connection_->send_copy(as_bytes(line_));
    }
    void on_input(ByteView bytes) {
        input_ += as_text(bytes);
        const std::size_t end = input_.find('\n');
        if (end == std::string::npos) {
            if (input_.size() > kMaxAnswer) {
                finish(
                    fail(ErrorCode::limit_exceeded, "an answer of more than {} bytes", kMaxAnswer));
            }
            return;
        }
        auto said = Json::parse(std::string_view(input_).substr(0, end));
        if (said && said->find("error") != nullptr) {
            said = fail(ErrorCode::operation_failed, "{}", said->text("error"));
        }
        finish(std::move(said));
    }
    void finish(Result<Json> result) {
        const Answer<Json> answer = std::exchange(answer_, nullptr);
        if (!answer) return;
        // Not from inside a callback of what is destroyed with this object.
        services_.loop.post([self = shared_from_this(), answer, result = std::move(result)] {
            self->bound_.reset();
            self->connector_.reset();
            self->connection_.reset();
            answer(result);
        });
    }

    const Services& services_;
    std::string line_;
    Answer<Json> answer_;
    std::unique_ptr<Timer> bound_;
    std::unique_ptr<net::Connector> connector_;
    std::unique_ptr<net::Connection> connection_;
    std::string input_;
};

}  // namespace

void ask_helper(const Services& services, const std::string& socket, const Json& request,
                Answer<Json> answer, Duration bound) {
    std::make_shared<HelperQuestion>(services, request.dump() + '\n', std::move(answer))
        ->start(socket, bound);
}

void ask_daemon(const Services& services, const std::string& uri, const std::string& command,
                const Json& arguments, Answer<Json> answer) {
    const auto parsed = rpc::ConnectionUri::parse(uri, "");
    if (!parsed) return answer(tl::unexpected(parsed.error()));
    rpc::ClientOptions options;
    const std::string& pki = services.settings.tls_directory;
    options.tls = {pki + "/ca-cert.pem", pki + "/client-cert.pem", pki + "/client-key.pem"};
    auto client = std::make_shared<rpc::Client>(services.loop, services.resolver, *parsed, options);
    // The client lives in its own callbacks, and goes with the last one.
    const auto finish = [&services, client, answer](Result<Json> result) {
        services.loop.post([client, answer, result = std::move(result)] {
            client->close();
            answer(result);
        });
    };
    client->open([raw = client.get(), finish, command, arguments](Result<> opened) {
        if (!opened) return finish(tl::unexpected(opened.error()));
        raw->call<rpc::extension::Command>({command, arguments.dump()},
                                           [finish](rpc::Outcome<rpc::extension::Command> said) {
                                               if (!said)
                                                   return finish(tl::unexpected(said.error()));
                                               finish(Json::parse(said->value));
                                           });
    });
}

}  // namespace segue
