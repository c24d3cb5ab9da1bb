// SPDX-License-Identifier: LGPL-2.1-or-later
// connector-view: a session of the client library whose connections its owner makes, as
// virt-manager or a tunnel would.
//
//   connector-view HOST PORT TLS_PORT [at:HOST:PORT=ADDRESS …] [ca=FILE] [key=FILE] [picture=FILE]
//
// HOST and ports are what the server is known by; each `at:` names the address (unix:PATH,
// tcp:HOST:PORT) that really leads there, and nothing else is connected to. `key` is a
// SubjectPublicKeyInfo in DER that the servers must have. Prints one JSON object a line: "asked"
// for each connection that the session wants, then what becomes of it. SIGTERM ends it, with the
// last picture as PNG.
#include <fmt/core.h>
#include <signal.h>

#include <charconv>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <list>

#include "spice/client/session.h"
#include "viewer/events.h"
#include "viewer/png.h"

namespace segue {
namespace {

namespace client = spice::client;
using viewer::json_string;

struct Choice {
    client::Settings settings;
    std::map<std::string, std::string> addresses;  // by HOST:PORT
    std::string picture_file;
};

class Owner final : public client::SessionListener {
  public:
    Owner(RunLoop& loop, Choice choice)
        : loop_(loop),
          choice_(std::move(choice)),
          resolver_(loop),
          environment_{loop, resolver_, {}} {
        environment_.connector = [this](const client::Endpoint& endpoint, client::ChannelKey key,
                                        bool tls, client::Environment::OnDescriptor answer) {
            connect(endpoint, key, tls, std::move(answer));
        };
        session_.emplace(environment_, choice_.settings, *this);
        session_->start();
    }
    void close() { session_->close(); }

  private:
    void say(std::string_view event, const std::string& fields = {}) {
        fmt::print("{{\"event\":\"{}\"{}}}\n", event, fields);
        std::fflush(stdout);
    }
    void connect(const client::Endpoint& endpoint, client::ChannelKey key, bool tls,
                 client::Environment::OnDescriptor answer) {
        const std::string name =
            fmt::format("{}:{}", endpoint.host, tls ? endpoint.tls_port : endpoint.port);
        say("asked", fmt::format(",\"where\":{},\"channel\":{},\"tls\":{}", json_string(name),
                                 json_string(text_of(key)), tls));
        const auto found = choice_.addresses.find(name);
        auto address = found == choice_.addresses.end()
                           ? Result<net::Address>(fail(ErrorCode::system, "no way to {}", name))
                           : net::Address::parse(found->second);
        if (!address) {
            loop_.post([answer, error = address.error()] { answer(tl::unexpected(error)); });
            return;
        }
        connectors_.push_back(
            std::make_unique<net::Connector>(loop_, resolver_, *address, 10s, std::move(answer)));
    }

    void on_connected() override {
        say("connected", fmt::format(",\"secure\":{}", session_->is_secure()));
    }
    void on_migrate_begin(const client::Endpoint&, bool) override { say("migrate-begin"); }
    void on_target_connected(const client::Endpoint&) override { say("target-connected"); }
    void on_switch(const client::Endpoint&, client::MoveManner manner) override {
        say("switch", fmt::format(",\"manner\":\"{}\"", name_of(manner)));
    }
    void on_migrate_done(const client::Endpoint& home, client::MoveManner) override {
        say("migrate-done", fmt::format(",\"host\":{},\"secure\":{}", json_string(home.text()),
                                        session_->is_secure()));
    }
    void on_migrate_cancelled() override { say("migrate-cancelled"); }
    void on_problem(const Error& error) override {
        say("error", ",\"message\":" + json_string(error.message));
    }
    void on_lost(const Error& error) override {
        say("disconnected", ",\"message\":" + json_string(error.message));
    }
    void on_picture(client::ChannelKey, const client::DisplayNews& news, bool) override {
        if (!news.damage.empty()) say("frame");
    }
    void on_over(const std::optional<Error>& error) override {
        say("over", ",\"message\":" + json_string(error ? error->message : ""));
        auto* display = session_->display(0);
        if (display != nullptr && !choice_.picture_file.empty()) {
            display->painter().look([&](const spice::canvas::Image* image) {
                if (image != nullptr) (void)viewer::write_png(*image, choice_.picture_file);
            });
        }
        loop_.stop();
    }

    RunLoop& loop_;
    Choice choice_;
    net::Resolver resolver_;
    client::Environment environment_;
    std::list<std::unique_ptr<net::Connector>> connectors_;
    std::optional<client::Session> session_;
};

std::uint16_t port_of(std::string_view text) {
    std::uint16_t port = 0;
    std::from_chars(text.data(), text.data() + text.size(), port);
    return port;
}

bool take(Choice& choice, std::string_view word) {
    const std::size_t equals = word.find('=');
    if (equals == word.npos) return false;
    const std::string name(word.substr(0, equals)), value(word.substr(equals + 1));
    if (name.starts_with("at:")) {
        choice.addresses[name.substr(3)] = value;
    } else if (name == "ca") {
        choice.settings.trust.authority_file = value;
    } else if (name == "key") {
        std::ifstream file(value, std::ios::binary);
        choice.settings.trust.public_key.assign(std::istreambuf_iterator<char>(file), {});
    } else if (name == "picture") {
        choice.picture_file = value;
    } else {
        return false;
    }
    return true;
}

}  // namespace
}  // namespace segue

int main(int count, char** words) {
    using namespace segue;
    Choice choice;
    bool is_right = count >= 4;
    for (int at = 4; at < count; ++at)
        is_right = is_right && take(choice, words[at]);
    if (!is_right) {
        std::fputs(
            "connector-view HOST PORT TLS_PORT [at:HOST:PORT=ADDRESS …] [ca=FILE] "
            "[key=FILE] [picture=FILE]\n",
            stderr);
        return 2;
    }
    choice.settings.endpoint = {words[1], port_of(words[2]), port_of(words[3]), {}};
    const auto loop = make_asio_loop();
    Owner owner(*loop, std::move(choice));
    loop->on_signal(SIGTERM, [&] { owner.close(); });
    loop->run();
    return 0;
}
