// SPDX-License-Identifier: LGPL-2.1-or-later
// The surfaces of one display channel, by id; one of them may be the primary one, which is what the
// user sees. When the channel starts anew behind a migration, the shown picture stays until the new
// primary surface is complete, and of the same size.
#pragma once

#include <atomic>
#include <map>
#include <mutex>
#include <optional>

#include "spice/canvas/image.h"
#include "spice/wire/memory_budget.h"

namespace segue::spice::client {

// How many pixels the surfaces of all displays of one session may have together.
class SurfaceBudget {
  public:
    static constexpr std::int64_t kMaxPixels = std::int64_t{1} << 27;

    // `memory`: of the session, which has room for other things, too; none: no other bound.
    explicit SurfaceBudget(std::shared_ptr<wire::MemoryBudget> memory = nullptr)
        : memory_(std::move(memory)) {}

    // False: that is more than is left, and nothing was taken.
    bool take(std::int64_t pixels) {
        if (pixels_ + pixels > kMaxPixels) return false;
        if (memory_ && !memory_->take(bytes_of(pixels))) return false;
        pixels_ += pixels;
        return true;
    }
    void give_back(std::int64_t pixels) {
        pixels_ -= pixels;
        if (memory_) memory_->give_back(bytes_of(pixels));
    }

  private:
    static std::size_t bytes_of(std::int64_t pixels) {
        return static_cast<std::size_t>(pixels) * 4;
    }

    std::shared_ptr<wire::MemoryBudget> memory_;
    // One thread takes; a display that goes may give back on another.
    std::atomic<std::int64_t> pixels_ = 0;
};

// One thread draws. Others may look at what is shown, while they hold the store; the drawing thread
// holds it while it changes pixels, and not while it decodes.
class SurfaceStore {
  public:
    using Hold = std::unique_lock<std::recursive_mutex>;
    Hold hold() const { return Hold(mutex_); }

    static constexpr std::size_t kMaxSurfaces = 16384;

    explicit SurfaceStore(SurfaceBudget& budget) : budget_(budget) {}
    ~SurfaceStore() { budget_.give_back(pixels_ + pixels_of(kept_)); }
    SurfaceStore(const SurfaceStore&) = delete;
    SurfaceStore& operator=(const SurfaceStore&) = delete;

    // A surface may be created again, by a server that has taken over and was not told what the
    // client has: the primary one's pixels stay where it is as it was, another one is replaced.
    // Errors: protocol where the primary one would become another surface or the other way round,
    // limit_exceeded for too many or too large ones.
    Result<> create(std::uint32_t id, canvas::Format format, std::uint32_t width,
                    std::uint32_t height, bool primary);
    // Errors: protocol for an unknown id.
    Result<> destroy(std::uint32_t id);
    // To be drawn into, or from. Errors: protocol for an unknown id.
    Result<canvas::Image*> find(std::uint32_t id);
    // For its shape only: it may show a picture of somebody else's. Errors as of find().
    Result<canvas::Image*> find_shape(std::uint32_t id);
    // The picture, which is of the surface's shape, is what the surface shows: nothing is copied
    // until something else is drawn there. False: there is no room for it beside the surface's own
    // pixels, and nothing has changed. `id` is known.
    bool borrow(std::uint32_t id, canvas::SharedImage picture);
    // Its own pixels have been written, all of them. `id` is known.
    void show_own(std::uint32_t id);

    bool has_primary() const { return primary_.has_value(); }
    bool is_primary(std::uint32_t id) const { return primary_ && *primary_ == id; }

    // Destroys all. With `keep_picture` the shown picture stays until the next one of its size is
    // complete.
    void clear(bool keep_picture);

    // Something was drawn on the primary surface.
    void drawn(const canvas::Region& region);
    // No more waiting: what the primary surface has now is shown, of whatever size.
    void complete();
    bool is_waiting_for_picture() const { return !kept_.empty(); }

    // What the user is to see; null: nothing.
    const canvas::Image* shown() const;
    // What has changed of it since the last call.
    canvas::Region take_damage();

  private:
    struct Surface {
        canvas::Image own;
        canvas::SharedImage borrowed;  // null, or what is shown in place of `own`

        canvas::Rect bounds() const { return own.bounds(); }
        const canvas::Image& pixels() const { return borrowed ? *borrowed : own; }
    };
    void drop_borrowed(Surface& surface);
    // Its own pixels become those that it shows.
    void take_over_borrowed(Surface& surface);
    static std::int64_t pixels_of(const canvas::Image& image) {
        return std::int64_t{image.width()} * image.height();
    }
    void drop_kept();

    SurfaceBudget& budget_;
    mutable std::recursive_mutex mutex_;
    std::map<std::uint32_t, Surface> surfaces_;
    std::int64_t pixels_ = 0;
    std::optional<std::uint32_t> primary_;
    canvas::Image kept_;  // shown until `covered_` is the whole primary surface; counts as one
    canvas::Region covered_;
    canvas::Region damage_;
};

}  // namespace segue::spice::client
