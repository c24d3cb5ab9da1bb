// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/wire/link.h"

#include <gtest/gtest.h>

namespace segue::spice::wire {
namespace {

const Capabilities kAll =
    Capabilities::of({CommonCapability::auth_selection, CommonCapability::auth_spice,
                      CommonCapability::auth_sasl, CommonCapability::mini_header});
const Capabilities kTicketOnly =
    Capabilities::of({CommonCapability::auth_selection, CommonCapability::auth_spice,
                      CommonCapability::mini_header});

template <class Action>
const Action* find(const LinkActions& actions) {
    for (const LinkAction& action : actions) {
        if (const auto* found = std::get_if<Action>(&action)) return found;
    }
    return nullptr;
}

Bytes sent(const LinkActions& actions) {
    Bytes bytes;
    for (const LinkAction& action : actions) {
        if (const auto* send = std::get_if<SendBytes>(&action)) {
            bytes.insert(bytes.end(), send->bytes.begin(), send->bytes.end());
        }
    }
    return bytes;
}

ClientLink::Request request_with(Capabilities common) {
    ClientLink::Request request;
    request.connection_id = 0x01020304;
    request.channel_type = ChannelType::display;
    request.channel_id = 3;
    request.common = std::move(common);
    request.channel = Capabilities(std::vector<std::uint32_t>{5});
    return request;
}

// The request of a stock client (spice-gtk 0.42, common capabilities 0xd, main channel).
const Bytes kStockRequest = {'R', 'E', 'D', 'Q', 2, 0, 0,   0, 2, 0, 0,   0, 26, 0,
                             0,   0,   0,   0,   0, 0, 1,   0, 1, 0, 0,   0, 1,  0,
                             0,   0,   18,  0,   0, 0, 0xd, 0, 0, 0, 0xf, 0, 0,  0};

TEST(Link, TheRequestOfAStockClientIsRead) {
    ServerLink server;
    const LinkActions actions = server.feed(kStockRequest);
    const auto* asked = find<LinkRequested>(actions);
    ASSERT_TRUE(asked);
    EXPECT_EQ(asked->connection_id, 0u);
    EXPECT_EQ(asked->channel_type, ChannelType::main);
    EXPECT_EQ(asked->common.words(), std::vector<std::uint32_t>{0xd});
    EXPECT_EQ(asked->channel.words(), std::vector<std::uint32_t>{0xf});

    ClientLink::Request request;
    request.channel_type = ChannelType::main;
    request.common = Capabilities(std::vector<std::uint32_t>{0xd});
    request.channel = Capabilities(std::vector<std::uint32_t>{0xf});
    ClientLink client(request);
    EXPECT_EQ(sent(client.start()), kStockRequest) << "ours is the same, byte for byte";
}

// Runs a whole login, each side's bytes cut into pieces of `cut`.
struct Login {
    ServerLink server;
    ClientLink client;
    std::size_t cut;
    LinkActions from_server;
    LinkActions from_client;

    Login(Capabilities common, std::size_t piece, bool sasl)
        : client([&] {
              auto request = request_with(std::move(common));
              request.prefers_sasl = sasl;
              return request;
          }()),
          cut(piece) {}

    void to_server(const LinkActions& actions) { pass(actions, server, from_server); }
    void to_client(const LinkActions& actions) { pass(actions, client, from_client); }
    template <class Side>
    void pass(const LinkActions& actions, Side& side, LinkActions& out) {
        out.clear();
        const Bytes bytes = sent(actions);
        for (std::size_t at = 0; at < bytes.size(); at += cut) {
            LinkActions more =
                side.feed(ByteView(bytes).subspan(at, std::min(cut, bytes.size() - at)));
            out.insert(out.end(), more.begin(), more.end());
        }
    }
};

TEST(Link, ATicketLoginInAnyCut) {
    for (std::size_t cut : {1, 2, 7, 1000}) {
        Login login(kTicketOnly, cut, false);
        login.to_server(login.client.start());
        ASSERT_TRUE(find<LinkRequested>(login.from_server));
        EXPECT_EQ(find<LinkRequested>(login.from_server)->channel_id, 3);
        ServerLink::Offer offer;
        offer.public_key[5] = 99;
        offer.common = kTicketOnly;
        offer.channel = Capabilities(std::vector<std::uint32_t>{1, 2});
        login.to_client(login.server.accept(offer));
        const auto* encrypt = find<EncryptTicket>(login.from_client);
        ASSERT_TRUE(encrypt);
        EXPECT_EQ(encrypt->public_key[5], 99);
        const LinkActions chosen = login.from_client;
        login.to_server(chosen);
        Ticket ticket{};
        ticket[127] = 42;
        login.to_server(login.client.send_ticket(ticket));
        const auto* check = find<CheckTicket>(login.from_server);
        ASSERT_TRUE(check);
        EXPECT_EQ(check->ticket[127], 42);
        const LinkActions accepted = login.server.ticket_verdict(LinkError::ok);
        ASSERT_TRUE(find<Linked>(accepted));
        EXPECT_EQ(find<Linked>(accepted)->header, HeaderKind::mini);
        login.to_client(accepted);
        const auto* linked = find<Linked>(login.from_client);
        ASSERT_TRUE(linked);
        EXPECT_EQ(linked->channel.words(), (std::vector<std::uint32_t>{1, 2}));
    }
}

// Where nobody looks at the ticket, nobody waits for it.
TEST(Link, TheResultGoesWithTheReplyWhereAnyTicketDoes) {
    for (const bool refused : {false, true}) {
        Login login(kTicketOnly, 1000, false);
        login.to_server(login.client.start());
        ServerLink::Offer offer;
        offer.common = kTicketOnly;
        offer.any_ticket = true;
        login.to_client(login.server.accept(offer));
        ASSERT_TRUE(find<EncryptTicket>(login.from_client));
        const LinkActions chosen = login.from_client;
        login.to_server(chosen);
        const LinkActions asked = login.client.send_ticket({});
        EXPECT_TRUE(find<Linked>(asked)) << "the client begins behind its ticket";
        login.to_server(asked);
        ASSERT_TRUE(find<CheckTicket>(login.from_server));
        const LinkActions judged =
            login.server.ticket_verdict(refused ? LinkError::bad_connection_id : LinkError::ok);
        EXPECT_TRUE(sent(judged).empty()) << "it has its result";
        EXPECT_EQ(find<CloseLink>(judged) != nullptr, refused);
        EXPECT_EQ(find<Linked>(judged) != nullptr, !refused);
    }
}

TEST(Link, ASaslLoginKeepsEmptyAndAbsentDataApart) {
    for (std::size_t cut : {1, 1000}) {
        Login login(kAll, cut, true);
        login.to_server(login.client.start());
        ServerLink::Offer offer;
        offer.common = kAll;
        offer.sasl = true;
        login.to_client(login.server.accept(offer));
        const LinkActions chosen = login.from_client;
        login.to_server(chosen);
        ASSERT_TRUE(find<SaslListNeeded>(login.from_server));
        login.to_client(login.server.sasl_mechanisms("PLAIN,SCRAM-SHA-1"));
        EXPECT_EQ(find<SaslMechanismsOffered>(login.from_client)->mechanisms, "PLAIN,SCRAM-SHA-1");
        login.to_server(login.client.sasl_start("SCRAM-SHA-1", Bytes{}));
        const auto* first = find<SaslServerStep>(login.from_server);
        ASSERT_TRUE(first);
        EXPECT_EQ(first->mechanism, "SCRAM-SHA-1");
        EXPECT_EQ(first->data, SaslData(Bytes{}));
        login.to_client(login.server.sasl_reply(Bytes{1, 2}, false, LinkError::ok));
        EXPECT_EQ(find<SaslClientStep>(login.from_client)->data, SaslData(Bytes{1, 2}));
        login.to_server(login.client.sasl_step(std::nullopt));
        EXPECT_EQ(find<SaslServerStep>(login.from_server)->data, std::nullopt);
        login.to_client(login.server.sasl_reply(std::nullopt, true, LinkError::ok));
        EXPECT_TRUE(find<SaslClientStep>(login.from_client)->complete);
        EXPECT_EQ(login.server.state(), ServerLink::State::linked);
        // Both results have come; the second one belongs to the security layer.
        const LinkActions secured = login.client.sasl_finished();
        EXPECT_TRUE(find<SaslSecured>(secured));
        EXPECT_FALSE(find<Linked>(secured));
        const LinkActions done = login.client.feed(login.client.take_rest());
        EXPECT_TRUE(find<Linked>(done));
    }
}

TEST(Link, ARefusalReachesTheOtherSide) {
    Login login(kTicketOnly, 1000, false);
    login.to_server(login.client.start());
    login.to_client(login.server.reject(LinkError::need_secured, "TLS only"));
    EXPECT_EQ(find<CloseLink>(login.from_client)->error, LinkError::need_secured);

    ServerLink server;
    server.feed(kStockRequest);
    server.accept({{}, kTicketOnly, {}, false});
    server.feed(Bytes{1, 0, 0, 0});
    server.feed(Bytes(128, 7));
    const LinkActions denied = server.ticket_verdict(LinkError::permission_denied);
    EXPECT_EQ(sent(denied), (Bytes{7, 0, 0, 0}));
    EXPECT_EQ(find<CloseLink>(denied)->reason.code, ErrorCode::auth_failed);
}

TEST(Link, AClientThatCannotChooseSendsItsTicketAtOnce) {
    ServerLink server;
    Bytes request = kStockRequest;
    request[34] = 0;  // no common capabilities
    server.feed(request);
    server.accept({{}, kTicketOnly, {}, false});
    const LinkActions actions = server.feed(Bytes(128, 1));
    EXPECT_TRUE(find<CheckTicket>(actions));
    EXPECT_EQ(find<Linked>(server.ticket_verdict(LinkError::ok))->header, HeaderKind::full);
}

TEST(Link, BytesBehindTheHandshakeAreKept) {
    ServerLink server;
    server.feed(kStockRequest);
    server.accept({{}, kTicketOnly, {}, false});
    Bytes rest = {1, 0, 0, 0};
    rest.resize(4 + 128);
    rest.insert(rest.end(), {9, 8, 7});
    server.feed(rest);
    server.ticket_verdict(LinkError::ok);
    EXPECT_EQ(server.take_rest(), (Bytes{9, 8, 7}));
}

TEST(Link, BadRequestsGetTheirErrorNumber) {
    const auto error_of = [](Bytes request) {
        ServerLink server;
        const LinkActions actions = server.feed(request);
        const auto* close = find<CloseLink>(actions);
        if (close) {
            EXPECT_EQ(sent(actions)[16], static_cast<std::uint8_t>(close->error));
        }
        return close ? close->error : LinkError::ok;
    };
    const auto changed = [](std::size_t at, std::uint8_t value) {
        Bytes request = kStockRequest;
        request[at] = value;
        return request;
    };
    EXPECT_EQ(error_of(Bytes{'G', 'E', 'T', ' '}), LinkError::invalid_magic);
    EXPECT_EQ(error_of(changed(4, 1)), LinkError::version_mismatch);
    EXPECT_EQ(error_of(changed(12, 17)), LinkError::invalid_data);
    EXPECT_EQ(error_of(changed(14, 1)), LinkError::invalid_data) << "larger than the limit";
    EXPECT_EQ(error_of(changed(22, 3)), LinkError::invalid_data) << "words outside the body";
    EXPECT_EQ(error_of(changed(24, 1)), LinkError::invalid_data) << "65,537 words";
    EXPECT_EQ(error_of(changed(30, 17)), LinkError::invalid_data) << "words inside the fixed part";
    EXPECT_EQ(error_of(changed(33, 0x80)), LinkError::invalid_data) << "offset far outside";
    EXPECT_EQ(error_of(kStockRequest), LinkError::ok);
}

TEST(Link, AFloodAheadOfItsTurnIsCutOff) {
    ServerLink server;
    server.feed(kStockRequest);
    const LinkActions actions = server.feed(Bytes(70000, 1));
    ASSERT_TRUE(find<CloseLink>(actions));
    EXPECT_EQ(find<CloseLink>(actions)->reason.code, ErrorCode::limit_exceeded);
    EXPECT_TRUE(server.feed(Bytes(10, 1)).empty()) << "closed is closed";
}

TEST(Link, SaslNamesAndSizesAreChecked) {
    const auto close_of = [](Bytes bytes) {
        ServerLink server;
        server.feed(kStockRequest);
        ServerLink::Offer offer;
        offer.common = kAll;
        offer.sasl = true;
        server.accept(offer);
        server.feed(Bytes{2, 0, 0, 0});
        server.sasl_mechanisms("PLAIN");
        const LinkActions actions = server.feed(bytes);
        return find<CloseLink>(actions) ? find<CloseLink>(actions)->reason.code
                                        : ErrorCode::internal;
    };
    EXPECT_EQ(close_of({0, 0, 0, 0}), ErrorCode::limit_exceeded);
    EXPECT_EQ(close_of({101, 0, 0, 0}), ErrorCode::limit_exceeded);
    EXPECT_EQ(close_of({2, 0, 0, 0, 'L', 'A'}), ErrorCode::auth_failed);
    EXPECT_EQ(close_of({5, 0, 0, 0, 'P', 'L', 'A', 'I', 'N', 1, 0, 16, 0}),
              ErrorCode::limit_exceeded);
}

// Brings a fresh link into each of its states; any event the table does not allow is named.
TEST(Link, EveryServerStateAndEventIsATransitionOrANamedError) {
    using State = ServerLink::State;
    using Event = ServerLink::Event;
    const auto in_state = [](State state) {
        ServerLink server;
        ServerLink::Offer offer;
        offer.common = kAll;
        offer.sasl = state >= State::sasl_list && state <= State::sasl_judging;
        if (state == State::closed) server.reject(LinkError::error, "test");
        if (state == State::request || state == State::closed) return server;
        server.feed(kStockRequest);
        if (state == State::deciding) return server;
        server.accept(offer);
        if (state == State::mechanism) return server;
        server.feed(Bytes{static_cast<std::uint8_t>(offer.sasl ? 2 : 1), 0, 0, 0});
        if (state == State::ticket || state == State::sasl_list) return server;
        if (offer.sasl) {
            server.sasl_mechanisms("A");
            if (state == State::sasl_start) return server;
            server.feed(Bytes{1, 0, 0, 0, 'A', 0, 0, 0, 0});
            if (state == State::sasl_step) server.sasl_reply({}, false, LinkError::ok);
            return server;
        }
        server.feed(Bytes(128, 1));
        if (state == State::linked) server.ticket_verdict(LinkError::ok);
        return server;
    };
    for (int s = 0; s <= static_cast<int>(State::closed); ++s) {
        for (int e = 0; e <= static_cast<int>(Event::sasl_reply); ++e) {
            const auto state = static_cast<State>(s);
            const auto event = static_cast<Event>(e);
            ServerLink server = in_state(state);
            ASSERT_EQ(server.state(), state) << name_of(state);
            LinkActions actions;
            switch (event) {
                case Event::bytes: actions = server.feed({}); break;
                case Event::accept: actions = server.accept({}); break;
                case Event::reject: actions = server.reject(LinkError::error, "no"); break;
                case Event::ticket_verdict: actions = server.ticket_verdict(LinkError::ok); break;
                case Event::sasl_mechanisms: actions = server.sasl_mechanisms("A"); break;
                case Event::sasl_reply: actions = server.sasl_reply({}, true, LinkError::ok); break;
            }
            if (ServerLink::allows(state, event)) continue;
            EXPECT_EQ(server.state(), State::closed);
            if (state == State::closed) continue;
            ASSERT_TRUE(find<CloseLink>(actions)) << name_of(state) << name_of(event);
            EXPECT_EQ(find<CloseLink>(actions)->reason.code, ErrorCode::operation_invalid);
        }
    }
}

TEST(Link, EveryClientStateAndEventIsATransitionOrANamedError) {
    using State = ClientLink::State;
    using Event = ClientLink::Event;
    for (int s = 0; s <= static_cast<int>(State::closed); ++s) {
        for (int e = 0; e <= static_cast<int>(Event::sasl_finished); ++e) {
            EXPECT_NE(name_of(static_cast<State>(s)), "unknown");
            EXPECT_NE(name_of(static_cast<Event>(e)), "unknown");
        }
    }
    ClientLink early(request_with(kAll));
    EXPECT_EQ(find<CloseLink>(early.sasl_finished())->reason.message,
              "SPICE link (client): sasl_finished in state idle");
    ClientLink twice(request_with(kAll));
    twice.start();
    EXPECT_EQ(find<CloseLink>(twice.start())->reason.message,
              "SPICE link (client): start in state reply");
    EXPECT_EQ(twice.state(), State::closed);
    EXPECT_TRUE(ClientLink::allows(State::encrypting, Event::send_ticket));
    EXPECT_FALSE(ClientLink::allows(State::result, Event::send_ticket));
}

TEST(Link, BadRepliesEndTheClientsLink) {
    const auto error_of = [](Bytes bytes) {
        ClientLink client(request_with(kAll));
        client.start();
        const LinkActions actions = client.feed(bytes);
        return find<CloseLink>(actions) ? find<CloseLink>(actions)->error : LinkError::ok;
    };
    EXPECT_EQ(error_of({'H', 'T'}), LinkError::invalid_magic);
    EXPECT_EQ(error_of({'R', 'E', 'D', 'Q', 1, 0, 0, 0, 2, 0, 0, 0, 178, 0, 0, 0}),
              LinkError::version_mismatch);
    EXPECT_EQ(error_of({'R', 'E', 'D', 'Q', 2, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 9, 0, 0, 0}),
              LinkError::channel_not_available);
    EXPECT_EQ(error_of({'R', 'E', 'D', 'Q', 2, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0}),
              LinkError::invalid_data);
}

}  // namespace
}  // namespace segue::spice::wire
