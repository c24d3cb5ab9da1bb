// SPDX-License-Identifier: LGPL-2.1-or-later
// The rows of both tables, in the order of a session. docs/colo.md shows them; a test compares.
#include "protect/colo_table.h"

namespace segue::colo {
namespace {

constexpr auto kBoth = Mode::both;
constexpr auto kPeriodic = Mode::periodic;
constexpr auto kHybrid = Mode::hybrid;

// What many states share: a link that ends, a wait that is over, a second primary.
void add_link_rows(std::vector<Row<Secondary>>& rows) {
    using S = Secondary;
    using E = Event;
    using A = Action;
    for (const S first : {S::synchronising, S::committing_first}) {
        rows.push_back({first, E::link_lost, kBoth, S::idle, {A::discard_stage}});
        rows.push_back({first, E::time_up, kBoth, S::idle, {A::drop_link, A::discard_stage}});
        rows.push_back({first, E::connected, kBoth, first, {A::refuse_link}});
    }
    for (const S held : {S::awaiting_request, S::suspending, S::awaiting_send, S::receiving_pages,
                         S::receiving_state, S::loading, S::resuming}) {
        const bool hybrid = held == S::suspending || held == S::loading || held == S::resuming;
        const Mode mode = hybrid ? kHybrid : kBoth;
        rows.push_back({held, E::link_lost, mode, S::lost, {A::discard_stage, A::tell_lost}});
        rows.push_back(
            {held, E::time_up, mode, S::lost, {A::drop_link, A::discard_stage, A::tell_lost}});
        // The old primary is cut off first: it may be alive.
        rows.push_back({held,
                        E::promote,
                        mode,
                        S::promoting,
                        {A::drop_link, A::discard_stage, A::promote_vm}});
        rows.push_back({held, E::connected, mode, held, {A::refuse_link}});
    }
    for (const S busy : {S::committing, S::committing_lost})
        rows.push_back({busy, E::connected, kBoth, busy, {A::refuse_link}});
}

std::vector<Row<Secondary>> make_secondary_rows() {
    using S = Secondary;
    using E = Event;
    using A = Action;
    std::vector<Row<S>> rows = {
        {S::idle, E::connected, kBoth, S::synchronising, {A::pass_output}},
        {S::synchronising, E::head_read, kBoth, S::synchronising, {}},
        // The held image is given up only for a real stream, which overwrites it page by page.
        {S::lost, E::connected, kBoth, S::relinking, {}},
        {S::relinking, E::head_read, kBoth, S::synchronising, {A::pass_output}},
        {S::relinking, E::link_lost, kBoth, S::lost, {}},
        {S::relinking, E::time_up, kBoth, S::lost, {A::drop_link}},
        {S::relinking, E::connected, kBoth, S::relinking, {A::refuse_link}},
        {S::relinking, E::promote, kBoth, S::promoting, {A::drop_link, A::promote_vm}},
        {S::synchronising, E::first_state_whole, kBoth, S::committing_first, {A::commit}},
        // Output is held before the primary may run on.
        {S::committing_first,
         E::committed,
         kPeriodic,
         S::awaiting_request,
         {A::hold_output, A::send_ready, A::tell_protected}},
        {S::committing_first,
         E::committed,
         kHybrid,
         S::resuming,
         {A::hold_output, A::load_vm, A::send_ready, A::resume_vm, A::tell_protected}},

        {S::awaiting_request, E::message_request, kPeriodic, S::awaiting_send, {A::send_reply}},
        {S::awaiting_request, E::message_request, kHybrid, S::suspending, {A::suspend_vm}},
        {S::suspending, E::suspended, kHybrid, S::awaiting_send, {A::send_reply}},
        {S::awaiting_send, E::message_send, kBoth, S::receiving_pages, {A::seal_output}},
        {S::receiving_pages, E::message_size, kBoth, S::receiving_state, {}},
        {S::receiving_state, E::state_whole, kBoth, S::committing, {A::commit}},
        // vmstate-received lets a primary with colo-compare release packets: only when durable.
        {S::committing,
         E::committed,
         kPeriodic,
         S::awaiting_request,
         {A::send_received, A::send_loaded, A::release_output, A::tell_checkpoint}},
        {S::committing,
         E::committed,
         kHybrid,
         S::loading,
         {A::send_received, A::release_output, A::tell_checkpoint, A::load_vm}},
        {S::loading, E::loaded, kHybrid, S::resuming, {A::send_loaded, A::resume_vm}},
        {S::resuming, E::resumed, kHybrid, S::awaiting_request, {A::start_comparing}},

        // A whole checkpoint counts, although its primary did not hear of it.
        {S::committing, E::link_lost, kBoth, S::committing_lost, {}},
        {S::committing_lost,
         E::committed,
         kBoth,
         S::lost,
         {A::release_output, A::tell_checkpoint, A::tell_lost}},
        {S::committing, E::time_up, kBoth, S::lost, {A::drop_link, A::discard_stage, A::tell_lost}},
        {S::committing_lost, E::time_up, kBoth, S::lost, {A::discard_stage, A::tell_lost}},

        {S::lost, E::promote, kBoth, S::promoting, {A::promote_vm}},
        {S::promoting, E::promotion_done, kBoth, S::promoted, {}},
        {S::promoting, E::promotion_failed, kBoth, S::lost, {}},
        {S::promoting, E::time_up, kBoth, S::lost, {}},
        {S::promoting, E::connected, kBoth, S::promoting, {A::refuse_link}},
        {S::promoted, E::connected, kBoth, S::promoted, {A::refuse_link}},
    };
    add_link_rows(rows);
    return rows;
}

std::vector<Row<Primary>> make_primary_rows() {
    using P = Primary;
    using E = Event;
    using A = Action;
    std::vector<Row<P>> rows = {
        {P::unprotected, E::connected, kBoth, P::synchronising, {A::send_first_state}},
        {P::synchronising, E::first_state_whole, kBoth, P::awaiting_ready, {}},
        {P::awaiting_ready, E::message_ready, kBoth, P::resuming, {A::hold_output, A::resume_vm}},
        {P::resuming, E::resumed, kPeriodic, P::running, {}},
        {P::resuming, E::resumed, kHybrid, P::running, {A::start_comparing}},
        {P::running, E::checkpoint_due, kBoth, P::awaiting_reply, {A::send_request}},
        {P::running, E::difference, kHybrid, P::awaiting_reply, {A::send_request}},
        {P::awaiting_reply, E::message_reply, kBoth, P::suspending, {A::suspend_vm}},
        {P::suspending, E::suspended, kBoth, P::sending, {A::seal_output, A::send_state}},
        {P::sending, E::state_whole, kBoth, P::awaiting_received, {}},
        {P::awaiting_received, E::message_received, kBoth, P::awaiting_loaded, {A::release_output}},
        {P::awaiting_loaded, E::message_loaded, kBoth, P::resuming, {A::resume_vm}},
    };
    for (const P with_link :
         {P::synchronising, P::awaiting_ready, P::resuming, P::running, P::awaiting_reply,
          P::suspending, P::sending, P::awaiting_received, P::awaiting_loaded}) {
        rows.push_back({with_link, E::link_lost, kBoth, P::unprotected, {A::lose_peer}});
        rows.push_back(
            {with_link, E::time_up, kBoth, P::unprotected, {A::drop_link, A::lose_peer}});
    }
    return rows;
}

}  // namespace

std::span<const Row<Secondary>> secondary_table() {
    static const std::vector<Row<Secondary>> rows = make_secondary_rows();
    return rows;
}
std::span<const Row<Primary>> primary_table() {
    static const std::vector<Row<Primary>> rows = make_primary_rows();
    return rows;
}

}  // namespace segue::colo
