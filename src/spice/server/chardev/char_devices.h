// SPDX-License-Identifier: LGPL-2.1-or-later
// All character devices of the machine, by what they are: the agent's port, smartcard readers, USB
// redirection, named ports, streaming agents. Home thread, or the embedder's lock held.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "spice/server/agent/agent.h"
#include "spice/server/channel.h"
#include "spice/server/smartcard/reader.h"
#include "spice/server/stream/stream_device.h"
#include "spice/server/vmc/vmc_device.h"

namespace segue::spice::server {

class CharDevices {
  public:
    // Of each kind; a channel's number is a byte.
    static constexpr std::size_t kMostOfType = 64;
    static constexpr std::size_t kMostReaders = 10;

    struct Hooks {
        Agent::Hooks agent;
        // A channel can be linked from now on.
        std::function<void(ChannelKey)> on_channel_added;
        // Whether a display device has the channels of this number.
        std::function<bool(std::uint8_t)> is_display;
        std::function<std::uint32_t()> media_time;
        // Its connections are to be closed, once nothing of them is on the stack.
        std::function<void(ChannelKey)> on_channel_gone;
    };
    CharDevices(Loop& loop, Hooks hooks);
    ~CharDevices();

    // The handle is good until remove().
    Result<DeviceHandle*> add(std::unique_ptr<CharDevice> device);
    void remove(DeviceHandle* handle);

    void set_running(bool running);
    void list_channels(std::vector<ChannelKey>& keys) const;
    // Null: no such channel, or another client has its device.
    std::unique_ptr<Channel> make_channel(const ChannelSetup& setup, ChannelOutput& output,
                                          bool is_remote);
    // Of no client: what stands in the ports of the agent (`main`), the readers (by their number)
    // and the others while the machine stands still; and the way back, in place of all that a
    // client does not bring.
    using PortStates = std::map<ChannelKey, Bytes>;
    PortStates port_states() const;
    void expect_port_states();
    // `somebody_comes`: not all clients of the machine are here yet.
    void take_port_states(const PortStates& states, bool somebody_comes);
    Agent& agent() { return agent_; }
    // The streaming agent whose display and cursor channels have this number, or null.
    StreamDevice* find_stream(std::uint8_t id);
    const std::vector<std::unique_ptr<StreamDevice>>& streams() const { return streams_; }

  private:
    class AgentHandle;

    Result<DeviceHandle*> add_vmc(wire::ChannelType type, std::unique_ptr<CharDevice> device);
    Result<DeviceHandle*> add_stream(std::unique_ptr<CharDevice> device);
    std::optional<std::uint8_t> free_display_id();
    Result<DeviceHandle*> add_reader(std::unique_ptr<CharDevice> device);
    VmcDevice* find(ChannelKey key);

    Loop& loop_;
    Hooks hooks_;
    bool running_ = false;
    Agent agent_;
    std::unique_ptr<DeviceHandle> agent_handle_;
    std::vector<std::unique_ptr<VmcDevice>> vmc_;
    std::vector<std::unique_ptr<SmartcardReader>> readers_;
    std::vector<std::unique_ptr<StreamDevice>> streams_;
};

}  // namespace segue::spice::server
