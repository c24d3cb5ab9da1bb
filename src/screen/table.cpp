// SPDX-License-Identifier: LGPL-2.1-or-later
#include "screen/screen.h"

namespace segue::screen {
namespace {

using S = State;
using E = Event;
using G = Guard;
using V = Verb;

const Row kRows[] = {
    {S::idle, E::move, G::always, S::asking, {V::ask_viewers}},

    // Also without a viewer: one that comes while the guest moves is then told at the end.
    {S::asking, E::viewers_none, G::always, S::announcing, {V::announce}},
    {S::asking, E::viewers_some, G::always, S::announcing, {V::announce}},
    {S::asking, E::dropped, G::always, S::done, {}},

    {S::announcing, E::announced, G::nobody, S::unwatched, {V::ready}},
    {S::announcing, E::announced, G::all_linked, S::bulk, {V::start_bulk, V::ready}},
    {S::announcing, E::announced, G::no_wait, S::alone, {V::ready}},
    {S::announcing, E::announced, G::always, S::linking, {}},
    {S::announcing, E::announce_failed, G::always, S::done, {V::note_unlinked, V::ready}},
    {S::announcing, E::channel_linked, G::always, S::announcing, {}},
    // The library may be quicker than QEMU's reply.
    {S::announcing, E::clients_linked, G::nobody, S::unwatched, {V::ready}},
    {S::announcing, E::clients_linked, G::none_follows, S::alone, {V::note_unlinked, V::ready}},
    {S::announcing, E::clients_linked, G::always, S::bulk, {V::start_bulk, V::ready}},
    {S::announcing, E::library_lost, G::always, S::announcing, {}},
    {S::announcing, E::dropped, G::always, S::staying, {V::withdraw}},

    {S::linking, E::channel_linked, G::all_linked, S::bulk, {V::start_bulk, V::ready}},
    {S::linking, E::channel_linked, G::always, S::linking, {}},
    {S::linking, E::clients_linked, G::none_follows, S::alone, {V::note_unlinked, V::ready}},
    {S::linking, E::clients_linked, G::always, S::bulk, {V::start_bulk, V::ready}},
    {S::linking, E::library_lost, G::all_linked, S::bulk, {V::ready}},
    {S::linking, E::library_lost, G::always, S::linking, {}},
    // Whoever watches no more is not waited for.
    {S::linking, E::viewer_left, G::always, S::linking, {V::ask_viewers}},
    {S::linking, E::viewers_none, G::always, S::unwatched, {V::ready}},
    {S::linking, E::viewers_some, G::all_linked, S::bulk, {V::start_bulk, V::ready}},
    {S::linking, E::viewers_some, G::always, S::linking, {}},
    {S::linking, E::timer_expired, G::always, S::alone, {V::note_unlinked, V::ready}},
    {S::linking, E::dropped, G::always, S::staying, {V::withdraw}},

    // One more has come: the library tells of all of them again.
    {S::bulk, E::clients_linked, G::always, S::bulk, {V::start_bulk}},
    {S::bulk, E::bulk_taken, G::always, S::bulk, {}},
    {S::bulk, E::guest_stopped, G::state_carried, S::difference, {}},
    {S::bulk, E::guest_stopped, G::always, S::going, {}},
    {S::bulk, E::switched, G::always, S::done, {V::finished}},
    {S::bulk, E::dropped, G::always, S::staying, {V::withdraw}},

    {S::difference, E::state_taken, G::always, S::going, {}},
    {S::difference, E::guest_resumed, G::always, S::bulk, {}},
    {S::difference, E::timer_expired, G::always, S::going, {}},
    {S::difference, E::switched, G::always, S::done, {V::finished}},
    {S::difference, E::dropped, G::always, S::staying, {V::withdraw}},

    {S::going, E::guest_resumed, G::always, S::bulk, {}},
    {S::going, E::switched, G::always, S::done, {V::finished}},
    {S::going, E::timer_expired, G::always, S::done, {V::finished}},
    {S::going, E::dropped, G::always, S::staying, {V::withdraw}},

    // One that comes now is told by the library, or by stock's at the end: it is waited for then.
    {S::unwatched, E::clients_linked, G::none_follows, S::unwatched, {}},
    {S::unwatched, E::clients_linked, G::always, S::bulk, {V::start_bulk}},
    {S::unwatched, E::switched, G::always, S::done, {V::finished}},
    {S::unwatched, E::guest_stopped, G::always, S::going, {}},
    {S::unwatched, E::dropped, G::always, S::staying, {V::withdraw}},

    // Late, but the guest is still on its way.
    {S::alone, E::clients_linked, G::none_follows, S::alone, {}},
    {S::alone, E::clients_linked, G::always, S::bulk, {V::start_bulk}},
    {S::alone, E::channel_linked, G::always, S::alone, {}},
    {S::alone, E::switched, G::always, S::done, {V::finished}},
    {S::alone, E::guest_stopped, G::always, S::going, {}},
    {S::alone, E::dropped, G::always, S::staying, {V::withdraw}},
};

constexpr std::string_view kStateNames[] = {"idle",  "asking",     "announcing", "linking",
                                            "bulk",  "difference", "going",      "unwatched",
                                            "alone", "staying",    "done"};
constexpr std::string_view kMeanings[] = {
    "nothing was begun",
    "is a viewer attached?",
    "announce: client_migrate_info was sent",
    "the viewers' channels are being linked at the destination",
    "bulk: the guest may move; what the viewers have is told to the destination meanwhile",
    "last difference: the guest stands, what changed since is told",
    "go: the viewers switch",
    "nobody watches; who comes while the guest moves follows it",
    "fall back: not linked in time, the guest does not wait for them",
    "fall back: the migration was given up, the viewers stay",
    "nothing left to do",
};
constexpr std::string_view kEventNames[] = {
    "move",           "viewers_none",   "viewers_some", "announced",   "announce_failed",
    "channel_linked", "clients_linked", "library_lost", "viewer_left", "bulk_taken",
    "guest_stopped",  "guest_resumed",  "state_taken",  "switched",    "dropped",
    "timer_expired"};
constexpr std::string_view kGuardNames[] = {
    "", "all linked", "nobody", "none follows", "state carried", "no wait"};
constexpr std::string_view kVerbNames[] = {
    "",         "ask viewers",   "announce",    "start bulk", "ready",
    "withdraw", "note unlinked", "start timer", "stop timer", "finished"};

template <class Value, std::size_t kCount>
std::string_view pick(const std::string_view (&names)[kCount], Value value) {
    return names[static_cast<std::size_t>(value)];
}

}  // namespace

std::span<const Row> rows() {
    return kRows;
}
std::string_view name_of(State state) {
    return pick(kStateNames, state);
}
std::string_view name_of(Event event) {
    return pick(kEventNames, event);
}
std::string_view name_of(Guard guard) {
    return pick(kGuardNames, guard);
}
std::string_view name_of(Verb verb) {
    return pick(kVerbNames, verb);
}
std::string_view meaning_of(State state) {
    return pick(kMeanings, state);
}

}  // namespace segue::screen
