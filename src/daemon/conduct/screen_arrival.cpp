// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/conduct/screen_arrival.h"

namespace segue {

namespace control = spice::control;

ScreenArrival::ScreenArrival(Loop& loop, net::Resolver& resolver, const std::string& control,
                             Handlers handlers)
    : handlers_(std::move(handlers)),
      library_(loop, resolver, control,
               SpiceLine::Handlers{.connected = [this] { handlers_.carries(); },
                                   .event =
                                       [this](const control::Event& event, const Bytes&) {
                                           if (event.kind == control::EventKind::state_taken)
                                               handlers_.taken(event.final);
                                       },
                                   .lost = {}}) {}

Result<> ScreenArrival::piece(const migrate::ScreenPiece& piece) {
    if (state_.size() + piece.data.size() > control::kMostBytes) {
        return fail(ErrorCode::limit_exceeded, "the state of the screen has more than {} bytes",
                    control::kMostBytes);
    }
    state_.insert(state_.end(), piece.data.begin(), piece.data.end());
    if (piece.more) return {};
    library_.give_state(piece.last, std::exchange(state_, {}));
    return {};
}

}  // namespace segue
