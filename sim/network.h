// SPDX-License-Identifier: LGPL-2.1-or-later
// Connections between simulated parties: ordered and reliable until they are cut, each message late
// by its own chance, so that connections overtake each other.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <set>

#include "base/bytes.h"
#include "sim/world.h"

namespace segue::sim {

class Connection : public std::enable_shared_from_this<Connection> {
  public:
    struct Handlers {
        std::function<void(const Bytes&)> on_bytes;
        std::function<void()> on_closed;
    };

    Connection(World& world, int id, std::array<int, 2> parties)
        : world_(world), id_(id), parties_(parties) {}

    int id() const { return id_; }
    bool open() const { return open_; }
    int party(int end) const { return parties_[end]; }
    void attach(int end, Handlers handlers) { handlers_[end] = std::move(handlers); }

    void send(int end, Bytes bytes);
    // This end is done: it hears nothing more; the other hears of it behind what was sent.
    void close(int end);
    // A cable is cut: each end hears of it after a keepalive of its own.
    void cut();

  private:
    void deliver_closed(int end, Duration delay);

    World& world_;
    int id_;
    std::array<int, 2> parties_;
    std::array<Handlers, 2> handlers_;
    std::array<Instant, 2> last_arrival_{};
    std::array<bool, 2> told_{};
    std::array<bool, 2> lost_{};
    bool open_ = true;
};

// Who can reach whom, and what is open now.
class Network {
  public:
    explicit Network(World& world) : world_(world) {}

    // Null when the parties cannot reach each other. Clients have negative numbers.
    std::shared_ptr<Connection> connect(int from, int to);
    void partition(int one, int other, Duration lasting);
    bool reachable(int one, int other) const;
    // A random open connection, to be cut.
    std::shared_ptr<Connection> any_open();

  private:
    World& world_;
    int next_id_ = 0;
    std::vector<std::weak_ptr<Connection>> all_;
    std::multiset<std::pair<int, int>> parted_;
};

}  // namespace segue::sim
