// SPDX-License-Identifier: LGPL-2.1-or-later
// What `segued` and our library inside QEMU say to each other, one JSON object a line over a unix
// socket: the library listens at the path in SEGUE_SPICE_CONTROL and speaks to whoever connects.
//
// The library says, unasked:
//   {"event":"client-connected","client":1}            a client logged in, or arrived from
//   elsewhere
//   {"event":"client-disconnected","client":1}
//   {"event":"clients-linked","linked":1,"failed":0}   source: every client that was told where to
//                                                      go has answered, or its time is up
//   {"event":"client-parked","client":2,"channels":3}  target: a client of the source has linked;
//                                                      channels besides main that wait here
//   {"event":"clients-left"}                           source: the clients have followed
//   {"event":"state","final":true,"bytes":120}         source: what its clients have (state.schema)
//   {"event":"state-taken","final":true}               target: such a state was read, and is kept
// A line with "bytes" is followed by so many bytes of another kind, and then by the next line.
//
// It is told:
//   {"cmd":"status"}                       answered with Status as one object with a "clients"
//   member
//   {"cmd":"carry-state"}                  source: tell the state now, and the rest when the
//   machine
//                                          stands still
//   {"cmd":"drop-state"}                   source: the move was given up
//   {"cmd":"state-taken"}                  source: the target has all of it
//   {"cmd":"take-state","final":true,"bytes":120}   target: what the source told
//   {"cmd":"machine-arrived"}              target: the machine is here, and stays paused
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"

namespace segue::spice::control {

// The environment variable that names the socket; nothing listens while it is unset.
inline constexpr const char* kPathVariable = "SEGUE_SPICE_CONTROL";
// A line longer than this, or more bytes behind one, ends the connection.
inline constexpr std::size_t kMostLine = 64u << 10;
inline constexpr std::size_t kMostBytes = 8u << 20;

enum class EventKind : std::uint8_t {
    client_connected,
    client_disconnected,
    clients_linked,
    client_parked,
    clients_left,
    state,
    state_taken,
};
std::string_view name_of(EventKind kind);

struct Event {
    EventKind kind = EventKind::client_connected;
    std::uint64_t client = 0;    // client_*
    std::uint64_t linked = 0;    // clients_linked
    std::uint64_t failed = 0;    // clients_linked
    std::uint64_t channels = 0;  // client_parked
    bool final = false;          // state, state_taken: nothing more will come
    std::uint64_t bytes = 0;     // state: how many follow the line
    friend bool operator==(const Event&, const Event&) = default;
};

// What a display channel of a client was sent, and how: since the client linked it.
struct PictureStatus {
    // What is asked for, by the client or by the embedder: "auto_glz", "quic", …
    std::string compression;
    std::uint64_t images = 0;
    std::uint64_t raw_bytes = 0;      // their pixels
    std::uint64_t encoded_bytes = 0;  // what went over the wire for them
    // What was chosen for them: images as "lz", "jpeg", …; what never was is absent.
    std::map<std::string, std::uint64_t> forms;
    std::uint64_t encode_us = 0;     // spent on images and frames
    std::uint64_t videos = 0;        // areas that go as video now
    std::uint64_t frames = 0;        // of videos
    std::uint64_t stale_pixels = 0;  // that wait for room: only their newest content is sent
    bool low_bandwidth = false;
    std::uint64_t bits_per_second = 0;  // of the line, as far as it was filled; 0: not measured
    friend bool operator==(const PictureStatus&, const PictureStatus&) = default;
};

struct ChannelStatus {
    std::string type;  // "display"
    std::uint64_t id = 0;
    std::uint64_t messages_sent = 0;
    std::uint64_t bytes_sent = 0;           // taken by the socket, on this link
    std::uint64_t bytes_received = 0;       // read from it
    std::uint64_t waiting_bytes = 0;        // queued, not taken by the socket
    std::optional<PictureStatus> pictures;  // of display channels
    friend bool operator==(const ChannelStatus&, const ChannelStatus&) = default;
};

struct ClientStatus {
    std::uint64_t id = 0;
    std::uint64_t connection_id = 0;
    // Comes from another server, and its machine has not arrived yet.
    bool parked = false;
    // Source of a migration: it is linked to the target.
    bool linked_to_target = false;
    std::uint64_t round_trip_us = 0;  // 0: not measured
    ChannelStatus main;
    std::vector<ChannelStatus> channels;  // the others
    friend bool operator==(const ClientStatus&, const ClientStatus&) = default;
};

struct DisplayStatus {
    std::uint64_t id = 0;
    std::uint64_t commands = 0;       // taken from the guest
    std::uint64_t images = 0;         // sent
    std::uint64_t raw_bytes = 0;      // their pixels
    std::uint64_t encoded_bytes = 0;  // what went over the wire for them
    friend bool operator==(const DisplayStatus&, const DisplayStatus&) = default;
};

// Connections that ended before they were linked, by reason.
struct UnlinkedStatus {
    std::uint64_t timed_out = 0;         // the client stopped on its way
    std::uint64_t refused_tickets = 0;   // wrong or expired, or SASL
    std::uint64_t refused_channels = 0;  // not here, of no session, or for TLS only
    std::uint64_t protocol_errors = 0;
    std::uint64_t output_overflows = 0;  // the client did not read what it asked for
    friend bool operator==(const UnlinkedStatus&, const UnlinkedStatus&) = default;
};

struct Status {
    std::string migration;  // the state of the source's table: "idle", "linking", "linked", …
    std::vector<ClientStatus> clients;
    std::vector<DisplayStatus> displays;
    // Connections that were closed before their link, for others to have room: a flood.
    std::uint64_t flooded_away = 0;
    UnlinkedStatus unlinked;
    friend bool operator==(const Status&, const Status&) = default;
};

enum class CommandKind : std::uint8_t {
    status,
    carry_state,
    drop_state,
    take_state,
    state_taken,
    machine_arrived,
};
std::string_view name_of(CommandKind kind);

struct Command {
    CommandKind kind = CommandKind::status;
    bool final = false;       // take_state
    std::uint64_t bytes = 0;  // take_state
    friend bool operator==(const Command&, const Command&) = default;
};

// --- The library's end ---------------------------------------------------------------------------

// Without the line's end.
std::string to_line(const Event& event);
std::string to_line(const Status& status);
std::string error_line(std::string_view message);
Result<Command> parse_command(std::string_view line);

// --- The daemon's end ----------------------------------------------------------------------------

std::string to_line(const Command& command);
Result<std::variant<Event, Status>> parse_line(std::string_view line);

}  // namespace segue::spice::control
