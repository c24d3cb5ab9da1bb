// SPDX-License-Identifier: LGPL-2.1-or-later
// For tests: SPICE servers in the test's own process, which say what the test wants and count what
// a session does. They speak the real link and the real messages over socket pairs.
#pragma once

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <list>

#include "net/test_loop.h"
#include "spice/client/session.h"

namespace segue::spice::client {

// A key that tickets are encrypted with; nobody decrypts them here.
inline const wire::PublicKey& ticket_key() {
    static const wire::PublicKey key = [] {
        wire::PublicKey bytes{};
        EVP_PKEY* pair = EVP_RSA_gen(1024);
        unsigned char* at = bytes.data();
        EXPECT_EQ(i2d_PUBKEY(pair, nullptr), static_cast<int>(bytes.size()));
        i2d_PUBKEY(pair, &at);
        EVP_PKEY_free(pair);
        return bytes;
    }();
    return key;
}

// A server's end of one channel's connection.
class ServedChannel {
  public:
    ServedChannel(Loop& loop, net::Descriptor socket, Endpoint server, ChannelKey key,
                  wire::LinkError verdict)
        : server_(std::move(server)), key_(key), verdict_(verdict) {
        net::Connection::Handlers handlers;
        handlers.on_input = [this](ByteView bytes) { on_input(bytes); };
        handlers.on_closed = [this](const Error&) { is_open_ = false; };
        connection_ =
            std::make_unique<net::Connection>(loop, std::move(socket), std::move(handlers));
        connection_->start();
    }

    template <class Message>
    void say(const Message& message) {
        std::vector<wire::SharedBytes> pieces;
        ASSERT_TRUE(writer_->frame(wire::encode_from_server(message), pieces));
        connection_->send(wire::flatten(pieces));
    }
    void say_bytes(Bytes bytes) { connection_->send(std::move(bytes)); }
    // The socket ends in order.
    void end() {
        is_open_ = false;
        connection_->close();
    }

    const Endpoint& server() const { return server_; }
    ChannelKey key() const { return key_; }
    bool is_linked() const { return is_open_ && writer_.has_value(); }
    std::uint32_t session() const { return session_; }
    bool has_heard(std::uint16_t number) const {
        return std::find(heard_.begin(), heard_.end(), number) != heard_.end();
    }

  private:
    void on_input(ByteView bytes) {
        if (!reader_) return run(link_.feed(bytes));
        reader_->feed(bytes);
        take_messages();
    }
    void run(wire::LinkActions actions) {
        using namespace wire;
        for (LinkAction& action : actions) {
            if (auto* send = std::get_if<SendBytes>(&action)) {
                connection_->send(std::move(send->bytes));
            } else if (const auto* asked = std::get_if<LinkRequested>(&action)) {
                session_ = asked->connection_id;
                ServerLink::Offer offer;
                offer.public_key = ticket_key();
                offer.common =
                    Capabilities::of({CommonCapability::auth_selection,
                                      CommonCapability::auth_spice, CommonCapability::mini_header});
                if (key_.type == ChannelType::main)
                    offer.channel = Capabilities::of({wire::main::Capability::semi_seamless_migrate,
                                                      wire::main::Capability::seamless_migrate});
                run(link_.accept(offer));
            } else if (std::holds_alternative<CheckTicket>(action)) {
                run(link_.ticket_verdict(verdict_));
            } else if (const auto* linked = std::get_if<Linked>(&action)) {
                reader_.emplace(linked->header, std::size_t{1} << 20);
                writer_.emplace(linked->header);
                reader_->feed(link_.take_rest());
                take_messages();
            }
        }
    }
    void take_messages() {
        for (;;) {
            auto message = reader_->next();
            ASSERT_TRUE(message);
            if (!message->has_value()) return;
            heard_.push_back((*message)->number);
        }
    }

    Endpoint server_;
    ChannelKey key_;
    wire::LinkError verdict_;
    std::unique_ptr<net::Connection> connection_;
    wire::ServerLink link_;
    std::optional<wire::MessageReader> reader_;
    std::optional<wire::MessageWriter> writer_;
    std::uint32_t session_ = 0;
    std::vector<std::uint16_t> heard_;
    bool is_open_ = true;
};

// What a session told its owner, a word each: "connected HOST", "lost", "over CODE".
class Diary final : public SessionListener {
  public:
    bool has(const std::string& word) const { return count(word) != 0; }
    std::size_t count(const std::string& word) const {
        return static_cast<std::size_t>(std::count(words.begin(), words.end(), word));
    }

    std::vector<std::string> words;
    const Session* session = nullptr;

  private:
    void on_connected() override {
        words.push_back("connected " + session->settings().endpoint.host);
    }
    void on_migrate_begin(const Endpoint& target, bool) override {
        words.push_back("begin " + target.host);
    }
    void on_target_connected(const Endpoint& target) override {
        words.push_back("linked " + target.host);
    }
    void on_switch(const Endpoint& target, MoveManner) override {
        words.push_back("switch " + target.host);
    }
    void on_migrate_done(const Endpoint& home, MoveManner) override {
        words.push_back("done " + home.host);
    }
    void on_migrate_cancelled() override { words.push_back("cancelled"); }
    void on_problem(const Error& error) override { words.push_back("problem " + error.message); }
    void on_lost(const Error&) override { words.push_back("lost"); }
    void on_sound_start(const SoundFormat&) override { words.push_back("sound"); }
    void on_sound_stop() override { words.push_back("silence"); }
    void on_stream_data(ChannelKey, ByteView data) override {
        words.push_back("data " + std::string(as_text(data)));
    }
    void on_over(const std::optional<Error>& error) override {
        words.push_back(error ? fmt::format("over {}", name_of(error->code)) : "over");
    }
    void on_picture(ChannelKey, const DisplayNews& news, bool) override {
        if (news.width != 0) words.push_back(fmt::format("picture {}", news.width));
    }
};

// A session between any number of servers, which are known by their hosts' names.
class SessionTest : public testing::Test {
  protected:
    SessionTest() {
        environment_.connector = [this](const Endpoint& endpoint, ChannelKey key, bool,
                                        Environment::OnDescriptor answer) {
            if (silent_.contains(endpoint.host)) return;
            (*loop_).post([this, endpoint, key, answer = std::move(answer)] {
                answer(connect(endpoint, key));
            });
        };
        settings_.endpoint = at("home");
        settings_.ports = true;
    }
    ~SessionTest() override { session_.reset(); }

    static Endpoint at(const std::string& host) { return {host, 5900, 0, {}}; }
    static wire::main::Destination to(const std::string& host) { return {5900, 65535, host, {}}; }
    static constexpr ChannelKey kMain{wire::ChannelType::main, 0};
    static constexpr ChannelKey kDisplay{wire::ChannelType::display, 0};

    void start() {
        session_.emplace(environment_, settings_, diary_);
        diary_.session = &*session_;
        session_->start();
    }
    // Main and one display, both up.
    void be_connected() {
        start();
        serve_fresh("home");
        ASSERT_TRUE(until([&] { return diary_.has("connected home"); }));
    }
    // What a server says to a new session.
    void serve_fresh(const std::string& host) {
        ASSERT_TRUE(until([&] { return find(host, kMain) != nullptr; })) << host;
        find(host, kMain)->say(init());
        find(host, kMain)->say(wire::main::ChannelsList{{{wire::ChannelType::display, 0}}});
        ASSERT_TRUE(until([&] { return find(host, kDisplay) != nullptr; })) << host;
        find(host, kDisplay)->say(surface(0, 640));
    }
    // The target is announced and every connection to it is made.
    void be_linked(const std::string& host) {
        find("home", kMain)->say(wire::main::MigrateBegin{to(host)});
        ASSERT_TRUE(until([&] { return diary_.has("linked " + host); }));
    }
    // It has said that it takes our state, too.
    void be_linked_seamlessly(const std::string& host) {
        find("home", kMain)->say(wire::main::MigrateBeginSeamless{to(host), 1});
        ASSERT_TRUE(until([&] {
            const auto* there = find(host, kMain);
            return there != nullptr &&
                   there->has_heard(wire::main::MigrateDstDoSeamless::kFromClient);
        }));
        find(host, kMain)->say(wire::main::MigrateDstSeamlessAck{});
        ASSERT_TRUE(until([&] { return diary_.has("linked " + host); }));
    }
    // With a device more than a screen.
    ChannelKey be_linked_with_port() {
        const ChannelKey port{wire::ChannelType::port, 0};
        find("home", kMain)->say(wire::main::ChannelsList{{{port.type, port.id}}});
        EXPECT_TRUE(until([&] { return session_->stream(port) && find("home", port); }));
        be_linked_seamlessly("away");
        EXPECT_TRUE(until([&] { return find("away", port) != nullptr; }));
        return port;
    }
    static wire::main::Init init() { return {7, 1, 3, 1, 0, 0, 0, 0}; }
    static wire::display::SurfaceCreate surface(std::uint32_t id, std::uint32_t width) {
        return {id, width, 480, wire::display::SurfaceFormat::xrgb32,
                wire::display::SurfaceFlags::primary};
    }

    // The newest linked connection of that channel with that host; null if there is none.
    ServedChannel* find(const std::string& host, ChannelKey key) {
        for (auto one = served_.rbegin(); one != served_.rend(); ++one) {
            if (one->server().host == host && one->key() == key && one->is_linked()) return &*one;
        }
        return nullptr;
    }
    void end_all_of(const std::string& host) {
        for (ServedChannel& one : served_) {
            if (one.server().host == host) one.end();
        }
    }
    int attempts_at(const std::string& host) { return attempts_[host]; }
    bool until(const std::function<bool()>& condition) { return loop_.run_until(condition); }

    net::TestLoop loop_;
    net::Resolver resolver_{*loop_};
    Environment environment_{*loop_, resolver_, {}};
    Settings settings_;
    Diary diary_;
    // Nobody listens there.
    std::set<std::string> refuses_;
    // Nobody answers there, not even with a refusal.
    std::set<std::string> silent_;
    wire::LinkError verdict_ = wire::LinkError::ok;
    std::optional<Session> session_;

  private:
    Result<net::Descriptor> connect(const Endpoint& endpoint, ChannelKey key) {
        ++attempts_[endpoint.host];
        if (refuses_.contains(endpoint.host))
            return fail(ErrorCode::system, "nobody listens at {}", endpoint.host);
        auto pair = TRY(net::make_socket_pair());
        served_.emplace_back(*loop_, std::move(pair[0]), endpoint, key, verdict_);
        return std::move(pair[1]);
    }

    std::list<ServedChannel> served_;
    std::map<std::string, int> attempts_;
};

}  // namespace segue::spice::client
