// SPDX-License-Identifier: LGPL-2.1-or-later
// When a video frame is shown, and what the server is told about it. While sound is heard, frames
// wait for its clock, so that lips and voice agree; without sound each frame is shown as it comes.
// No I/O and no clock: the media time is an argument.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "spice/wire/display.schema.h"

namespace segue::spice::client {

class StreamPacer {
  public:
    struct Frame {
        std::uint16_t number = 0;  // of the message
        wire::SharedBytes body;
        std::uint64_t generation = 0;
    };

    // Frames that wait are bounded: the oldest is shown when there is one more.
    static constexpr std::size_t kMaxWaiting = 64;
    // A frame that is due in more than this belongs to another clock: it is shown at once.
    static constexpr std::int32_t kMaxAheadMs = 5000;

    void create(std::uint32_t stream);
    void destroy(std::uint32_t stream);
    void clear();
    // The server asks for reports on a stream.
    void ask(const wire::display::StreamActivateReport& request);

    // Takes a frame. Unknown streams are let through: the renderer names the error.
    void add(std::uint32_t stream, std::uint32_t frame_time, Frame frame, std::uint32_t media_time,
             bool paced);
    // The frames to show now, in order. What is late and has a successor that is due is dropped.
    std::vector<Frame> take_due(std::uint32_t media_time, bool paced);
    // Of the frames that wait.
    std::size_t waiting_bytes() const { return waiting_bytes_; }
    // Milliseconds until the next frame is due; nothing when none waits.
    std::optional<std::uint32_t> next_due_ms(std::uint32_t media_time) const;
    // Reports that are due. `audio_delay`: ms until what arrives now is heard, or kNoSound.
    std::vector<wire::display::StreamReport> take_reports(std::uint32_t media_time,
                                                          std::uint32_t audio_delay);
    static constexpr std::uint32_t kNoSound = 0xffffffff;

  private:
    struct Waiting {
        std::uint32_t time = 0;
        Frame frame;
    };
    struct Report {
        std::uint32_t unique_id = 0;
        std::uint32_t window = 0;   // frames
        std::uint32_t timeout = 0;  // milliseconds
        std::uint32_t started = 0;  // media time when the window began
        std::uint32_t first_time = 0;
        std::uint32_t last_time = 0;
        std::uint32_t frames = 0;
        std::uint32_t drops = 0;
        std::int32_t last_delay = 0;
    };
    struct Stream {
        std::deque<Waiting> waiting;
        std::optional<Report> report;
    };

    Frame take_first(Stream& stream);

    std::map<std::uint32_t, Stream> streams_;
    std::size_t waiting_bytes_ = 0;
    std::vector<Frame> ready_;
};

}  // namespace segue::spice::client
