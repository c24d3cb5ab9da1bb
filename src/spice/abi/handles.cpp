// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/abi/handles.h"

#include <algorithm>
#include <cstring>

namespace segue::spice::abi {
namespace {

void copy_address(const sockaddr_storage& from, socklen_t size, sockaddr_storage& extended,
                  socklen_t& extended_size, sockaddr& old, socklen_t& old_size) {
    extended = from;
    extended_size = size;
    old_size = std::min<socklen_t>(size, sizeof old);
    std::memcpy(&old, &from, old_size);
}

}  // namespace

void PeerEvents::peer_event(server::PeerEvent event, const server::PeerInfo& peer) {
    std::unique_ptr<SpiceChannelEventInfo>& info = infos_[&peer];
    if (!info) {
        if (event == server::PeerEvent::disconnected) {
            infos_.erase(&peer);
            return;
        }
        info = std::make_unique<SpiceChannelEventInfo>();
    }
    info->connection_id = static_cast<int>(peer.connection_id);
    info->type = peer.type;
    info->id = peer.id;
    info->flags = SPICE_CHANNEL_EVENT_FLAG_ADDR_EXT;
    if (peer.tls) info->flags |= SPICE_CHANNEL_EVENT_FLAG_TLS;
    copy_address(peer.local, peer.local_size, info->laddr_ext, info->llen_ext, info->laddr,
                 info->llen);
    copy_address(peer.remote, peer.remote_size, info->paddr_ext, info->plen_ext, info->paddr,
                 info->plen);
    if (core_.base.minor_version >= 3 && core_.channel_event != nullptr)
        core_.channel_event(static_cast<int>(event), info.get());
    if (event == server::PeerEvent::disconnected) infos_.erase(&peer);
}

}  // namespace segue::spice::abi
