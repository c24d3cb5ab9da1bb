// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/chardev/char_devices.h"

#include <algorithm>

#include "base/log.h"
#include "spice/server/smartcard/smartcard_channel.h"
#include "spice/server/vmc/vmc_channel.h"

namespace segue::spice::server {

using wire::ChannelType;

namespace {

// Of one device. What is more goes through the clients only.
constexpr std::size_t kMostPortState = std::size_t{1} << 20;

constexpr ChannelKey kAgent{ChannelType::main, 0};

ChannelKey key_of(const SmartcardReader& reader) {
    return {ChannelType::smartcard, static_cast<std::uint8_t>(reader.id())};
}

template <class State>
void add_state(CharDevices::PortStates& states, ChannelKey key, const State& state) {
    Bytes bytes = wire::encode(0, state).body();
    if (bytes.size() <= kMostPortState) states[key] = std::move(bytes);
}

// What stands there; as of a device without anything where that is not told, or not readable.
template <class State>
State state_of(const CharDevices::PortStates& states, ChannelKey key) {
    const auto found = states.find(key);
    if (found == states.end()) return {};
    auto state = wire::parse<State>(wire::SharedBytes::copy(found->second));
    if (state) return std::move(*state);
    log_warning("spice", "the port of {}: {}", name_of(key), state.error().message);
    return {};
}

}  // namespace

class CharDevices::AgentHandle final : public DeviceHandle {
  public:
    explicit AgentHandle(Agent& agent) : agent_(agent) {}
    void wakeup() override { agent_.wakeup(); }
    void port_event(std::uint8_t) override {}

  private:
    Agent& agent_;
};

CharDevices::CharDevices(Loop& loop, Hooks hooks)
    : loop_(loop),
      hooks_(std::move(hooks)),
      agent_(loop, hooks_.agent),
      agent_handle_(std::make_unique<AgentHandle>(agent_)) {}

CharDevices::~CharDevices() = default;

Result<DeviceHandle*> CharDevices::add(std::unique_ptr<CharDevice> device) {
    const std::string subtype = device->subtype();
    if (subtype == "vdagent") {
        TRY(agent_.attach(std::move(device)));
        return agent_handle_.get();
    }
    if (subtype == "smartcard") return add_reader(std::move(device));
    if (subtype == "usbredir") return add_vmc(ChannelType::usbredir, std::move(device));
    if (subtype == "port" && device->port_name() == StreamDevice::kPortName)
        return add_stream(std::move(device));
    if (subtype == "port") {
        const bool webdav = device->port_name() == "org.spice-space.webdav.0";
        return add_vmc(webdav ? ChannelType::webdav : ChannelType::port, std::move(device));
    }
    return fail(ErrorCode::no_support, "character devices of type '{}' are not known", subtype);
}

// The number of a channel is the lowest free one, as stock counts them: both sides of a migration
// must name a device alike.
Result<DeviceHandle*> CharDevices::add_vmc(ChannelType type, std::unique_ptr<CharDevice> device) {
    ChannelKey key{type, 0};
    while (find(key) != nullptr)
        ++key.id;
    if (key.id >= kMostOfType) {
        return fail(ErrorCode::limit_exceeded, "more than {} devices of type '{}'", kMostOfType,
                    device->subtype());
    }
    vmc_.push_back(std::make_unique<VmcDevice>(key, std::move(device), loop_));
    VmcDevice* added = vmc_.back().get();
    added->set_running(running_);
    hooks_.on_channel_added(key);
    return added;
}

Result<DeviceHandle*> CharDevices::add_reader(std::unique_ptr<CharDevice> device) {
    if (readers_.size() >= kMostReaders)
        return fail(ErrorCode::limit_exceeded, "more than {} smartcard readers", kMostReaders);
    std::uint32_t id = 0;
    while (std::any_of(readers_.begin(), readers_.end(),
                       [&](const auto& reader) { return reader->id() == id; }))
        ++id;
    readers_.push_back(std::make_unique<SmartcardReader>(id, std::move(device), loop_));
    SmartcardReader* added = readers_.back().get();
    added->set_running(running_);
    // One channel for all readers.
    if (readers_.size() == 1) hooks_.on_channel_added({ChannelType::smartcard, 0});
    return added;
}

Result<DeviceHandle*> CharDevices::add_stream(std::unique_ptr<CharDevice> device) {
    if (streams_.size() >= kMostOfType)
        return fail(ErrorCode::limit_exceeded, "more than {} streaming agents", kMostOfType);
    StreamDevice::Hooks hooks;
    hooks.find_id = [this] { return free_display_id(); };
    hooks.on_first_open = [this](std::uint8_t id) {
        hooks_.on_channel_added({ChannelType::display, id});
        hooks_.on_channel_added({ChannelType::cursor, id});
    };
    hooks.on_origin = [this] { agent_.graphics_devices_changed(); };
    hooks.media_time = hooks_.media_time;
    streams_.push_back(std::make_unique<StreamDevice>(std::move(device), loop_, std::move(hooks)));
    streams_.back()->set_running(running_);
    return streams_.back().get();
}

std::optional<std::uint8_t> CharDevices::free_display_id() {
    std::uint8_t id = 0;
    while (hooks_.is_display(id) || find_stream(id) != nullptr) {
        if (++id >= kMostOfType) return std::nullopt;
    }
    return id;
}

StreamDevice* CharDevices::find_stream(std::uint8_t id) {
    for (const auto& stream : streams_) {
        if (stream->id() == id) return stream.get();
    }
    return nullptr;
}

void CharDevices::remove(DeviceHandle* handle) {
    if (handle == agent_handle_.get()) return agent_.detach();
    const auto vmc = std::find_if(vmc_.begin(), vmc_.end(),
                                  [&](const auto& device) { return device.get() == handle; });
    if (vmc != vmc_.end()) {
        const ChannelKey key = (*vmc)->key();
        const std::unique_ptr<VmcDevice> leaving = std::move(*vmc);
        vmc_.erase(vmc);
        return hooks_.on_channel_gone(key);
    }
    const auto stream = std::find_if(streams_.begin(), streams_.end(),
                                     [&](const auto& device) { return device.get() == handle; });
    if (stream != streams_.end()) {
        const std::unique_ptr<StreamDevice> leaving = std::move(*stream);
        streams_.erase(stream);
        if (!leaving->id()) return;
        hooks_.on_channel_gone({ChannelType::display, *leaving->id()});
        return hooks_.on_channel_gone({ChannelType::cursor, *leaving->id()});
    }
    const auto reader = std::find_if(readers_.begin(), readers_.end(),
                                     [&](const auto& device) { return device.get() == handle; });
    if (reader == readers_.end()) return;
    const std::unique_ptr<SmartcardReader> leaving = std::move(*reader);
    readers_.erase(reader);
    if (readers_.empty()) hooks_.on_channel_gone({ChannelType::smartcard, 0});
}

void CharDevices::set_running(bool running) {
    running_ = running;
    agent_.set_running(running);
    // A device that starts may take itself away.
    std::vector<VmcDevice*> devices;
    for (const auto& device : vmc_)
        devices.push_back(device.get());
    for (VmcDevice* device : devices) {
        if (std::any_of(vmc_.begin(), vmc_.end(),
                        [&](const auto& own) { return own.get() == device; }))
            device->set_running(running);
    }
    for (std::size_t index = 0; index < readers_.size(); ++index)
        readers_[index]->set_running(running);
    for (std::size_t index = 0; index < streams_.size(); ++index)
        streams_[index]->set_running(running);
}

CharDevices::PortStates CharDevices::port_states() const {
    PortStates states;
    if (const auto agent = agent_.port_state()) add_state(states, kAgent, *agent);
    for (const auto& reader : readers_)
        add_state(states, key_of(*reader), reader->capture());
    for (const auto& device : vmc_) {
        if (!device->is_in_use()) continue;
        wire::migration::SpiceVmc state;
        state.device = device->capture();
        add_state(states, device->key(), state);
    }
    return states;
}

void CharDevices::expect_port_states() {
    agent_.expect_port_state();
    for (const auto& reader : readers_)
        reader->expect_state();
}

void CharDevices::take_port_states(const PortStates& states, bool somebody_comes) {
    for (const auto& device : vmc_) {
        if (states.count(device->key()) != 0)
            device->take_state(state_of<wire::migration::SpiceVmc>(states, device->key()).device);
    }
    for (const auto& reader : readers_) {
        reader->take_state(state_of<wire::migration::Smartcard>(states, key_of(*reader)),
                           somebody_comes);
    }
    agent_.take_port_state(state_of<wire::migration::Main>(states, kAgent));
}

void CharDevices::list_channels(std::vector<ChannelKey>& keys) const {
    for (const auto& device : vmc_)
        keys.push_back(device->key());
    if (!readers_.empty()) keys.push_back({ChannelType::smartcard, 0});
    for (const auto& stream : streams_) {
        if (!stream->id()) continue;
        keys.push_back({ChannelType::display, *stream->id()});
        keys.push_back({ChannelType::cursor, *stream->id()});
    }
}

VmcDevice* CharDevices::find(ChannelKey key) {
    for (const auto& device : vmc_) {
        if (device->key() == key) return device.get();
    }
    return nullptr;
}

std::unique_ptr<Channel> CharDevices::make_channel(const ChannelSetup& setup, ChannelOutput& output,
                                                   bool is_remote) {
    if (setup.key.type == ChannelType::smartcard) {
        return std::make_unique<SmartcardChannel>(setup, output, [this]() -> SmartcardReader* {
            for (const auto& reader : readers_) {
                if (!reader->is_in_use()) return reader.get();
            }
            return nullptr;
        });
    }
    if (setup.key.type == ChannelType::display || setup.key.type == ChannelType::cursor) {
        StreamDevice* stream = find_stream(setup.key.id);
        return stream == nullptr ? nullptr : stream->make_channel(setup, output);
    }
    VmcDevice* device = find(setup.key);
    if (device == nullptr || device->is_in_use()) return nullptr;
    const bool compress =
        is_remote && setup.client_caps.has(wire::spicevmc::Capability::data_compress_lz4);
    return std::make_unique<VmcChannel>(setup, output, *device, compress);
}

}  // namespace segue::spice::server
