// SPDX-License-Identifier: LGPL-2.1-or-later
// For tests: stories of single migrations, what each machine asks for, step by step. The simulator
// plays the machines against each other; here each is alone with its events.
#pragma once

#include <gtest/gtest.h>

#include <vector>

#include "migrate/migrate.h"

namespace segue::migrate {

using SE = SourceEvent;
using SS = SourceState;
using SV = SourceVerb;
using DE = DestinationEvent;
using DS = DestinationState;
using DV = DestinationVerb;

inline const Uuid kId = *Uuid::parse("12345678-1234-4234-8234-123456789abc");
inline const PeerAddress kPeer{"10.0.0.2", 7, {1, 2, 3}};

template <class Machine>
struct Story {
    using Verb = typename Machine::Verb;
    using Action = typename Machine::Action;
    Machine machine;
    std::vector<Action> actions;

    explicit Story(Machine the_machine) : machine(std::move(the_machine)) {}

    Story& on(typename Machine::Input input) {
        auto answer = machine.handle(input, Instant{});
        EXPECT_TRUE(answer) << answer.error().message;
        actions = answer.value_or(std::vector<Action>{});
        return *this;
    }
    bool has(Verb verb) const { return find(verb) != nullptr; }
    const Action* find(Verb verb) const {
        for (const Action& action : actions) {
            if (action.verb == verb) return &action;
        }
        return nullptr;
    }
    Error refused(typename Machine::Input input) {
        const auto before = machine.state();
        auto answer = machine.handle(input, Instant{});
        EXPECT_FALSE(answer);
        EXPECT_EQ(machine.state(), before);
        return answer ? Error{} : answer.error();
    }
};
using SourceStory = Story<SourceMachine>;
using DestinationStory = Story<DestinationMachine>;

inline SourceOptions source_options(Protocol protocol, bool peer_to_peer = false) {
    SourceOptions options;
    options.protocol = protocol;
    options.fallback_id = *Uuid::parse("00000000-0000-4000-8000-000000000001");
    options.domain_name = "gf";
    options.peer_to_peer = peer_to_peer;
    return options;
}

inline SourceInput perform(bool stock = false) {
    SourceInput input{SE::perform_called};
    if (!stock) input.offer = DestinationOffer{kId, kPeer, "hostb"};
    return input;
}

inline SourceStory transferring(Protocol protocol, bool stock = false, bool peer_to_peer = false) {
    SourceStory story{SourceMachine(source_options(protocol, peer_to_peer))};
    if (protocol == Protocol::version3) story.on({SE::begin_called});
    story.on(perform(stock));
    if (!stock) story.on({SE::peer_linked});
    EXPECT_EQ(story.find(SV::write_record)->record.right, Right::held);
    story.on({SE::record_stored}).on({SE::screen_ready});
    EXPECT_TRUE(story.has(SV::start_transfer));
    return story;
}

inline SourceStory given(Protocol protocol, bool stock = false, bool peer_to_peer = false) {
    SourceStory story = transferring(protocol, stock, peer_to_peer);
    story.on({SE::transfer_completed});
    EXPECT_EQ(story.find(SV::write_record)->record.right, Right::given);
    EXPECT_FALSE(story.has(SV::reply_ok));
    story.on({SE::record_stored});
    return story;
}

inline DestinationStory prepared(bool ours, Protocol protocol = Protocol::version3) {
    DestinationOptions options;
    options.protocol = protocol;
    options.id = kId;
    options.domain_name = "gf";
    options.source_has_right = ours;
    DestinationStory story{DestinationMachine(options)};
    DestinationInput prepare{DE::prepare_called};
    prepare.peer = kPeer;
    story.on(prepare);
    EXPECT_FALSE(story.has(DV::start_incoming));
    story.on({DE::record_stored});
    EXPECT_TRUE(story.has(DV::start_incoming));
    story.on({DE::incoming_ready});
    EXPECT_EQ(story.find(DV::reply_ok)->call, DestinationCall::prepare);
    return story;
}

inline DestinationInput finish_with(std::optional<GivenRight> right) {
    DestinationInput input{DE::finish_succeeded};
    input.right = right;
    return input;
}

}  // namespace segue::migrate
