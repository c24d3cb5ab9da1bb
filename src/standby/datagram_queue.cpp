// SPDX-License-Identifier: LGPL-2.1-or-later
#include "standby/datagram_queue.h"

#include <sys/socket.h>

#include <cerrno>

namespace segue::standby {

DatagramQueue::Outcome DatagramQueue::try_send(int socket, const net::SocketAddress* to,
                                               ByteView frame) {
    const ssize_t sent =
        ::sendto(socket, frame.data(), frame.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
                 to != nullptr ? to->get() : nullptr, to != nullptr ? to->size : 0);
    if (sent >= 0) return Outcome::sent;
    return errno == EAGAIN || errno == EWOULDBLOCK ? Outcome::full : Outcome::refused;
}

void DatagramQueue::send(int socket, const net::SocketAddress* to,
                         const FrameGate::Frames& frames) {
    flush(socket, to);
    BigReader in(frames.bytes);
    while (in.remaining() > 0) {
        const ByteView frame = in.bytes(in.u32());
        const Outcome outcome = is_waiting() ? Outcome::full : try_send(socket, to, frame);
        if (outcome == Outcome::sent) continue;
        if (outcome == Outcome::refused || frame.size() > max_bytes_ - bytes_) {
            dropped_ += 1;
            continue;
        }
        bytes_ += frame.size();
        waiting_.emplace_back(frame.begin(), frame.end());
    }
}

void DatagramQueue::flush(int socket, const net::SocketAddress* to) {
    while (is_waiting()) {
        const Outcome outcome = try_send(socket, to, waiting_.front());
        if (outcome == Outcome::full) return;
        if (outcome == Outcome::refused) dropped_ += 1;
        bytes_ -= waiting_.front().size();
        waiting_.pop_front();
    }
}

}  // namespace segue::standby
