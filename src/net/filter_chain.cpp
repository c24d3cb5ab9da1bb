// SPDX-License-Identifier: LGPL-2.1-or-later
#include "net/filter_chain.h"

namespace segue::net {

Result<> FilterChain::start(Bytes& to_peer) {
    TRY(outer_->start(to_peer));
    Bytes inner;
    TRY(inner_->start(inner));
    return outer_->send(inner, to_peer);
}

Result<> FilterChain::receive(ByteView from_peer, Bytes& plain, Bytes& to_peer) {
    Bytes middle;
    TRY(outer_->receive(from_peer, middle, to_peer));
    Bytes answer;
    const Result<> done = inner_->receive(middle, plain, answer);
    if (!answer.empty()) TRY(outer_->send(answer, to_peer));
    return done;
}

Result<> FilterChain::send(ByteView plain, Bytes& to_peer) {
    Bytes middle;
    TRY(inner_->send(plain, middle));
    return outer_->send(middle, to_peer);
}

void FilterChain::close(Bytes& to_peer) {
    Bytes middle;
    inner_->close(middle);
    if (const Result<> done = outer_->send(middle, to_peer); !done) return;
    outer_->close(to_peer);
}

}  // namespace segue::net
