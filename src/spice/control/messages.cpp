// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/control/messages.h"

#include <nlohmann/json.hpp>

namespace segue::spice::control {
namespace {

using Json = nlohmann::json;

constexpr EventKind kEvents[] = {EventKind::client_connected, EventKind::client_disconnected,
                                 EventKind::clients_linked,   EventKind::client_parked,
                                 EventKind::clients_left,     EventKind::state,
                                 EventKind::state_taken};
constexpr CommandKind kCommands[] = {CommandKind::status,      CommandKind::carry_state,
                                     CommandKind::drop_state,  CommandKind::take_state,
                                     CommandKind::state_taken, CommandKind::machine_arrived};

Result<Json> parse_object(std::string_view line) {
    if (line.size() > kMostLine) {
        return fail(ErrorCode::limit_exceeded, "control: a line of {} bytes, at most {}",
                    line.size(), kMostLine);
    }
    Json json = Json::parse(line, nullptr, false);
    if (!json.is_object()) return fail(ErrorCode::protocol, "control: not a JSON object");
    return json;
}

// Members that are absent, or of another type, read as zero or empty.
std::uint64_t number(const Json& json, const char* name) {
    const auto found = json.find(name);
    return found != json.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
}
bool flag(const Json& json, const char* name) {
    const auto found = json.find(name);
    return found != json.end() && found->is_boolean() && found->get<bool>();
}
Result<std::uint64_t> bytes_of(const Json& json) {
    const std::uint64_t bytes = number(json, "bytes");
    if (bytes > kMostBytes) {
        return fail(ErrorCode::limit_exceeded, "control: {} bytes behind a line, at most {}", bytes,
                    kMostBytes);
    }
    return bytes;
}
std::string text(const Json& json, const char* name) {
    const auto found = json.find(name);
    return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
}
template <class Take>
void for_objects(const Json& json, const char* name, const Take& take) {
    const auto found = json.find(name);
    if (found == json.end() || !found->is_array()) return;
    for (const Json& element : *found) {
        if (element.is_object()) take(element);
    }
}

Json json_of(const PictureStatus& pictures) {
    return {{"compression", pictures.compression},
            {"images", pictures.images},
            {"raw_bytes", pictures.raw_bytes},
            {"encoded_bytes", pictures.encoded_bytes},
            {"forms", pictures.forms},
            {"encode_us", pictures.encode_us},
            {"videos", pictures.videos},
            {"frames", pictures.frames},
            {"stale_pixels", pictures.stale_pixels},
            {"low_bandwidth", pictures.low_bandwidth},
            {"bits_per_second", pictures.bits_per_second}};
}

PictureStatus pictures_of(const Json& json) {
    PictureStatus pictures;
    pictures.compression = text(json, "compression");
    pictures.images = number(json, "images");
    pictures.raw_bytes = number(json, "raw_bytes");
    pictures.encoded_bytes = number(json, "encoded_bytes");
    if (const auto forms = json.find("forms"); forms != json.end() && forms->is_object()) {
        for (const auto& [name, images] : forms->items()) {
            if (images.is_number_unsigned())
                pictures.forms[name] = images.template get<std::uint64_t>();
        }
    }
    pictures.encode_us = number(json, "encode_us");
    pictures.videos = number(json, "videos");
    pictures.frames = number(json, "frames");
    pictures.stale_pixels = number(json, "stale_pixels");
    pictures.low_bandwidth = flag(json, "low_bandwidth");
    pictures.bits_per_second = number(json, "bits_per_second");
    return pictures;
}

Json json_of(const ChannelStatus& channel) {
    Json json{{"type", channel.type},
              {"id", channel.id},
              {"messages_sent", channel.messages_sent},
              {"bytes_sent", channel.bytes_sent},
              {"bytes_received", channel.bytes_received},
              {"waiting_bytes", channel.waiting_bytes}};
    if (channel.pictures) json["pictures"] = json_of(*channel.pictures);
    return json;
}

ChannelStatus channel_of(const Json& json) {
    ChannelStatus channel;
    channel.type = text(json, "type");
    channel.id = number(json, "id");
    channel.messages_sent = number(json, "messages_sent");
    channel.bytes_sent = number(json, "bytes_sent");
    channel.bytes_received = number(json, "bytes_received");
    channel.waiting_bytes = number(json, "waiting_bytes");
    if (const auto pictures = json.find("pictures"); pictures != json.end())
        channel.pictures = pictures_of(*pictures);
    return channel;
}

Json json_of(const ClientStatus& client) {
    Json channels = Json::array();
    for (const ChannelStatus& channel : client.channels)
        channels.push_back(json_of(channel));
    return {{"id", client.id},
            {"connection_id", client.connection_id},
            {"parked", client.parked},
            {"linked_to_target", client.linked_to_target},
            {"round_trip_us", client.round_trip_us},
            {"main", json_of(client.main)},
            {"channels", channels}};
}

ClientStatus client_of(const Json& json) {
    ClientStatus client;
    client.id = number(json, "id");
    client.connection_id = number(json, "connection_id");
    client.parked = flag(json, "parked");
    client.linked_to_target = flag(json, "linked_to_target");
    client.round_trip_us = number(json, "round_trip_us");
    if (const auto main = json.find("main"); main != json.end()) client.main = channel_of(*main);
    for_objects(json, "channels",
                [&](const Json& channel) { client.channels.push_back(channel_of(channel)); });
    return client;
}

DisplayStatus display_of(const Json& json) {
    DisplayStatus display;
    display.id = number(json, "id");
    display.commands = number(json, "commands");
    display.images = number(json, "images");
    display.raw_bytes = number(json, "raw_bytes");
    display.encoded_bytes = number(json, "encoded_bytes");
    return display;
}

Json json_of(const UnlinkedStatus& unlinked) {
    return {{"timed_out", unlinked.timed_out},
            {"refused_tickets", unlinked.refused_tickets},
            {"refused_channels", unlinked.refused_channels},
            {"protocol_errors", unlinked.protocol_errors},
            {"output_overflows", unlinked.output_overflows}};
}

UnlinkedStatus unlinked_of(const Json& json) {
    UnlinkedStatus unlinked;
    unlinked.timed_out = number(json, "timed_out");
    unlinked.refused_tickets = number(json, "refused_tickets");
    unlinked.refused_channels = number(json, "refused_channels");
    unlinked.protocol_errors = number(json, "protocol_errors");
    unlinked.output_overflows = number(json, "output_overflows");
    return unlinked;
}

}  // namespace

std::string_view name_of(EventKind kind) {
    switch (kind) {
        case EventKind::client_connected: return "client-connected";
        case EventKind::client_disconnected: return "client-disconnected";
        case EventKind::clients_linked: return "clients-linked";
        case EventKind::client_parked: return "client-parked";
        case EventKind::clients_left: return "clients-left";
        case EventKind::state: return "state";
        case EventKind::state_taken: return "state-taken";
    }
    return "unknown";
}

std::string_view name_of(CommandKind kind) {
    switch (kind) {
        case CommandKind::status: return "status";
        case CommandKind::carry_state: return "carry-state";
        case CommandKind::drop_state: return "drop-state";
        case CommandKind::take_state: return "take-state";
        case CommandKind::state_taken: return "state-taken";
        case CommandKind::machine_arrived: return "machine-arrived";
    }
    return "unknown";
}

std::string to_line(const Event& event) {
    Json json{{"event", std::string(name_of(event.kind))}};
    switch (event.kind) {
        case EventKind::clients_linked:
            json["linked"] = event.linked;
            json["failed"] = event.failed;
            break;
        case EventKind::client_parked: json["channels"] = event.channels; [[fallthrough]];
        case EventKind::client_connected:
        case EventKind::client_disconnected: json["client"] = event.client; break;
        case EventKind::clients_left: break;
        case EventKind::state: json["bytes"] = event.bytes; [[fallthrough]];
        case EventKind::state_taken: json["final"] = event.final; break;
    }
    return json.dump();
}

std::string to_line(const Status& status) {
    Json clients = Json::array();
    for (const ClientStatus& client : status.clients)
        clients.push_back(json_of(client));
    Json displays = Json::array();
    for (const DisplayStatus& display : status.displays) {
        displays.push_back({{"id", display.id},
                            {"commands", display.commands},
                            {"images", display.images},
                            {"raw_bytes", display.raw_bytes},
                            {"encoded_bytes", display.encoded_bytes}});
    }
    return Json{{"migration", status.migration},
                {"clients", clients},
                {"displays", displays},
                {"flooded_away", status.flooded_away},
                {"unlinked", json_of(status.unlinked)}}
        .dump();
}

std::string error_line(std::string_view message) {
    return Json{{"error", std::string(message)}}.dump();
}

Result<Command> parse_command(std::string_view line) {
    const Json json = TRY(parse_object(line));
    const std::string name = text(json, "cmd");
    for (const CommandKind kind : kCommands) {
        if (name != name_of(kind)) continue;
        Command command;
        command.kind = kind;
        command.final = flag(json, "final");
        command.bytes = TRY(bytes_of(json));
        return command;
    }
    return fail(ErrorCode::no_support,
                "control: command '{}' is not known: status, carry-state, drop-state, take-state, "
                "state-taken and machine-arrived are",
                name);
}

std::string to_line(const Command& command) {
    Json json{{"cmd", std::string(name_of(command.kind))}};
    if (command.kind == CommandKind::take_state) {
        json["final"] = command.final;
        json["bytes"] = command.bytes;
    }
    return json.dump();
}

Result<std::variant<Event, Status>> parse_line(std::string_view line) {
    const Json json = TRY(parse_object(line));
    if (json.contains("error"))
        return fail(ErrorCode::operation_failed, "control: {}", text(json, "error"));
    if (json.contains("clients")) {
        Status status;
        status.migration = text(json, "migration");
        status.flooded_away = number(json, "flooded_away");
        if (const auto unlinked = json.find("unlinked"); unlinked != json.end())
            status.unlinked = unlinked_of(*unlinked);
        for_objects(json, "clients",
                    [&](const Json& client) { status.clients.push_back(client_of(client)); });
        for_objects(json, "displays",
                    [&](const Json& display) { status.displays.push_back(display_of(display)); });
        return status;
    }
    const std::string name = text(json, "event");
    for (const EventKind kind : kEvents) {
        if (name != name_of(kind)) continue;
        Event event;
        event.kind = kind;
        event.client = number(json, "client");
        event.linked = number(json, "linked");
        event.failed = number(json, "failed");
        event.channels = number(json, "channels");
        event.final = flag(json, "final");
        event.bytes = TRY(bytes_of(json));
        return event;
    }
    return fail(ErrorCode::protocol, "control: neither an event nor a status");
}

}  // namespace segue::spice::control
