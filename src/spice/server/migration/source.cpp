// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/migration/source.h"

#include <utility>

namespace segue::spice::server {
namespace {

using State = MigrationSource::State;
using Event = MigrationSource::Event;

constexpr int kStates = 6;
constexpr int kEvents = 10;

// Rows: states; columns: connect, start, answered, came, logged_in, settled, state_taken, timer,
// end, client_left. A late answer (in linked, and after the end) is heard; a timer that rings late
// is not.
constexpr bool kTable[kStates][kEvents] = {
    /* idle     */ {true, false, true, false, true, true, false, false, true, true},
    /* linking  */ {true, true, true, true, true, true, false, true, true, true},
    /* linked   */ {true, true, true, true, true, true, false, false, true, true},
    /* carrying */ {false, false, true, true, true, true, true, true, false, true},
    /* trailing */ {false, false, true, true, true, true, false, true, false, true},
    /* leaving  */ {false, false, true, false, true, true, false, true, false, true},
};

tl::unexpected<Error> refused(State state, Event event) {
    return fail(ErrorCode::operation_invalid, "migration of clients: '{}' while {}", name_of(event),
                name_of(state));
}

}  // namespace

std::string_view name_of(State state) {
    switch (state) {
        case State::idle: return "idle";
        case State::linking: return "linking";
        case State::linked: return "linked";
        case State::carrying: return "carrying";
        case State::trailing: return "trailing";
        case State::leaving: return "leaving";
    }
    return "unknown";
}

std::string_view name_of(Event event) {
    switch (event) {
        case Event::connect: return "connect";
        case Event::start: return "start";
        case Event::answered: return "answered";
        case Event::came: return "came";
        case Event::logged_in: return "logged in";
        case Event::settled: return "settled";
        case Event::state_taken: return "state taken";
        case Event::timer: return "timer";
        case Event::end: return "end";
        case Event::client_left: return "client left";
    }
    return "unknown";
}

bool MigrationSource::allows(State state, Event event) {
    return kTable[static_cast<int>(state)][static_cast<int>(event)];
}

Result<MigrationSource::Actions> MigrationSource::connect(const MigrationDestination& destination,
                                                          const std::vector<Candidate>& clients,
                                                          bool seamless_allowed) {
    if (!allows(state_, Event::connect)) return refused(state_, Event::connect);
    if (destination.host.empty() || (destination.port < 0 && destination.secure_port < 0)) {
        return fail(ErrorCode::invalid_argument,
                    "migration of clients: the destination '{}' needs a host and a port",
                    destination.host);
    }
    Actions actions;
    // An earlier destination is given up: whoever linked there is called back.
    for (const auto& [client, progress] : clients_) {
        if (was_told(progress)) actions.push_back(SendCancel{client});
    }
    if (state_ == State::linking) actions.push_back(StopTimer{});
    if (owes_connect_complete_) actions.push_back(ConnectComplete{});
    clients_.clear();
    started_ = false;
    gone_to_.reset();
    destination_ = destination;
    seamless_allowed_ = seamless_allowed;
    carry_ = Carry::none;
    owes_connect_complete_ = true;
    state_ = State::linking;
    for (const Candidate& client : clients) {
        if (client.arriving) {
            clients_[client.id] = Progress::arriving;
        } else {
            begin_linking(client.id, client.ability, actions);
        }
    }
    if (anyone_links()) {
        actions.push_back(StartTimer{kLinkTime});
    } else {
        finish_linking(actions);
    }
    return actions;
}

void MigrationSource::begin_linking(ClientId client, Ability ability, Actions& actions) {
    if (ability == Ability::switch_host) {
        clients_[client] = Progress::failed;
        return;
    }
    clients_[client] = Progress::linking;
    actions.push_back(SendBegin{client, seamless_allowed_ && ability == Ability::seamless});
}

Result<> MigrationSource::start() {
    if (!allows(state_, Event::start)) return refused(state_, Event::start);
    if (started_) {
        return fail(ErrorCode::operation_invalid,
                    "migration of clients: it has been started already");
    }
    started_ = true;
    return {};
}

MigrationSource::ClientsLinked MigrationSource::count_linked() const {
    std::size_t linked = 0;
    for (const auto& [client, progress] : clients_) {
        if (progress == Progress::semi_seamless || progress == Progress::seamless) ++linked;
    }
    return {linked, clients_.size() - linked};
}

void MigrationSource::finish_linking(Actions& actions) {
    state_ = State::linked;
    actions.push_back(count_linked());
    if (std::exchange(owes_connect_complete_, false)) actions.push_back(ConnectComplete{});
}

Result<MigrationSource::Actions> MigrationSource::answered(ClientId client, Answer answer) {
    Actions actions;
    const auto found = clients_.find(client);
    const bool expected = found != clients_.end() && found->second == Progress::linking;
    if (!expected) {
        // Nobody asked, or not any more: it must not sit between two servers.
        if (answer != Answer::failed && (found == clients_.end() || state_ == State::idle))
            actions.push_back(SendCancel{client});
        return actions;
    }
    found->second = answer == Answer::seamless        ? Progress::seamless
                    : answer == Answer::semi_seamless ? Progress::semi_seamless
                                                      : Progress::failed;
    if (state_ == State::linking && !anyone_links()) {
        actions.push_back(StopTimer{});
        finish_linking(actions);
    } else if (state_ == State::linked) {
        // Late, but the machine is still here: there may be somebody now whose state can go beside.
        actions.push_back(count_linked());
    } else if (state_ == State::carrying) {
        tell(client, false, actions);
    } else if (state_ == State::trailing) {
        tell(client, false, actions);
        leave_or_finish(actions);
    }
    return actions;
}

void MigrationSource::came(ClientId client) {
    if (allows(state_, Event::came)) clients_[client] = Progress::arriving;
}

// One that comes before the end follows as the others do, once it is here with all its channels.
// Later there is nobody else to tell it.
MigrationSource::Actions MigrationSource::logged_in(ClientId client) {
    Actions actions;
    if (state_ == State::linking || state_ == State::linked) {
        clients_[client] = Progress::arriving;
        return actions;
    }
    if (is_leaving()) clients_[client] = Progress::told;
    if (is_leaving() || (state_ == State::idle && gone_to_))
        actions.push_back(SendSwitchHost{client});
    return actions;
}

MigrationSource::Actions MigrationSource::settled(ClientId client, Ability ability) {
    Actions actions;
    const auto found = clients_.find(client);
    // It has been on its way here longer than the machine has stayed.
    if (found == clients_.end()) return logged_in(client);
    if (found->second != Progress::arriving) return actions;
    begin_linking(client, ability, actions);
    if (found->second != Progress::failed) return actions;
    // It can only be sent there, like one that answered so.
    found->second = Progress::linking;
    if (auto answer = answered(client, Answer::failed))
        actions.insert(actions.end(), answer->begin(), answer->end());
    return actions;
}

MigrationSource::Actions MigrationSource::state_taken() {
    Actions actions;
    if (!allows(state_, Event::state_taken)) return actions;
    carry_ = Carry::taken;
    actions.push_back(StopTimer{});
    tell_who_is_ready(actions);
    go_on(actions);
    return actions;
}

MigrationSource::Actions MigrationSource::timer(const std::set<ClientId>& silent,
                                                const std::set<ClientId>& woken) {
    Actions actions;
    if (!allows(state_, Event::timer)) return actions;
    if (state_ == State::linking) {
        // The embedder goes on; the clients may still answer before the machine has moved.
        finish_linking(actions);
        return actions;
    }
    if (state_ == State::carrying) {
        carry_ = Carry::none;
        tell_who_is_ready(actions);
        go_on(actions);
        return actions;
    }
    waited_ += state_ == State::trailing ? kTrailTime : kLeaveTime;
    if (waited_ < kSilentTime) were_silent_.insert(woken.begin(), woken.end());
    if (state_ == State::trailing) {
        end_trail(silent, actions);
    } else {
        end_leaving(silent, actions);
    }
    were_silent_ = silent;
    return actions;
}

// One that has just come to itself is given the time that the others had.
bool MigrationSource::may_take_longer(ClientId client, const std::set<ClientId>& silent) const {
    const bool is_silent = silent.count(client) != 0;
    const bool came_to_itself = !is_silent && were_silent_.count(client) != 0;
    return came_to_itself || (is_silent && waited_ < kSilentTime);
}

void MigrationSource::end_trail(const std::set<ClientId>& silent, Actions& actions) {
    for (auto& [client, progress] : clients_) {
        const bool links = progress == Progress::linking || progress == Progress::arriving;
        if (links && !may_take_longer(client, silent)) progress = Progress::failed;
    }
    tell_who_is_ready(actions);
    if (anyone_links()) {
        actions.push_back(StartTimer{kTrailTime});
    } else {
        leave_or_finish(actions);
    }
}

void MigrationSource::end_leaving(const std::set<ClientId>& silent, Actions& actions) {
    for (auto client = clients_.begin(); client != clients_.end();) {
        if (may_take_longer(client->first, silent)) {
            ++client;
            continue;
        }
        actions.push_back(Disconnect{client->first});
        client = clients_.erase(client);
    }
    if (clients_.empty()) {
        finish(actions);
    } else {
        actions.push_back(StartTimer{kLeaveTime});
    }
}

MigrationSource::Actions MigrationSource::end(bool moved, const std::vector<ClientId>& present,
                                              Carry carry) {
    Actions actions;
    if (!allows(state_, Event::end)) return actions;
    if (state_ == State::linking) actions.push_back(StopTimer{});
    if (std::exchange(owes_connect_complete_, false)) actions.push_back(ConnectComplete{});
    if (!moved) {
        for (const auto& [client, progress] : clients_) {
            if (was_told(progress)) actions.push_back(SendCancel{client});
        }
        clients_.clear();
        destination_.reset();
        started_ = false;
        state_ = State::idle;
        return actions;
    }
    if (!destination_) {
        // Nobody told the clients where to: the machine is gone, and so is their reason to stay.
        for (const ClientId client : present)
            actions.push_back(Disconnect{client});
        finish(actions);
        return actions;
    }
    std::map<ClientId, Progress> still_here;
    for (const ClientId client : present) {
        const auto found = clients_.find(client);
        still_here[client] = found == clients_.end() ? Progress::failed : found->second;
    }
    clients_ = std::move(still_here);
    carry_ = carry;
    waited_ = {};
    were_silent_.clear();
    tell_who_is_ready(actions);
    go_on(actions);
    return actions;
}

// Those whose answer is known, and whose state need not be waited for.
void MigrationSource::tell_who_is_ready(Actions& actions) {
    for (const auto& [client, progress] : clients_) {
        const bool waits = progress == Progress::seamless && carry_ == Carry::waiting;
        const bool links = progress == Progress::linking || progress == Progress::arriving;
        if (!waits && !links && progress != Progress::told)
            tell(client, carry_ == Carry::taken, actions);
    }
}

void MigrationSource::tell(ClientId client, bool carried, Actions& actions) {
    Progress& progress = clients_[client];
    switch (progress) {
        case Progress::seamless: actions.push_back(MigrateChannels{client, carried}); break;
        case Progress::semi_seamless: actions.push_back(SendEnd{client}); break;
        default: actions.push_back(SendSwitchHost{client}); break;
    }
    progress = Progress::told;
}

// After the end: what is still to be waited for.
void MigrationSource::go_on(Actions& actions) {
    if (carry_ == Carry::waiting && anyone(Progress::seamless)) {
        state_ = State::carrying;
        actions.push_back(StartTimer{kStateTime});
    } else if (anyone_links()) {
        state_ = State::trailing;
        actions.push_back(StartTimer{kTrailTime});
    } else {
        state_ = State::trailing;
        leave_or_finish(actions);
    }
}

// After the last client was told: wait until they have left.
void MigrationSource::leave_or_finish(Actions& actions) {
    if (anyone_links()) return;
    if (clients_.empty()) {
        if (state_ == State::trailing) actions.push_back(StopTimer{});
        finish(actions);
        return;
    }
    state_ = State::leaving;
    actions.push_back(StartTimer{kLeaveTime});
}

void MigrationSource::finish(Actions& actions) {
    state_ = State::idle;
    gone_to_ = std::exchange(destination_, std::nullopt);
    started_ = false;
    actions.push_back(EndComplete{});
}

// Its move had failed over there, and management has it go on here.
MigrationSource::Actions MigrationSource::machine_runs() {
    Actions actions;
    gone_to_.reset();
    if (!is_leaving()) return actions;
    actions.push_back(StopTimer{});
    for (const auto& [client, progress] : clients_) {
        if (progress == Progress::told) {
            actions.push_back(Disconnect{client});
        } else if (was_told(progress)) {
            actions.push_back(SendCancel{client});
        }
    }
    clients_.clear();
    finish(actions);
    gone_to_.reset();
    return actions;
}

MigrationSource::Actions MigrationSource::client_left(ClientId client) {
    Actions actions;
    if (clients_.erase(client) == 0) return actions;
    if (state_ == State::linking && !anyone_links()) {
        actions.push_back(StopTimer{});
        finish_linking(actions);
    } else if (state_ == State::carrying && !anyone(Progress::seamless)) {
        actions.push_back(StopTimer{});
        go_on(actions);
    } else if (state_ == State::trailing) {
        leave_or_finish(actions);
    } else if (state_ == State::leaving && clients_.empty()) {
        actions.push_back(StopTimer{});
        finish(actions);
    }
    return actions;
}

bool MigrationSource::anyone(Progress progress) const {
    for (const auto& [client, own] : clients_) {
        if (own == progress) return true;
    }
    return false;
}

// It knows of the destination, and may be linked there.
bool MigrationSource::was_told(Progress progress) {
    return progress != Progress::failed && progress != Progress::arriving;
}

bool MigrationSource::anyone_links() const {
    return anyone(Progress::linking) || anyone(Progress::arriving);
}

bool MigrationSource::awaits(ClientId client) const {
    const auto found = clients_.find(client);
    return found != clients_.end() && found->second == Progress::arriving;
}

bool MigrationSource::follows_seamlessly(ClientId client) const {
    const auto found = clients_.find(client);
    return found != clients_.end() && found->second == Progress::seamless;
}

bool MigrationSource::has_linked(ClientId client) const {
    const auto found = clients_.find(client);
    return found != clients_.end() &&
           (found->second == Progress::semi_seamless || found->second == Progress::seamless);
}

}  // namespace segue::spice::server
