// SPDX-License-Identifier: LGPL-2.1-or-later
// SPICE's GLZ: LZ whose matches may also reach into pictures sent before, as long as they are
// inside a window that both ends keep. Image type GLZ_RGB, and inside zlib ZLIB_GLZ_RGB.
//
// Server: one dictionary for each (client, dictionary id), shared by the client's display channels.
//   GlzDictionary dictionary(window_pixels);
//   TRY(dictionary.encode(picture, nullptr, out));          // appends; picture ids count up
//
// Client: one window, shared by the display channels.
//   GlzWindow window(max_pixels);
//   GlzDecoded decoded = TRY(window.decode(data));
//   if (!decoded.picture) …            // try again when picture `decoded.waits_for` was decoded
//
// Stream: 33 bytes of header, big endian; then control bytes. c < 32: c + 1 literals follow. Else a
// match: c = length:3 far:1 distance:4; [more length bytes while 255]; distance bits 4-11; then
// near: count:2 image:6 and `count` further bytes of image distance; far: count:2 long:1
// distance:5, `count` bytes of image distance, and with `long` one byte of distance more. Image
// distance 0 is this picture (distance back, biased by one), else the distance is an offset in that
// older picture.
#pragma once

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "spice/codec/glz_rows.h"
#include "spice/codec/lz.h"

namespace segue::spice::codec {

inline constexpr std::size_t kGlzHeaderSize = 33;

struct GlzHeader {
    LzType type = LzType::rgb32;  // rgb16, rgb24, rgb32 or rgba; servers send no others
    std::uint32_t width = 0;
    std::uint32_t height = 0;
    bool top_down = true;
    std::uint64_t id = 0;
    // The oldest picture that this or a later one may refer to is id - head_distance.
    std::uint32_t head_distance = 0;

    // rgb24 comes out as bgrx32.
    PixelFormat format() const;
    std::size_t pixels() const { return std::size_t{width} * height; }
};

Result<GlzHeader> glz_read_header(ByteView data);

// Safe from several threads: encodes wait for each other.
class GlzDictionary {
  public:
    // `first_id`: where a migrated dictionary goes on; its window starts empty.
    explicit GlzDictionary(std::size_t window_pixels, std::uint64_t first_id = 0);

    // Appends header and data. The dictionary keeps the pixels until they leave the window: by
    // reference where `owner` keeps them alive and unchanged and the rows lie together at a
    // multiple of 4, else as a copy. Formats: rgb16, bgr24, bgrx32, bgra32.
    Result<> encode(const PictureView& picture, std::shared_ptr<const void> owner, Bytes& out);

    // The share of the picture, 0 to 1, that stands in the window already, told from some samples.
    // Formats of other than 32 bits have none, nor has anything while frozen.
    double known_share(const PictureView& picture) const;

    // Forgets all pictures and gives their memory back; ids go on.
    void release();
    // The client has pictures up to this id from elsewhere: ours begin there, if they do not stand
    // beyond it already.
    void continue_at(std::uint64_t id);
    // While frozen, encode() fails: the next id is what another server goes on with.
    void set_frozen(bool frozen);

    std::size_t window_pixels() const { return window_pixels_; }
    std::uint64_t next_id() const;

  private:
    template <class Unit>
    friend struct GlzPass;

    static constexpr unsigned kTableBits = 17;
    static constexpr unsigned kPairBits = 14;

    struct Entry {
        std::uint32_t picture = 0;  // low half of the id, plus one; 0: empty
        std::uint32_t at = 0;
    };
    struct Kept {
        std::shared_ptr<const void> owner;
        const std::uint8_t* pixels = nullptr;
        std::uint32_t count = 0;
        std::uint32_t width = 0;
        std::uint8_t unit_size = 0;
    };

    bool is_known(const std::uint32_t* at, std::size_t count) const;
    Kept keep(const PictureView& picture, std::shared_ptr<const void> owner) const;
    void make_room(std::size_t pixels);
    std::uint32_t take_pair_base(std::uint32_t pixels);
    template <class Unit>
    void put_colours(const Kept& picture, Bytes& out);
    void put_alpha(const PictureView& picture, Bytes& out);

    const std::size_t window_pixels_;
    mutable std::mutex mutex_;
    std::uint64_t next_id_;
    bool frozen_ = false;
    std::size_t kept_pixels_ = 0;
    std::deque<Kept> window_;  // ids next_id_ - size() and up
    std::vector<Entry> table_ = std::vector<Entry>(1u << kTableBits);
    GlzRows rows_;
    std::vector<std::uint32_t> pairs_ = std::vector<std::uint32_t>(1u << kPairBits);
    std::uint32_t pair_base_ = 1;
    std::vector<std::uint8_t> scratch_;
};

// A decoded picture; drawn from as it is, kept by the window as long as the server needs it.
struct GlzPicture {
    GlzHeader header;
    // rgb16: two bytes a pixel; else four. Rows together.
    PixelBuffer pixels;
};

struct GlzDecoded {
    std::shared_ptr<const GlzPicture> picture;
    // Set when there is no picture yet: another display channel has not delivered this id.
    std::optional<std::uint64_t> waits_for;
};

// For one thread.
class GlzWindow {
  public:
    // More than `max_pixels` kept besides the newest picture is an error. Take twice the window
    // that was announced in display.Init: pictures of several channels may come out of order.
    explicit GlzWindow(std::size_t max_pixels) : max_pixels_(max_pixels) {}

    Result<GlzDecoded> decode(ByteView data);
    void clear();

    std::size_t kept_pixels() const { return kept_pixels_; }
    std::shared_ptr<const GlzPicture> find(std::uint64_t id) const;
    // The same for who asks for each match of a picture; null: it is not there.
    const GlzPicture* at(std::uint64_t id) const {
        const GlzPicture* const place = places_[id % kPlaces];
        return place != nullptr && place->header.id == id ? place : searched(id);
    }

  private:
    // The last pictures are found without a search: the matches of one lead to many others.
    static constexpr std::size_t kPlaces = 1024;

    const GlzPicture* searched(std::uint64_t id) const;
    void forget_place(const GlzPicture& picture);
    Result<> add(std::shared_ptr<GlzPicture> picture);
    PixelBuffer take_buffer(std::size_t size);
    void drop_first();

    std::size_t max_pixels_;
    std::size_t kept_pixels_ = 0;
    std::map<std::uint64_t, std::shared_ptr<GlzPicture>> pictures_;
    std::array<const GlzPicture*, kPlaces> places_{};  // by id; each is in pictures_
    // Of the last picture that left: the next one is often as large, and fresh memory of the
    // system costs as much as decoding into it.
    PixelBuffer spare_;
    // All pictures below this one have come.
    std::uint64_t tail_ = 0;
    bool has_tail_ = false;
};

}  // namespace segue::spice::codec
