// SPDX-License-Identifier: LGPL-2.1-or-later
// What stands behind the opaque pointers of the C headers.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "spice/abi/core_loop.h"
#include "spice/abi/spice_headers.h"
#include "spice/server/server.h"

namespace segue::spice::abi {

// Tells the embedder about connections. It keeps the pointer of an event's info from INITIALIZED to
// DISCONNECTED: each peer has one for life.
class PeerEvents final : public server::HostEvents {
  public:
    explicit PeerEvents(const SpiceCoreInterface& core) : core_(core) {}
    void peer_event(server::PeerEvent event, const server::PeerInfo& peer) override;

  private:
    const SpiceCoreInterface& core_;
    std::map<const server::PeerInfo*, std::unique_ptr<SpiceChannelEventInfo>> infos_;
};

}  // namespace segue::spice::abi

struct RedsState {
    std::unique_ptr<segue::spice::abi::CoreLoop> loop;
    std::unique_ptr<segue::spice::abi::PeerEvents> events;
    // What the attached instances' `st` point to. Some kinds cannot be removed: theirs go with us.
    std::map<void*, std::shared_ptr<void>> attached;
    // Last: the first to go.
    segue::spice::server::Server server;
};

struct QXLState {
    SpiceServer* owner = nullptr;
    segue::spice::server::Display* display = nullptr;
};

struct SpiceKbdState {
    SpiceServer* owner = nullptr;
};
struct SpiceMouseState {
    SpiceServer* owner = nullptr;
};
struct SpiceTabletState {
    SpiceServer* owner = nullptr;
};
struct SpiceMigrateState {
    SpiceServer* owner = nullptr;
};
struct SpiceCharDeviceState {
    SpiceServer* owner = nullptr;
    segue::spice::server::DeviceHandle* handle = nullptr;
};
struct SpicePlaybackState {
    SpiceServer* owner = nullptr;
    segue::spice::server::Playback* device = nullptr;
};
struct SpiceRecordState {
    SpiceServer* owner = nullptr;
    segue::spice::server::Record* device = nullptr;
};
