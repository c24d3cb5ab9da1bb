// SPDX-License-Identifier: LGPL-2.1-or-later
// COLO (COarse-grained LOck-stepping) as two tables: the side of the primary VM (PVM) and the side
// of the secondary VM (SVM). No I/O, no clock: an owner tells events and carries out actions.
//
// Periodic mode: the SVM does not run; its image advances from checkpoint to checkpoint. Hybrid
// mode: the SVM runs too, is suspended for a checkpoint and resumed after it, and the packets of
// both are compared. Rows say in which of the modes they apply.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "qemu/stream_format.h"

namespace segue::colo {

enum class Mode : std::uint8_t { periodic = 1, hybrid = 2, both = 3 };

enum class Event : std::uint8_t {
    // Messages of the peer, in the order of their numbers on the wire.
    message_ready,
    message_request,
    message_reply,
    message_send,
    message_size,
    message_received,
    message_loaded,
    message_unknown,
    // What the owner tells.
    connected,          // a primary's link was accepted; a standby's link is open
    head_read,          // SVM: a stream with a list of RAM blocks begins
    first_state_whole,  // SVM: all of it is here; PVM: all of it is sent
    checkpoint_due,     // PVM: the interval has passed, or somebody asked
    difference,         // PVM, hybrid: the packets of the two VMs differ
    suspended,          // the VM on this side stands still; PVM: its device state is saved
    state_whole,        // SVM: all of the checkpoint is here; PVM: all of it is sent
    committed,          // SVM: the checkpoint is durable here, its disk epoch too
    loaded,             // SVM, hybrid
    resumed,            // the VM on this side runs
    link_lost,
    time_up,
    promote,
    promotion_done,
    promotion_failed,
};
inline constexpr std::size_t kEvents = 23;

enum class Action : std::uint8_t {
    send_first_state,
    send_ready,
    send_request,
    send_reply,
    send_state,  // vmstate-send, the pages, vmstate-size, the device state
    send_received,
    send_loaded,
    suspend_vm,
    resume_vm,
    load_vm,
    start_comparing,
    pass_output,  // nothing is promised: frames and disk writes pass at once
    hold_output,  // from here on frames and disk writes belong to an epoch
    seal_output,  // the epoch's disk writes end here
    commit,
    release_output,  // of the epoch that was committed
    discard_stage,
    drop_link,
    refuse_link,
    tell_protected,
    tell_checkpoint,
    tell_lost,
    lose_peer,  // PVM: go on alone, or stand still: the bias decides
    promote_vm,
};

// Why an event is not taken. Messages end the session; what the owner tells is answered with it.
enum class Refusal : std::uint8_t {
    none,
    unknown_message,
    wrong_direction,  // a message that only the other side sends
    early_message,    // before what must come first
    late_message,     // its time in this checkpoint is over
    not_now,          // the owner's event has no meaning in this state
    fenced,           // the standby has taken over
    other_mode,       // hybrid in periodic mode, or the reverse
};

std::string_view name_of(Event event);
std::string_view name_of(Action action);
std::string_view name_of(Refusal refusal);
Event event_of(ColoMessage message);

enum class Secondary : std::uint8_t {
    idle,              // nothing is held
    synchronising,     // the first state arrives
    committing_first,  // it is whole
    awaiting_request,  // protected
    suspending,        // hybrid
    awaiting_send,
    receiving_pages,
    receiving_state,
    committing,
    committing_lost,  // the primary went away after the checkpoint was whole
    loading,          // hybrid
    resuming,         // hybrid
    lost,             // a committed epoch is held, the primary is gone
    relinking,        // the same, and somebody has connected who has not shown a stream yet
    promoting,
    promoted,
};
inline constexpr std::size_t kSecondaryStates = 16;

enum class Primary : std::uint8_t {
    unprotected,
    synchronising,  // the first state is being sent
    awaiting_ready,
    resuming,
    running,  // hybrid: and comparing
    awaiting_reply,
    suspending,
    sending,
    awaiting_received,
    awaiting_loaded,
};
inline constexpr std::size_t kPrimaryStates = 10;

std::string_view name_of(Secondary state);
std::string_view name_of(Primary state);

template <class State>
struct Row {
    State from;
    Event event;
    Mode mode;
    State to;
    std::vector<Action> actions;
};
std::span<const Row<Secondary>> secondary_table();
std::span<const Row<Primary>> primary_table();

// How long each state may last; nothing: until somebody acts. QEMU itself has no limits.
struct Limits {
    Duration first_state_silence = 30s;  // no byte of the first state
    Duration request = 600s;             // above the longest x-checkpoint-delay in use
    Duration message = 30s;              // any answer of a peer that is due at once
    Duration state_silence = 30s;        // no byte of a checkpoint
    Duration commit = 30s;               // the standby's own disk
    Duration vm = 30s;                   // suspend, load, resume
    Duration promotion = 60s;
};
std::optional<Duration> limit_of(Secondary state, const Limits& limits);
std::optional<Duration> limit_of(Primary state, const Limits& limits);

// Either a row, or the reason why there is none.
template <class State>
struct Answer {
    const Row<State>* row = nullptr;
    Refusal refusal = Refusal::none;
};
Answer<Secondary> answer(Secondary state, Event event, Mode mode);
Answer<Primary> answer(Primary state, Event event, Mode mode);

// The text of a refusal: "checkpoint protocol: early message vmstate-send while awaiting-request".
std::string refusal_text(std::string_view state, Event event, Refusal refusal);

}  // namespace segue::colo
