// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sim/sim_link.h"

namespace segue::sim {

void SimLink::start(Handlers handlers) {
    handlers_ = std::move(handlers);
    connection_->attach(end_, {[this](const Bytes& bytes) {
                                   held_.insert(held_.end(), bytes.begin(), bytes.end());
                                   take_held();
                               },
                               [this] { closed(); }});
}

// The handler may destroy this link.
void SimLink::take_held() {
    if (!reading_ || held_.empty()) return;
    const Bytes bytes = std::exchange(held_, {});
    const auto heard = handlers_.on_input;
    if (heard) heard(bytes);
}

void SimLink::set_reading(bool reading) {
    reading_ = reading;
    if (reading) {
        loop_.post([this, weak = std::weak_ptr(lifeline_)] {
            if (weak.lock()) take_held();
        });
    }
}

void SimLink::closed() {
    const auto told = std::exchange(handlers_, Handlers{}).on_closed;
    if (told) told({ErrorCode::connection_lost, "end of file"});
}

// The network keeps the order: the end arrives behind what was sent.
void SimLink::close_after_output() {
    connection_->close(end_);
    loop_.post([this, weak = std::weak_ptr(lifeline_)] {
        if (weak.lock()) closed();
    });
}

void SimLink::close() {
    handlers_ = {};
    connection_->close(end_);
}

rpc::PeerInfo SimLink::peer() const {
    rpc::PeerInfo info;
    info.address = "party " + std::to_string(connection_->party(1 - end_));
    info.is_local = true;
    return info;
}

}  // namespace segue::sim
