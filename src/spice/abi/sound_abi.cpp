// SPDX-License-Identifier: LGPL-2.1-or-later
// spice_server_playback_* and spice_server_record_*. A rate that is asked for without an instance
// is that of a device yet to be made.
#include "spice/abi/guard.h"
#include "spice/abi/handles.h"

using segue::spice::abi::guarded;
using segue::spice::server::Playback;
using segue::spice::server::Record;
using segue::spice::server::SoundFrame;

namespace {

template <class Instance, class Body>
void with_device(const char* where, Instance* instance, const Body& body) noexcept {
    guarded(where, [&] {
        if (instance != nullptr && instance->st != nullptr) body(*instance->st->device);
    });
}

}  // namespace

extern "C" {

void spice_server_playback_start(SpicePlaybackInstance* sin) {
    with_device("playback_start", sin, [](Playback& device) { device.start(); });
}

void spice_server_playback_stop(SpicePlaybackInstance* sin) {
    with_device("playback_stop", sin, [](Playback& device) { device.stop(); });
}

void spice_server_playback_get_buffer(SpicePlaybackInstance* sin, uint32_t** samples,
                                      uint32_t* num_samples) {
    *samples = nullptr;
    *num_samples = 0;
    with_device("playback_get_buffer", sin, [&](Playback& device) {
        const std::span<SoundFrame> buffer = device.get_buffer();
        if (buffer.empty()) return;
        *samples = buffer.data();
        *num_samples = static_cast<uint32_t>(buffer.size());
    });
}

void spice_server_playback_put_samples(SpicePlaybackInstance* sin, uint32_t* samples) {
    with_device("playback_put_samples", sin,
                [&](Playback& device) { device.put_samples(samples); });
}

void spice_server_playback_set_volume(SpicePlaybackInstance* sin, uint8_t nchannels,
                                      uint16_t* volume) {
    with_device("playback_set_volume", sin, [&](Playback& device) {
        device.set_volume({volume, nchannels});
    });
}

void spice_server_playback_set_mute(SpicePlaybackInstance* sin, uint8_t mute) {
    with_device("playback_set_mute", sin, [&](Playback& device) { device.set_mute(mute != 0); });
}

uint32_t spice_server_get_best_playback_rate(SpicePlaybackInstance*) {
    return Playback::kBestRate;
}

void spice_server_set_playback_rate(SpicePlaybackInstance* sin, uint32_t frequency) {
    with_device("set_playback_rate", sin, [&](Playback& device) { device.set_rate(frequency); });
}

void spice_server_record_start(SpiceRecordInstance* sin) {
    with_device("record_start", sin, [](Record& device) { device.start(); });
}

void spice_server_record_stop(SpiceRecordInstance* sin) {
    with_device("record_stop", sin, [](Record& device) { device.stop(); });
}

uint32_t spice_server_record_get_samples(SpiceRecordInstance* sin, uint32_t* samples,
                                         uint32_t bufsize) {
    uint32_t count = 0;
    with_device("record_get_samples", sin, [&](Record& device) {
        count = static_cast<uint32_t>(device.get_samples({samples, bufsize}));
    });
    return count;
}

void spice_server_record_set_volume(SpiceRecordInstance* sin, uint8_t nchannels, uint16_t* volume) {
    with_device("record_set_volume", sin, [&](Record& device) {
        device.set_volume({volume, nchannels});
    });
}

void spice_server_record_set_mute(SpiceRecordInstance* sin, uint8_t mute) {
    with_device("record_set_mute", sin, [&](Record& device) { device.set_mute(mute != 0); });
}

uint32_t spice_server_get_best_record_rate(SpiceRecordInstance*) {
    return Record::kBestRate;
}

void spice_server_set_record_rate(SpiceRecordInstance* sin, uint32_t frequency) {
    with_device("set_record_rate", sin, [&](Record& device) { device.set_rate(frequency); });
}

}  // extern "C"
