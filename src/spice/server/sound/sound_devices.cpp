// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/sound/sound_devices.h"

#include <algorithm>

namespace segue::spice::server {
namespace {

using wire::ChannelType;

template <class Device>
Result<std::uint8_t> free_id(const std::vector<std::unique_ptr<Device>>& devices) {
    if (devices.size() >= SoundDevices::kMostOfType) {
        return fail(ErrorCode::limit_exceeded, "more than {} sound devices of a kind",
                    SoundDevices::kMostOfType);
    }
    std::uint8_t id = 0;
    while (std::any_of(devices.begin(), devices.end(),
                       [&](const auto& device) { return device->id() == id; }))
        ++id;
    return id;
}

// The channel's key, or nothing if the device is not there.
template <class Device>
std::optional<std::uint8_t> take_out(std::vector<std::unique_ptr<Device>>& devices,
                                     Device* device) {
    const auto found = std::find_if(devices.begin(), devices.end(),
                                    [&](const auto& own) { return own.get() == device; });
    if (found == devices.end()) return std::nullopt;
    const std::uint8_t id = device->id();
    devices.erase(found);
    return id;
}

template <class Device>
Device* find(const std::vector<std::unique_ptr<Device>>& devices, std::uint8_t id) {
    for (const auto& device : devices) {
        if (device->id() == id) return device.get();
    }
    return nullptr;
}

}  // namespace

Result<Playback*> SoundDevices::add_playback() {
    const std::uint8_t id = TRY(free_id(playbacks_));
    playbacks_.push_back(std::make_unique<Playback>(id, hooks_.media_time));
    Playback* added = playbacks_.back().get();
    hooks_.on_channel_added({ChannelType::playback, id});
    return added;
}

Result<Record*> SoundDevices::add_record() {
    const std::uint8_t id = TRY(free_id(records_));
    records_.push_back(std::make_unique<Record>(id));
    Record* added = records_.back().get();
    hooks_.on_channel_added({ChannelType::record, id});
    return added;
}

void SoundDevices::remove(Playback* device) {
    if (const auto id = take_out(playbacks_, device))
        hooks_.on_channel_gone({ChannelType::playback, *id});
}

void SoundDevices::remove(Record* device) {
    if (const auto id = take_out(records_, device))
        hooks_.on_channel_gone({ChannelType::record, *id});
}

void SoundDevices::list_channels(std::vector<ChannelKey>& keys) const {
    for (const auto& device : playbacks_)
        keys.push_back({ChannelType::playback, device->id()});
    for (const auto& device : records_)
        keys.push_back({ChannelType::record, device->id()});
}

std::unique_ptr<Channel> SoundDevices::make_channel(const ChannelSetup& setup,
                                                    ChannelOutput& output, bool compress) {
    if (setup.key.type == ChannelType::playback) {
        if (Playback* device = find(playbacks_, setup.key.id))
            return std::make_unique<PlaybackChannel>(setup, output, *device, compress);
    } else if (setup.key.type == ChannelType::record) {
        if (Record* device = find(records_, setup.key.id))
            return std::make_unique<RecordChannel>(setup, output, *device);
    }
    return nullptr;
}

}  // namespace segue::spice::server
