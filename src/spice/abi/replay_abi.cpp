// SPDX-License-Identifier: LGPL-2.1-or-later
// spice_replay_*: feeds a display device what another one was given, from a recording.
#include <map>
#include <mutex>

#include "base/log.h"
#include "spice/abi/guard.h"
#include "spice/abi/handles.h"
#include "spice/server/replay/recording.h"

using segue::log_warning;
using segue::spice::abi::guarded;
using segue::spice::abi::guarded_value;
namespace server = segue::spice::server;

// Commands are given back on the worker's thread while the next are read on the embedder's.
struct SpiceReplay {
    std::FILE* file = nullptr;
    std::unique_ptr<server::Recording> recording;
    std::unique_ptr<std::uint8_t[]> primary_pixels;
    bool has_primary = false;
    std::mutex mutex;
    std::map<const QXLCommandExt*, std::unique_ptr<server::RecordedCommand>> given;
};

namespace {

void destroy_primary(SpiceReplay& replay, QXLInstance* instance) {
    if (!std::exchange(replay.has_primary, false)) return;
    spice_qxl_destroy_primary_surface(instance, 0);
    replay.primary_pixels.reset();
}

void create_primary(SpiceReplay& replay, QXLInstance* instance, server::RecordedPrimary recorded) {
    destroy_primary(replay, instance);
    QXLDevSurfaceCreate surface{};
    surface.width = recorded.surface.width;
    surface.height = recorded.surface.height;
    surface.stride = recorded.surface.stride;
    surface.format = recorded.surface.format;
    surface.mouse_mode = recorded.surface.mouse_mode ? 1 : 0;
    surface.flags = recorded.surface.keep_data ? QXL_SURF_FLAG_KEEP_DATA : 0;
    surface.mem = recorded.surface.memory;
    replay.primary_pixels = std::move(recorded.pixels);
    replay.has_primary = true;
    spice_qxl_create_primary_surface(instance, 0, &surface);
}

// Does what the step asks; a command is what the caller waits for.
QXLCommandExt* perform(SpiceReplay& replay, QXLInstance* instance, server::RecordedStep step) {
    if (auto* command = std::get_if<std::unique_ptr<server::RecordedCommand>>(&step)) {
        QXLCommandExt* const given = &(*command)->command;
        const std::lock_guard lock(replay.mutex);
        replay.given.emplace(given, std::move(*command));
        return given;
    }
    if (auto* primary = std::get_if<server::RecordedPrimary>(&step)) {
        create_primary(replay, instance, std::move(*primary));
    } else if (std::holds_alternative<server::RecordedDestroyPrimary>(step)) {
        destroy_primary(replay, instance);
    } else if (std::holds_alternative<server::RecordedDestroySurfaces>(step)) {
        spice_qxl_destroy_surfaces(instance);
        replay.has_primary = false;
        replay.primary_pixels.reset();
    }
    return nullptr;
}

}  // namespace

extern "C" {

// Takes the file over when it succeeds. Surfaces keep the ids that they were recorded with: one
// that the device has no place for is refused like a guest's.
SpiceReplay* spice_replay_new(FILE* file, int nsurfaces) {
    if (file == nullptr || nsurfaces <= 0) return nullptr;
    return guarded_value<SpiceReplay*>("replay_new", nullptr, [&]() -> SpiceReplay* {
        auto recording = server::Recording::open(file);
        if (!recording) {
            log_warning("spice", "{}", recording.error().message);
            return nullptr;
        }
        auto replay = std::make_unique<SpiceReplay>();
        replay->file = file;
        replay->recording = std::move(*recording);
        return replay.release();
    });
}

// Not on the worker's thread: the device's calls in the recording wait for the worker.
QXLCommandExt* spice_replay_next_cmd(SpiceReplay* replay, QXLInstance* instance) {
    if (replay == nullptr) return nullptr;
    return guarded_value<QXLCommandExt*>("replay_next_cmd", nullptr, [&]() -> QXLCommandExt* {
        while (!replay->recording->at_end()) {
            auto step = replay->recording->next();
            if (!step) {
                log_warning("spice", "{}", step.error().message);
                return nullptr;
            }
            if (QXLCommandExt* command = perform(*replay, instance, std::move(*step)))
                return command;
        }
        return nullptr;
    });
}

void spice_replay_free_cmd(SpiceReplay* replay, QXLCommandExt* cmd) {
    if (replay == nullptr) return;
    guarded("replay_free_cmd", [&] {
        const std::lock_guard lock(replay->mutex);
        replay->given.erase(cmd);
    });
}

void spice_replay_free(SpiceReplay* replay) {
    if (replay == nullptr) return;
    guarded("replay_free", [&] {
        std::fclose(replay->file);
        delete replay;
    });
}

}  // extern "C"
