// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/replay/recording.h"

#include "spice/server/replay/recorded_command.h"

namespace segue::spice::server {
namespace {

constexpr std::int64_t kVersion = 1;

// "event N WHAT TYPE TIME": what it is, and the stock library's internal numbers of the calls that
// a replay repeats.
enum What { kCommand = 0, kCall = 1 };
enum Call {
    kDestroySurfaces = 19,
    kCreatePrimary = 20,
    kDestroyPrimary = 21,
    kDestroySurfacesAsync = 28,
    kCreatePrimaryAsync = 29,
    kDestroyPrimaryAsync = 30,
};

RecordedPrimary read_primary(RecordingReader& reader) {
    RecordedPrimary made;
    PrimarySurface& surface = made.surface;
    surface.width = static_cast<std::uint32_t>(reader.number());
    surface.height = static_cast<std::uint32_t>(reader.number());
    surface.stride = static_cast<std::int32_t>(reader.number());
    surface.format = static_cast<std::uint32_t>(reader.number());
    reader.number();  // position: of no meaning
    surface.mouse_mode = reader.number() != 0;
    surface.keep_data = (reader.number() & QXL_SURF_FLAG_KEEP_DATA) != 0;
    reader.number();  // type
    const Bytes pixels = reader.binary("data");
    const auto line = static_cast<std::uint64_t>(std::abs(std::int64_t{surface.stride}));
    if (!reader.failed() && line * surface.height > pixels.size())
        reader.fail_with("a primary surface with too few pixels");
    if (reader.failed()) return made;
    made.pixels = std::make_unique<std::uint8_t[]>(pixels.size());
    std::copy(pixels.begin(), pixels.end(), made.pixels.get());
    surface.memory = reinterpret_cast<std::uintptr_t>(made.pixels.get());
    return made;
}

RecordedStep read_call(RecordingReader& reader, std::int64_t call) {
    switch (call) {
        case kCreatePrimary:
        case kCreatePrimaryAsync: return read_primary(reader);
        case kDestroyPrimary:
        case kDestroyPrimaryAsync: return RecordedDestroyPrimary{};
        case kDestroySurfaces:
        case kDestroySurfacesAsync: return RecordedDestroySurfaces{};
        default: return RecordedNothing{};
    }
}

}  // namespace

Result<std::unique_ptr<Recording>> Recording::open(std::FILE* file) {
    std::unique_ptr<Recording> recording(new Recording(file));
    const std::int64_t version = recording->reader_.field("SPICE_REPLAY");
    if (recording->reader_.failed())
        return fail(ErrorCode::protocol, "this is no recording of a SPICE display");
    if (version != kVersion) {
        return fail(ErrorCode::protocol, "a recording of version {}, only {} is known", version,
                    kVersion);
    }
    return recording;
}

Result<RecordedStep> Recording::next() {
    reader_.expect("event");
    reader_.number();  // it counts the events
    const std::int64_t what = reader_.number();
    const std::int64_t type = reader_.number();
    reader_.number();  // nanoseconds
    RecordedStep step;
    if (what == kCommand) {
        step = read_command(reader_, static_cast<std::uint32_t>(type));
    } else if (what == kCall) {
        step = read_call(reader_, type);
    } else {
        reader_.fail_with(fmt::format("an event of kind {}", what));
    }
    if (reader_.failed()) return tl::make_unexpected(*reader_.error());
    return step;
}

}  // namespace segue::spice::server
