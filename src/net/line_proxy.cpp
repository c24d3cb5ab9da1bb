// SPDX-License-Identifier: LGPL-2.1-or-later
#include "net/line_proxy.h"

#include <algorithm>

namespace segue::net {
namespace {

constexpr Duration kConnectTimeout = 10s;

}  // namespace

// One way through the line: from `source` to `sink`.
struct LineProxy::Direction {
    LineFilter filter;
    Connection* source = nullptr;
    Connection* sink = nullptr;
    std::unique_ptr<Timer> timer;
    bool source_ended = false;

    // The end of the source's stream was handed on, and nothing waits to be written.
    bool is_over() const { return source_ended && sink == nullptr; }
    void push(Instant now, ByteView bytes) {
        filter.push(now, bytes);
        update(now);
    }
    // Moves what is due, and comes back when the next part is.
    void update(Instant now) {
        const Bytes arrived = filter.pop(now);
        if (!arrived.empty() && sink != nullptr) sink->send_copy(arrived);
        if (source != nullptr) source->set_reading(filter.waiting() < kWindow);
        if (const auto due = filter.next_due()) {
            timer->start(std::max(Duration(0), *due - now));
        } else if (source_ended && filter.waiting() == 0 && sink != nullptr) {
            sink->end_output();
            sink = nullptr;
        }
    }
};

struct LineProxy::Pair {
    LineProxy* owner;
    Direction there;  // client to target
    Direction back;
    std::unique_ptr<Connection> client;
    std::unique_ptr<Connection> target;
    std::unique_ptr<Connector> connector;
    bool removed = false;
    bool finishing = false;  // both streams ended: what is queued still leaves

    explicit Pair(LineProxy* proxy) : owner(proxy) {
        there.timer = owner->loop_.make_timer([this] { update(there); });
        back.timer = owner->loop_.make_timer([this] { update(back); });
        set_quality(owner->quality_);
    }
    void set_quality(const LineQuality& quality) {
        there.filter.set_quality(quality);
        back.filter.set_quality(quality);
    }
    void update(Direction& direction) {
        direction.update(owner->loop_.now());
        if (direction.filter.is_cut()) return owner->remove(this);
        if (!there.is_over() || !back.is_over() || finishing) return;
        finishing = true;
        client->close_after_output();
        target->close_after_output();
    }
    Connection::Handlers handlers(Direction& direction) {
        Connection::Handlers made;
        made.on_input = [this, &direction](ByteView bytes) {
            direction.push(owner->loop_.now(), bytes);
            if (direction.filter.is_cut()) owner->remove(this);
        };
        made.on_closed = [this](const Error&) {
            const bool other_still_writes =
                finishing && !(client->is_closed() && target->is_closed());
            if (!other_still_writes) owner->remove(this);
        };
        made.on_end_of_input = [this, &direction] {
            direction.source_ended = true;
            update(direction);
        };
        return made;
    }
    void connected(Descriptor descriptor) {
        connector.reset();
        target = std::make_unique<Connection>(owner->loop_, std::move(descriptor), handlers(back));
        there.source = back.sink = client.get();
        there.sink = back.source = target.get();
        client->start();
        target->start();
    }
};

LineProxy::LineProxy(Loop& loop, Address target) : loop_(loop), target_(std::move(target)) {}

Result<std::unique_ptr<LineProxy>> LineProxy::make(Loop& loop, const Address& listen,
                                                   const Address& target) {
    std::unique_ptr<LineProxy> proxy(new LineProxy(loop, target));
    proxy->listener_ = TRY(Listener::make(
        loop, listen, {}, [raw = proxy.get()](Descriptor descriptor, const SocketAddress&) {
            raw->accept(std::move(descriptor));
        }));
    return proxy;
}

LineProxy::~LineProxy() {
    *alive_ = false;
}

void LineProxy::accept(Descriptor descriptor) {
    Pair* const pair = pairs_.emplace_back(std::make_unique<Pair>(this)).get();
    pair->client =
        std::make_unique<Connection>(loop_, std::move(descriptor), pair->handlers(pair->there));
    pair->connector = std::make_unique<Connector>(loop_, resolver_, target_, kConnectTimeout,
                                                  [this, pair](Result<Descriptor> connected) {
                                                      if (!connected) return remove(pair);
                                                      pair->connected(std::move(*connected));
                                                  });
}

// Called from callbacks of the pair itself: it goes away after they have returned.
void LineProxy::remove(Pair* pair) {
    if (std::exchange(pair->removed, true)) return;
    if (pair->client) pair->client->close();
    if (pair->target) pair->target->close();
    pair->there.timer->cancel();
    pair->back.timer->cancel();
    loop_.post([this, alive = alive_, pair] {
        if (!*alive) return;
        const auto found = std::find_if(pairs_.begin(), pairs_.end(),
                                        [pair](const auto& one) { return one.get() == pair; });
        if (found == pairs_.end()) return;
        passed_before_ += pair->there.filter.passed() + pair->back.filter.passed();
        pairs_.erase(found);
    });
}

void LineProxy::set_quality(const LineQuality& quality) {
    quality_ = quality;
    for (const auto& pair : pairs_) {
        pair->set_quality(quality);
        if (!pair->target) continue;
        pair->update(pair->there);
        pair->update(pair->back);
    }
}

void LineProxy::cut() {
    for (const auto& pair : pairs_)
        remove(pair.get());
}

std::uint64_t LineProxy::bytes_passed() const {
    std::uint64_t total = passed_before_;
    for (const auto& pair : pairs_)
        total += pair->there.filter.passed() + pair->back.filter.passed();
    return total;
}

}  // namespace segue::net
