// SPDX-License-Identifier: LGPL-2.1-or-later
// One display channel between two threads: messages go in on the loop's thread, pictures are made
// on the drawing thread, and news come back to the loop, gathered while the loop is busy.
#pragma once

#include <functional>
#include <mutex>

#include "base/loop.h"
#include "spice/client/display/drawing_thread.h"
#include "spice/client/display/renderer.h"

namespace segue::spice::client {

// What has happened since the last news.
struct DisplayNews {
    std::size_t messages = 0;  // handled
    std::size_t bytes = 0;
    canvas::Region damage;         // of what is shown
    std::uint64_t generation = 0;  // of the last message that was handled; see Painter::enqueue
    std::int32_t width = 0;        // of what is shown; 0: nothing
    std::int32_t height = 0;
    bool waiting_for_picture = false;
    bool has_primary = false;
    std::optional<std::vector<wire::display::Head>> heads;
    std::string_view codec;      // of the last picture
    std::optional<Error> error;  // final: nothing is drawn any more until reset()
};

class Painter : public std::enable_shared_from_this<Painter> {
  public:
    using OnNews = std::function<void(DisplayNews)>;

    static std::shared_ptr<Painter> make(Loop& loop, DrawingQueue& queue,
                                         std::shared_ptr<SharedCaches> shared, OnNews on_news);

    // Loop's thread. `generation` comes back with the news: it tells which server drew something.
    void enqueue(std::uint16_t number, wire::SharedBytes body, std::uint64_t generation);
    // The channel starts anew; errors of before are forgotten.
    void reset(bool keep_picture);
    // What has been drawn of the new picture is shown without waiting for the rest.
    void complete_picture();
    // No news come any more.
    void stop() { on_news_ = nullptr; }

    // Looks at what is shown (null: nothing), while nothing is drawn: that may take until a canvas
    // operation is over, but waits for no decoder.
    void look(const std::function<void(const canvas::Image*)>& action);

  private:
    static constexpr std::size_t kMaxDeferredBytes = std::size_t{64} << 20;

    Painter(Loop& loop, DrawingQueue& queue, std::shared_ptr<SharedCaches> shared, OnNews on_news);
    // A message on the drawing thread.
    struct Message {
        std::uint16_t number = 0;
        wire::SharedBytes body;
        std::uint64_t generation = 0;
    };
    void draw(Message message);
    // False: it has to wait for a picture of another display.
    bool try_draw(const Message& message);
    void draw_deferred();
    // Lets displays go on whose pictures have come since that many were decoded.
    void wake_waiting(std::uint64_t decoded_before);
    void forget_deferred();
    // News for the loop; `handled`: a message that is done with, null if there is none.
    void gather(const Message* handled, const Result<>& result);
    void deliver();

    Loop& loop_;
    DrawingQueue& queue_;
    OnNews on_news_;    // loop's thread
    std::mutex mutex_;  // guards the next two; never held while decoding
    DisplayNews news_;
    bool news_posted_ = false;
    // The drawing thread's.
    std::shared_ptr<SharedCaches> shared_;
    Renderer renderer_;
    std::uint64_t generation_ = 0;  // of the last message
    bool broken_ = false;
    std::deque<Message> deferred_;
    std::size_t deferred_bytes_ = 0;
};

}  // namespace segue::spice::client
