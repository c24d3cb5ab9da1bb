// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sim/handover/server.h"

#include <fmt/format.h>

#include <algorithm>

namespace segue::sim::handover {

using spice::server::CarriedKey;
using spice::server::CarriedMessage;
using spice::server::CarriedParts;
using spice::server::MigrationSource;
using spice::server::MigrationTarget;
using spice::server::StateSender;
using spice::wire::ChannelType;

namespace {

// SPICE_MIGRATE_NEED_FLUSH and _NEED_DATA_TRANSFER.
constexpr std::uint32_t kFlush = 1, kData = 2;

}  // namespace

Server::Server(Timeline& time, Random& random, int number, Events events)
    : time_(time),
      random_(random),
      number_(number),
      events_(std::move(events)),
      timer_(time, [this] { perform(source_.timer()); }),
      patience_(time, [this] { patience_over(); }) {}

CarriedKey Server::key_of(const Client& client, int channel) const {
    return {client.session, {static_cast<ChannelType>(channel + 1), 0}, {}};
}

Server::Client* Server::find(ClientId id) {
    const auto found = clients_.find(id);
    return found == clients_.end() ? nullptr : &found->second;
}

spice::server::ClientId Server::client_of(std::uint32_t session) const {
    for (const auto& [id, client] : clients_) {
        if (client.session == session) return id;
    }
    return 0;
}

std::vector<spice::server::ClientId> Server::present() const {
    std::vector<ClientId> ids;
    for (const auto& [id, client] : clients_)
        ids.push_back(id);
    return ids;
}

// --- The embedder -------------------------------------------------------------------------------

void Server::connect(int destination) {
    if (!alive_) return;
    std::vector<Source::Candidate> candidates;
    for (const auto& [id, client] : clients_) {
        const bool arriving = client.target ? client.target->state() != Target::State::settled
                                            : client.channels.size() < kChannels;
        candidates.push_back({id, Source::Ability::seamless, arriving});
    }
    auto actions = source_.connect({fmt::format("{}", destination), 1, -1, ""}, candidates,
                                   random_.below(4) != 0);
    if (!actions) return;
    ++connects;
    destination_ = destination;
    perform(*actions);
}

void Server::start() {
    [[maybe_unused]] const auto started = source_.start();
}

void Server::end(bool moved) {
    if (!alive_) return;
    if (moved && Source::allows(source_.state(), Source::Event::end)) ++ends;
    const auto step = sender_.step();
    const auto carry = step == StateSender::Step::last_told ? Source::Carry::waiting
                       : step == StateSender::Step::taken   ? Source::Carry::taken
                                                            : Source::Carry::none;
    if (!moved) sender_.drop();
    perform(source_.end(moved, present(), carry));
}

void Server::vm_start() {
    runs_ = true;
    perform(source_.machine_runs());
    if (sender_.step() != StateSender::Step::told) sender_.drop();
    patience_.start(kStatePatience);
}

void Server::vm_stop() {
    runs_ = false;
    if (alive_ && sender_.step() == StateSender::Step::told)
        events_.state(sender_.finish().with(collect()));
}

void Server::die() {
    alive_ = false;
    timer_.stop();
    patience_.stop();
    for (auto& [id, client] : clients_) {
        for (auto& [number, channel] : client.channels)
            channel.line->close(true);
        for (const LinePointer& line : client.parked)
            line->close(true);
    }
    clients_.clear();
    sessions_.clear();
}

// --- State beside the clients -------------------------------------------------------------------

CarriedParts Server::collect() {
    CarriedParts parts;
    carried_.clear();
    for (const auto& [id, client] : clients_) {
        if (!source_.follows_seamlessly(id)) continue;
        const auto display = client.channels.find(kDisplay);
        if (display == client.channels.end() || !display->second.whole) continue;
        parts[key_of(client, kDisplay)] = {static_cast<std::uint8_t>(random_.below(3))};
        carried_.insert(id);
    }
    return parts;
}

void Server::carry_state() {
    const Source::State state = source_.state();
    if (!alive_ || (state != Source::State::linking && state != Source::State::linked)) return;
    if (sender_.step() == StateSender::Step::told)
        return events_.state(sender_.begin_again(collect()));
    if (sender_.step() == StateSender::Step::idle) events_.state(sender_.begin(collect(), {}));
}

void Server::take_state(const CarriedMessage& message,
                        const std::function<void(bool last)>& taken) {
    if (!alive_) return;
    const auto read = spice::server::read_carried(spice::server::write_carried(message));
    const auto complete = keeper_.take(*read);
    if (!complete) return;
    taken(*complete);
    if (!*complete) return;
    // The home thread hears of it when it has time.
    time_.after(Duration{random_.below(60) * 1ms}, [this] {
        arrived_ = keeper_.parts();
        for (const ClientId id : present())
            give_state(id);
    });
}

void Server::state_taken() {
    if (alive_ && sender_.taken()) perform(source_.state_taken());
}

void Server::give_state(ClientId id) {
    Client& client = clients_.at(id);
    const auto display = client.channels.find(kDisplay);
    const auto part = arrived_.find(key_of(client, kDisplay));
    if (display == client.channels.end() || part == arrived_.end()) return;
    arrived_.erase(part);
    Channel& channel = display->second;
    if (!channel.expects || channel.whole) return;
    channel.whole = true;
    ++restored_beside;
}

void Server::patience_over() {
    for (auto& [id, client] : clients_) {
        const auto display = client.channels.find(kDisplay);
        if (display != client.channels.end()) display->second.whole = true;
    }
}

// --- Links --------------------------------------------------------------------------------------

void Server::accept(const LinePointer& line) {
    // Refused, when the caller has said who is to hear of it.
    if (!alive_) return time_.after(Duration{1ms}, [line] { line->cut(); });
    line->at_server.hear = [this, weak = std::weak_ptr<Line>(line)](const Message& message) {
        if (const auto heard = weak.lock(); heard && alive_) hear(heard, message);
    };
    line->at_server.lost = [this, weak = std::weak_ptr<Line>(line)] {
        if (const auto heard = weak.lock(); heard && alive_) line_lost(heard);
    };
}

// The I/O thread answers; the home thread hears of it later, and not at the same pace.
void Server::link(const LinePointer& line, std::uint32_t session) {
    const bool fresh = session == 0;
    if (line->channel == kMain) {
        if (fresh) session = static_cast<std::uint32_t>(number_ * 1000 + random_.below(900)) + 1;
        sessions_.insert(session);
    } else if (sessions_.count(session) == 0) {
        line->send(false, {Say::refused});
        return line->close(true);
    } else {
        told_.emplace(session, line->number);
    }
    line->send(false, {Say::linked, session});
    const auto most = static_cast<std::uint64_t>(to_ms(busy));
    const Duration late =
        line->channel == kMain && most < 1000 ? Duration{} : Duration{random_.below(most) * 1ms};
    time_.after(late, [this, line, session, fresh] {
        if (alive_) arrive(line, session, fresh);
    });
}

// The home thread reads the connection now, and hears at once of an end that it has had before.

void Server::arrive(const LinePointer& line, std::uint32_t session, bool fresh) {
    if (line->channel == kMain) {
        main_arrives(line, session, fresh);
    } else {
        channel_arrives(line, session);
    }
    if (line->is_lost_at_server) line_lost(line);
}

void Server::channel_arrives(const LinePointer& line, std::uint32_t session) {
    const ClientId id = client_of(session);
    if (id == 0 && sessions_.count(session) != 0) {  // behind its main channel
        return time_.after(10ms, [this, line, session] {
            if (alive_) arrive(line, session, false);
        });
    }
    told_.erase({session, line->number});
    if (id == 0) return line->close(true);
    Client& client = clients_.at(id);
    if (!client.target) return connect_channel(id, line, false);
    const bool overtaken =
        client.overtaken.erase(line->number) != 0 && mistake != Mistake::forget_overtaken;
    const auto actions = client.target->channel_linked(client.parked.size(), overtaken);
    if (!actions) return line->close(true);
    if (const auto* connecting = std::get_if<Target::Connect>(&actions->front()))
        return connect_channel(id, line, connecting->expects_data);
    client.parked.push_back(line);
}

void Server::main_arrives(const LinePointer& line, std::uint32_t session, bool fresh) {
    for (const auto& [id, other] : clients_) {
        if (other.channels.at(kMain).line->number <= line->number) continue;
        end_session(session);
        return line->close(true);
    }
    while (!clients_.empty())
        remove(clients_.begin()->first);
    const ClientId id = ++last_client_;
    Client& client = clients_[id];
    client.session = session;
    Channel& channel = client.channels[kMain];
    channel.line = line;
    if (!fresh) {  // it has a session elsewhere
        client.target.emplace();
        source_.came(id);
        channel.expects = true;
    } else {
        channel.whole = true;
        line->send(false, {Say::init});
        if (mistake != Mistake::silent_behind) perform(source_.logged_in(id));
    }
    for (const Message& message : std::exchange(line->unread, {}))
        hear(line, message);
}

void Server::connect_channel(ClientId id, const LinePointer& line, bool expects) {
    Channel& channel = clients_.at(id).channels[line->channel];
    if (channel.line && channel.line->number > line->number && mistake != Mistake::older_replaces)
        return line->close(true);
    if (channel.line) channel.line->close(true);
    channel = {line, expects, !expects || line->channel == kCursor, false, false};
    if (!expects) ++started_anew;
    if (expects) give_state(id);
    // The machine runs here already: the display waits for so long and no longer.
    if (expects && runs_) patience_.start(kStatePatience);
    see_login(id);
    for (const Message& message : std::exchange(line->unread, {}))
        hear(line, message);
}

// One that logs in is told where the machine goes when it has linked all that it is to link.
void Server::see_login(ClientId id) {
    const Client& client = clients_.at(id);
    if (client.target || client.channels.size() < kChannels || !source_.awaits(id)) return;
    perform(source_.settled(id, Source::Ability::seamless));
}

void Server::end_session(std::uint32_t session) {
    const auto found = sessions_.find(session);
    if (found != sessions_.end()) sessions_.erase(found);
}

void Server::line_lost(const LinePointer& line) {
    line->is_lost_at_server = true;
    for (auto& [id, client] : clients_) {
        std::erase(client.parked, line);
        for (auto& [number, channel] : client.channels) {
            if (channel.line != line) continue;
            if (number == kMain) return remove(id);
            client.channels.erase(number);
            return;
        }
    }
}

void Server::remove(ClientId id) {
    const auto found = clients_.find(id);
    if (found == clients_.end()) return;
    end_session(found->second.session);
    const Client client = std::move(found->second);
    clients_.erase(found);
    for (const auto& [number, channel] : client.channels)
        channel.line->close(true);
    for (const LinePointer& line : client.parked)
        line->close(true);
    perform(source_.client_left(id));
}

// --- Messages -----------------------------------------------------------------------------------

void Server::hear(const LinePointer& line, const Message& message) {
    if (message.say == Say::link) return link(line, message.number);
    for (auto& [id, client] : clients_) {
        for (auto& [number, channel] : client.channels) {
            if (channel.line != line) continue;
            if (message.say == Say::data) return data_came(id, channel);
            if (message.say == Say::flush) {
                if (!channel.flushing) return events_.wrong("a flush mark nobody asked for");
                channel.flushing = false;
                return line->send(false, {Say::data});
            }
            if (number == kMain) hear_main(id, message);
            return;
        }
    }
    // Parked, or still on its way to the home thread.
    line->unread.push_back(message);
}

void Server::data_came(ClientId id, Channel& channel) {
    if (!channel.expects) {
        return events_.wrong(fmt::format("channel {} of a client got state that was not expected",
                                         channel.line->channel));
    }
    channel.expects = false;
    if (!channel.whole) ++restored_through;
    channel.whole = true;
    if (channel.line->channel != kMain) return;
    Client& client = clients_.at(id);
    if (const auto actions = client.target->state_came()) perform(id, *actions);
    for (const auto& [session, told] : told_) {
        if (session == client.session) client.overtaken.insert(told);
    }
}

void Server::hear_main(ClientId id, const Message& message) {
    const auto answer = [&](Source::Answer said) {
        if (clients_.at(id).barriers != 0 && mistake != Mistake::crossed_answer) return;
        clients_.at(id).awaits_answer = false;
        if (const auto actions = source_.answered(id, said)) perform(*actions);
    };
    Client& client = clients_.at(id);
    switch (message.say) {
        case Say::pong: --client.barriers; return;
        case Say::connected: return answer(Source::Answer::semi_seamless);
        case Say::connected_seamless: return answer(Source::Answer::seamless);
        case Say::connect_error: return answer(Source::Answer::failed);
        case Say::do_seamless:
            if (!client.target) return remove(id);
            if (const auto actions = client.target->do_seamless(message.number))
                return perform(id, *actions);
            return remove(id);
        case Say::migrate_end:
            if (!client.target) return remove(id);
            if (const auto actions = client.target->migrate_end()) return perform(id, *actions);
            return remove(id);
        default: return;
    }
}

// --- What the tables want -----------------------------------------------------------------------

void Server::perform(ClientId id, const Target::Actions& actions) {
    for (const Target::Action& action : actions) {
        Client* client = find(id);
        if (client == nullptr) return;
        const LinePointer line = client->channels.at(kMain).line;
        if (const auto* parked = std::get_if<Target::ConnectParked>(&action)) {
            for (const LinePointer& waiting : std::exchange(client->parked, {}))
                connect_channel(id, waiting, parked->expects_data);
        } else if (std::holds_alternative<Target::SendAck>(action)) {
            line->send(false, {Say::ack});
        } else if (std::holds_alternative<Target::SendNack>(action)) {
            line->send(false, {Say::nack});
        } else if (std::holds_alternative<Target::SendInit>(action)) {
            client->channels.at(kMain).expects = false;
            client->channels.at(kMain).whole = true;
            line->send(false, {Say::init});
        } else if (std::holds_alternative<Target::Settled>(action)) {
            perform(source_.settled(id, Source::Ability::seamless));
        }
    }
}

void Server::migrate_channels(ClientId id, bool carried) {
    Client& client = clients_.at(id);
    if (carried) ++carried_moves;
    for (auto& [number, channel] : client.channels) {
        const std::uint32_t flags = number == kCursor          ? 0
                                    : number != kDisplay       ? kFlush | kData
                                    : carried && channel.whole ? 0
                                    : channel.whole            ? kData
                                                               : kFlush | kData;
        channel.flushing = (flags & kFlush) != 0;
        channel.gone = true;
        channel.line->send(false, {Say::migrate, flags});
        if (flags == kData) channel.line->send(false, {Say::data});
    }
}

void Server::perform(const Source::Actions& actions) {
    const auto say = [&](ClientId id, Say what) {
        if (Client* client = find(id)) {
            client->channels.at(kMain).line->send(false,
                                                  {what, static_cast<std::uint32_t>(destination_)});
        }
    };
    for (const Source::Action& action : actions) {
        if (const auto* begin = std::get_if<Source::SendBegin>(&action)) {
            say(begin->client, begin->seamless ? Say::begin_seamless : Say::begin);
            if (Client* client = find(begin->client)) client->awaits_answer = true;
        } else if (const auto* cancel = std::get_if<Source::SendCancel>(&action)) {
            say(cancel->client, Say::cancel);
            Client* client = find(cancel->client);
            if (client == nullptr || !std::exchange(client->awaits_answer, false)) continue;
            ++client->barriers;
            say(cancel->client, Say::ping);
        } else if (const auto* end = std::get_if<Source::SendEnd>(&action)) {
            say(end->client, Say::end);
        } else if (const auto* elsewhere = std::get_if<Source::SendSwitchHost>(&action)) {
            say(elsewhere->client, Say::switch_host);
        } else if (const auto* migrate = std::get_if<Source::MigrateChannels>(&action)) {
            if (find(migrate->client) == nullptr) continue;
            migrate_channels(migrate->client,
                             migrate->carried && carried_.count(migrate->client) != 0);
        } else if (const auto* disconnect = std::get_if<Source::Disconnect>(&action)) {
            time_.after(Duration{}, [this, id = disconnect->client] { remove(id); });
        } else if (const auto* timer = std::get_if<Source::StartTimer>(&action)) {
            timer_.start(timer->delay);
        } else if (std::holds_alternative<Source::StopTimer>(action)) {
            timer_.stop();
        } else if (std::holds_alternative<Source::ConnectComplete>(action)) {
            ++connect_completions;
        } else if (std::holds_alternative<Source::ClientsLinked>(action)) {
            if (events_.clients_linked) events_.clients_linked();
        } else if (std::holds_alternative<Source::EndComplete>(action)) {
            ++end_completions;
        }
    }
}

// --- The end of a run ---------------------------------------------------------------------------

std::size_t Server::parked() const {
    std::size_t count = 0;
    for (const auto& [id, client] : clients_)
        count += client.parked.size();
    return count;
}

bool Server::serves_whole() const {
    if (clients_.size() != 1) return false;
    const Client& client = clients_.begin()->second;
    if (client.target && client.target->state() != Target::State::settled) return false;
    return client.channels.size() == kChannels &&
           std::all_of(client.channels.begin(), client.channels.end(),
                       [](const auto& entry) { return entry.second.whole; });
}

std::string Server::describe() const {
    std::string text = fmt::format("server {}: {} clients, {} parked, source {}", number_,
                                   clients_.size(), parked(), name_of(source_.state()));
    for (const auto& [id, client] : clients_) {
        text +=
            fmt::format("; client {} session {}{}:", id, client.session,
                        client.target ? " " + std::string(name_of(client.target->state())) : "");
        for (const auto& [number, channel] : client.channels) {
            text += fmt::format(" {}{}{}", number, channel.whole ? " whole" : "",
                                channel.expects ? " expects" : "");
        }
    }
    return text;
}

}  // namespace segue::sim::handover
