// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>
#include <utility>

#include "spice/codec/glz.h"
#include "spice/codec/lz_match.h"

namespace segue::spice::codec {

namespace {

tl::unexpected<Error> broken(std::string_view what) {
    return fail(ErrorCode::protocol, "GLZ picture: {}", what);
}

constexpr const char* kEndsEarly = "the data ends early";

// A match as it stands on the wire.
struct Reference {
    std::size_t length = 0;
    std::uint32_t picture = 0;
    std::uint32_t pixel = 0;
};

// The low bytes of a word, by their count.
constexpr std::uint32_t kMasks[] = {0, 0xff, 0xffff, 0xffffff};

// What follows the length: at most six bytes, all of them there. Returns how many they were. Which
// of them there are changes from match to match: nothing is asked that a branch could guess wrong.
inline std::size_t read_place(std::uint8_t control, const std::uint8_t* in, Reference& reference) {
    const std::uint8_t code = in[1];
    const unsigned count = code >> 6;
    const std::uint32_t more = load<ByteOrder::little, std::uint32_t>(in + 2) & kMasks[count];
    const unsigned is_far = control >> 4 & 1;
    const unsigned is_long = is_far & code >> 5;
    const std::uint32_t high = (code & 31u) << 12 | (in[2 + count] & (0u - is_long)) << 17;
    reference.pixel = (control & 15u) | std::uint32_t{in[0]} << 4 | (high & (0u - is_far));
    reference.picture = is_far != 0 ? more : (code & 63u) | more << 6;
    return 2 + count + is_long;
}

// Null, or what is wrong. `in` moves behind the match.
inline const char* read_reference(std::uint8_t control, const std::uint8_t*& in,
                                  const std::uint8_t* end, Reference& reference) {
    constexpr std::ptrdiff_t kMost = 6;
    reference.length = control >> 5;
    if (reference.length == 7) {
        std::uint8_t more;
        do {
            if (in == end) return kEndsEarly;
            more = *in++;
            reference.length += more;
        } while (more == 255);
    }
    if (end - in >= kMost) [[likely]] {
        in += read_place(control, in, reference);
        return nullptr;
    }
    // The last bytes of the data, with something behind them.
    std::uint8_t last[kMost] = {};
    const std::ptrdiff_t left = end - in;
    std::copy(in, end, last);
    const auto used = static_cast<std::ptrdiff_t>(read_place(control, last, reference));
    if (used > left) return kEndsEarly;
    in += used;
    return nullptr;
}

// How units lie in a picture: whole pixels, or the fourth byte of each.
template <class Unit>
constexpr std::size_t kUnitStride = sizeof(Unit) == 1 ? 4 : 1;

enum class Outcome { done, broken, waits };

template <class Unit>
class Pass {
  public:
    Pass(const std::uint8_t* in, const std::uint8_t* in_end, GlzPicture& picture,
         const GlzWindow& window)
        : in_(in),
          in_end_(in_end),
          out_(first(picture.pixels.data())),
          count_(picture.header.pixels()),
          id_(picture.header.id),
          window_(window) {}

    Outcome run() {
        while (at_ < count_) {
            if (in_ == in_end_) return wrong(kEndsEarly);
            const std::uint8_t control = *in_++;
            const Outcome outcome = control < 32 ? literals(control + 1u) : match(control);
            if (outcome != Outcome::done) return outcome;
        }
        return Outcome::done;
    }
    const char* what() const { return what_; }
    // Behind what was read.
    const std::uint8_t* in() const { return in_; }
    // The picture that is missing, when it waits.
    std::uint64_t awaited() const { return awaited_; }

  private:
    using Kind = LzUnit<Unit>;
    static constexpr std::size_t kStride = kUnitStride<Unit>;
    static constexpr std::size_t kStep = 16 / sizeof(Unit);
    static constexpr std::size_t kBlock = 4 * kStep;

    static Unit* first(std::uint8_t* pixels) {
        return reinterpret_cast<Unit*>(pixels) + (kStride - 1);
    }
    static const Unit* first(const std::uint8_t* pixels) {
        return reinterpret_cast<const Unit*>(pixels) + (kStride - 1);
    }
    Outcome wrong(const char* what) {
        what_ = what;
        return Outcome::broken;
    }

    Outcome literals(std::size_t count) {
        if (count > count_ - at_) return wrong("more literals than pixels");
        if (count * Kind::kLiteral > static_cast<std::size_t>(in_end_ - in_)) {
            return wrong(kEndsEarly);
        }
        if constexpr (sizeof(Unit) == 4) {
            // Four bytes are read for three, but never behind the end.
            if (count * 3 < static_cast<std::size_t>(in_end_ - in_)) {
                Unit* const to = out_ + at_;
                const std::uint8_t* const in = in_;
                for (std::size_t i = 0; i < count; ++i)
                    to[i] = load<ByteOrder::little, Unit>(in + 3 * i) & 0xffffff;
                in_ += count * 3;
                at_ += count;
                return Outcome::done;
            }
        }
        for (std::size_t i = 0; i < count; ++i, in_ += Kind::kLiteral) {
            Unit& unit = out_[(at_ + i) * kStride];
            if constexpr (sizeof(Unit) == 1) {
                unit = *in_;
            } else if constexpr (sizeof(Unit) == 2) {
                unit = static_cast<Unit>(in_[0] << 8 | in_[1]);
            } else {
                unit = static_cast<Unit>(in_[0] | in_[1] << 8 | in_[2] << 16);
            }
        }
        at_ += count;
        return Outcome::done;
    }

    Outcome match(std::uint8_t control) {
        Reference reference;
        const char* text = read_reference(control, in_, in_end_, reference);
        if (text != nullptr) return wrong(text);
        const std::size_t length = reference.length + Kind::kBias;
        if (length > count_ - at_) return wrong("a match is longer than the picture");
        if (reference.picture == 0) {
            const std::size_t distance = std::size_t{reference.pixel} + 1;
            if (distance > at_) return wrong("a match starts before the picture");
            copy_back(distance, length);
            return Outcome::done;
        }
        const GlzPicture* const other =
            reference.picture <= id_ ? window_.at(id_ - reference.picture) : nullptr;
        if (other == nullptr) {
            awaited_ = id_ - reference.picture;
            return Outcome::waits;
        }
        if ((other->header.type == LzType::rgb16) != (sizeof(Unit) == 2)) {
            return wrong("a match in a picture of another type");
        }
        const std::size_t pixels = other->header.pixels();
        if (reference.pixel > pixels || length > pixels - reference.pixel) {
            return wrong("a match reaches beyond the older picture");
        }
        copy_older(first(other->pixels.data()) + reference.pixel * kStride, length,
                   pixels - reference.pixel);
        return Outcome::done;
    }

    // From this picture: what is copied may itself be the source of what follows.
    void copy_back(std::size_t distance, std::size_t length) {
        Unit* const to = out_ + at_ * kStride;
        const Unit* const from = to - distance * kStride;
        at_ += length;
        if constexpr (kStride == 1) {
            if (distance >= kStep && count_ - at_ >= kBlock) return copy_blocks(to, from, length);
            if (distance == 1) return fill(to, *from, length);
        }
        for (std::size_t i = 0; i < length; ++i)
            to[i * kStride] = from[i * kStride];
    }

    // A run, as copy_blocks() where there is room: most are short.
    void fill(Unit* to, Unit unit, std::size_t length) const {
        using Lanes [[gnu::vector_size(16)]] = Unit;
        if (count_ - at_ < kBlock) {
            std::fill_n(to, length, unit);
            return;
        }
        const Lanes lanes = Lanes{} + unit;
        for (std::size_t i = 0; i < length; i += kBlock) {
            for (std::size_t at = i; at < i + kBlock; at += kStep)
                std::memcpy(to + at, &lanes, sizeof lanes);
        }
    }

    // From another picture, of which `left` units from `from` on may be read.
    void copy_older(const Unit* from, std::size_t length, std::size_t left) {
        Unit* const to = out_ + at_ * kStride;
        at_ += length;
        if constexpr (kStride == 1) {
            if (length >= 64) {
                std::memcpy(to, from, length * sizeof(Unit));
                return;
            }
            if (left - length >= kBlock && count_ - at_ >= kBlock)
                return copy_blocks(to, from, length);
        }
        for (std::size_t i = 0; i < length; ++i)
            to[i * kStride] = from[i * kStride];
    }

    // Up to 63 bytes too many are read and written; the callers know that there is room. Most
    // matches end within the first block: no loop to guess wrong.
    static void copy_blocks(Unit* to, const Unit* from, std::size_t length) {
        copy_block(to, from);
        for (std::size_t i = kBlock; i < length; i += kBlock)
            copy_block(to + i, from + i);
    }
    static void copy_block(Unit* to, const Unit* from) {
        for (std::size_t i = 0; i < kBlock; i += kStep)
            std::memcpy(to + i, from + i, 16);
    }

    const std::uint8_t* in_;
    const std::uint8_t* const in_end_;
    Unit* const out_;
    std::size_t at_ = 0;
    const std::size_t count_;
    const std::uint64_t id_;
    const GlzWindow& window_;
    std::uint64_t awaited_ = 0;
    const char* what_ = "";
};

}  // namespace

PixelFormat GlzHeader::format() const {
    switch (type) {
        case LzType::rgb16: return PixelFormat::rgb16;
        case LzType::rgba: return PixelFormat::bgra32;
        default: return PixelFormat::bgrx32;
    }
}

Result<GlzHeader> glz_read_header(ByteView data) {
    BigReader reader(data);
    const std::uint32_t magic = reader.u32();
    const std::uint32_t version = reader.u32();
    const std::uint8_t kind = reader.u8();
    GlzHeader header;
    header.type = static_cast<LzType>(kind & 15);
    header.top_down = kind >> 4 != 0;
    header.width = reader.u32();
    header.height = reader.u32();
    reader.u32();  // the stride follows from the width
    header.id = reader.u64();
    header.head_distance = reader.u32();
    if (!reader.ok()) return broken("no room for its header");
    if (magic != 0x20205a4c || version != 0x00010001) return broken("wrong magic or version");
    switch (header.type) {
        case LzType::rgb16:
        case LzType::rgb24:
        case LzType::rgb32:
        case LzType::rgba: break;
        default: return broken("neither 16, 24 nor 32 bits a pixel");
    }
    const Result<> fits = check_size("GLZ", header.format(), header.width, header.height);
    if (!fits) return tl::unexpected(fits.error());
    if (header.head_distance > header.id)
        return broken("its window starts before the first picture");
    return header;
}

Result<GlzDecoded> GlzWindow::decode(ByteView data) {
    auto picture = std::make_shared<GlzPicture>();
    picture->header = TRY(glz_read_header(data));
    const GlzHeader& header = picture->header;
    if (pictures_.count(header.id) != 0) return broken("its id was used before");
    picture->pixels = take_buffer(row_size(header.format(), header.width) * header.height);

    const std::uint8_t* in = data.data() + kGlzHeaderSize;
    const std::uint8_t* const end = data.data() + data.size();
    const char* what = "";
    std::uint64_t awaited = 0;
    const auto pass = [&](auto unit) {
        Pass<decltype(unit)> run(in, end, *picture, *this);
        const Outcome outcome = run.run();
        what = run.what();
        awaited = run.awaited();
        in = run.in();
        return outcome;
    };
    Outcome outcome = header.type == LzType::rgb16 ? pass(std::uint16_t{}) : pass(std::uint32_t{});
    if (outcome == Outcome::done && header.type == LzType::rgba) outcome = pass(std::uint8_t{});
    if (outcome == Outcome::broken) return broken(what);
    if (outcome == Outcome::waits) {
        // Only what may still come is waited for: later than all that was forgotten or has come.
        if (awaited > header.id || awaited < tail_ || header.id - awaited > header.head_distance)
            return broken("a match in a picture outside the window");
        return GlzDecoded{nullptr, awaited};
    }
    const Result<> added = add(picture);
    if (!added) return tl::unexpected(added.error());
    return GlzDecoded{std::move(picture), std::nullopt};
}

PixelBuffer GlzWindow::take_buffer(std::size_t size) {
    if (spare_.size() == size) return std::exchange(spare_, {});
    return PixelBuffer(size);
}

void GlzWindow::drop_first() {
    const auto first = pictures_.begin();
    kept_pixels_ -= first->second->header.pixels();
    if (first->second.use_count() == 1) spare_ = std::move(first->second->pixels);
    forget_place(*first->second);
    pictures_.erase(first);
}

Result<> GlzWindow::add(std::shared_ptr<GlzPicture> picture) {
    const std::uint64_t id = picture->header.id;
    if (!has_tail_) {
        tail_ = id;
        has_tail_ = true;
    }
    const std::size_t newest = picture->header.pixels();
    kept_pixels_ += newest;
    const GlzPicture* const added = picture.get();
    pictures_.emplace(id, std::move(picture));
    places_[id % kPlaces] = added;
    // The head moves with the last picture before which none is missing.
    auto last = pictures_.find(tail_);
    for (auto next = last; next != pictures_.end() && next->first == tail_; ++next) {
        last = next;
        ++tail_;
    }
    if (last != pictures_.end()) {
        const std::uint64_t head = last->first - last->second->header.head_distance;
        while (pictures_.begin()->first < head)
            drop_first();
    }
    if (kept_pixels_ - newest > max_pixels_) {
        return fail(ErrorCode::limit_exceeded,
                    "GLZ window: the server makes us keep {} pixels, at most {} are allowed",
                    kept_pixels_ - newest, max_pixels_);
    }
    return {};
}

void GlzWindow::clear() {
    places_.fill(nullptr);
    pictures_.clear();
    spare_ = {};
    kept_pixels_ = 0;
    has_tail_ = false;
    tail_ = 0;
}

void GlzWindow::forget_place(const GlzPicture& picture) {
    const GlzPicture*& place = places_[picture.header.id % kPlaces];
    if (place == &picture) place = nullptr;
}

const GlzPicture* GlzWindow::searched(std::uint64_t id) const {
    const auto found = pictures_.find(id);
    return found == pictures_.end() ? nullptr : found->second.get();
}

std::shared_ptr<const GlzPicture> GlzWindow::find(std::uint64_t id) const {
    const auto found = pictures_.find(id);
    return found == pictures_.end() ? nullptr : found->second;
}

}  // namespace segue::spice::codec
