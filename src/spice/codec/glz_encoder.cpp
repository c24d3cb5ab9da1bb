// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>
#include <array>
#include <utility>

#include "spice/codec/glz.h"
#include "spice/codec/lz_match.h"

namespace segue::spice::codec {

namespace {

constexpr std::uint32_t kNear = 1u << 12;
constexpr std::uint32_t kMedium = 1u << 17;
constexpr std::uint32_t kFar = 1u << 25;
constexpr std::uint32_t kMaxPictureDistance = (1u << 24) - 1;

// Where a match is: `picture` 0 is this one and `pixel` counts back, biased by one; else `pixel` is
// an offset in that older picture.
struct Place {
    std::uint32_t picture = 0;
    std::uint32_t pixel = 0;

    unsigned picture_bytes() const {
        if (pixel < kNear) {
            return picture < 1u << 6 ? 0 : picture < 1u << 14 ? 1 : picture < 1u << 22 ? 2 : 3;
        }
        return picture == 0 ? 0 : picture < 1u << 8 ? 1 : picture < 1u << 16 ? 2 : 3;
    }
    // Without the bytes of a long length.
    unsigned size() const { return 3 + picture_bytes() + (pixel >= kMedium ? 1 : 0); }
};

std::uint8_t* put_match(std::size_t length, Place place, std::uint8_t* out) {
    const unsigned is_far = place.pixel >= kNear ? 1 : 0;
    const unsigned low = is_far << 4 | (place.pixel & 15);
    if (length < 7) {
        *out++ = static_cast<std::uint8_t>(length << 5 | low);
    } else {
        *out++ = static_cast<std::uint8_t>(7 << 5 | low);
        for (length -= 7; length >= 255; length -= 255)
            *out++ = 255;
        *out++ = static_cast<std::uint8_t>(length);
    }
    *out++ = static_cast<std::uint8_t>(place.pixel >> 4);
    const unsigned count = place.picture_bytes();
    std::uint32_t picture = place.picture;
    if (is_far == 0) {
        *out++ = static_cast<std::uint8_t>(count << 6 | (picture & 63));
        picture >>= 6;
    } else {
        const unsigned is_long = place.pixel >= kMedium ? 1 : 0;
        *out++ = static_cast<std::uint8_t>(count << 6 | is_long << 5 | (place.pixel >> 12 & 31));
    }
    for (unsigned i = 0; i < count; ++i, picture >>= 8)
        *out++ = static_cast<std::uint8_t>(picture);
    if (place.pixel >= kMedium) *out++ = static_cast<std::uint8_t>(place.pixel >> 17);
    return out;
}

}  // namespace

// One pass over the units of a picture that is already the newest of the window.
template <class Unit>
struct GlzPass {
    using Kind = LzUnit<Unit>;
    using Entry = GlzDictionary::Entry;
    const Unit* units;
    const Unit* end;
    Entry* table;
    const std::deque<GlzDictionary::Kept>& window;
    std::uint32_t newest;  // the entry value of this picture
    // Where pairs of units were last seen in this picture, counted from `pair_base`; null: not
    // wanted.
    std::uint32_t* pairs;
    std::uint32_t pair_base;
    // Where the rows of the window stand; those of this picture are read, but not entered. Null:
    // not wanted.
    const GlzRows* rows;

    struct Match {
        std::size_t length = 0;
        Place place;
    };

    Entry& entry(const Unit* at) const { return table[hash_units(at, GlzDictionary::kTableBits)]; }
    Entry here(const Unit* at) const { return {newest, static_cast<std::uint32_t>(at - units)}; }

    // The older picture of the last long match, and how far its pixels stand from ours. What has
    // moved or stayed as a whole goes on there behind each change.
    struct Follow {
        const Unit* pixels = nullptr;
        std::size_t count = 0;
        std::uint32_t picture = 0;
        std::ptrdiff_t shift = 0;
    };
    Follow still;   // the newest picture of the same width, at the same place
    Follow follow;  // of the last long match with another shift
    static constexpr std::size_t kFollowLength = 16;

    void find_still() {
        const auto& newest_one = window.back();
        for (std::size_t back = 1; back < std::min<std::size_t>(window.size(), 64); ++back) {
            const auto& older = window[window.size() - 1 - back];
            if (older.width == newest_one.width && older.unit_size == sizeof(Unit)) {
                still = {reinterpret_cast<const Unit*>(older.pixels), older.count,
                         static_cast<std::uint32_t>(back), 0};
                return;
            }
        }
    }

    // Looks at some bands of rows for one that stood elsewhere before: what has scrolled then goes
    // as one match, instead of being found again piece by piece.
    void find_moved() {
        constexpr std::uint32_t kProbes = 24;
        const std::uint32_t probes = std::min(kProbes, rows->bands());
        for (std::uint32_t probe = 0; probe < probes; ++probe) {
            const Follow one = find_band(probe * rows->bands() / probes);
            if (one.count == 0 || (one.shift == 0 && one.picture == still.picture)) continue;
            follow = one;
            return;
        }
    }

    // Where the band that begins at row y stood; a count of 0: it is new.
    Follow find_band(std::uint32_t y) const {
        const std::uint32_t width = window.back().width;
        const std::size_t size = std::size_t{GlzRows::kBand} * width;
        const GlzRows::Place seen = rows->find(y);
        const std::uint32_t back = newest - seen.picture;
        if (seen.picture == 0 || back == 0 || back >= window.size()) return {};
        const auto& older = window[window.size() - 1 - back];
        if (older.unit_size != sizeof(Unit) || older.width != width) return {};
        if (seen.at + size > older.count) return {};
        const Unit* const at = units + std::size_t{y} * width;
        const auto* const pixels = reinterpret_cast<const Unit*>(older.pixels);
        if (same_length(at, pixels + seen.at, at + size) < size) return {};
        return {pixels, older.count, back, static_cast<std::ptrdiff_t>(seen.at) - (at - units)};
    }

    Match find_followed(const Unit* at, const Follow& one) const {
        const std::ptrdiff_t index = at - units + one.shift;
        if (index < 0 || static_cast<std::size_t>(index) >= one.count) return {};
        const Unit* const older = one.pixels + index;
        if (!same_unit(*at, *older)) return {};
        const std::size_t left = std::min<std::size_t>(static_cast<std::size_t>(end - at),
                                                       one.count - static_cast<std::size_t>(index));
        const Place place{one.picture, static_cast<std::uint32_t>(index)};
        const std::size_t length = same_length(at, older, at + left);
        return length < kFollowLength || place.pixel >= kFar ? Match{} : Match{length, place};
    }

    std::uint32_t& pair(const Unit* at) const {
        return pairs[hash_pair(at, GlzDictionary::kPairBits)];
    }
    std::uint32_t position(const Unit* at) const {
        return pair_base + static_cast<std::uint32_t>(at - units);
    }
    void remember(const Unit* at) const {
        entry(at) = here(at);
        if constexpr (sizeof(Unit) == 4) pair(at) = position(at);
    }

    // Of the pairs: the one before this, and this one from now on. Only a near one of wide units
    // is shorter than what it stands for.
    Match find_pair(const Unit* at) const {
        const std::uint32_t before = std::exchange(pair(at), position(at));
        const std::uint32_t distance = position(at) - before - 1;
        if (before < pair_base || distance >= kMedium) return {};
        const std::size_t length = same_length(at, at - distance - 1, end);
        return length < 2 ? Match{} : Match{length, {0, distance}};
    }

    Match find(const Unit* at) {
        const Match match = find_long(at);
        if constexpr (sizeof(Unit) == 4) {
            if (match.length == 0) return find_pair(at);
        }
        return match;
    }

    Match find_long(const Unit* at) {
        for (const Follow* one : {&follow, &still}) {
            const Match followed = find_followed(at, *one);
            if (followed.length != 0) return followed;
        }
        if (at != units && same_unit(at[0], at[-1]) && same_unit(at[1], at[0]) &&
            same_unit(at[2], at[0])) {
            return {same_length(at, at - 1, end), {}};
        }
        Entry& slot = entry(at);
        const Entry seen = slot;
        slot = here(at);
        Match match;
        match.place.picture = newest - seen.picture;
        if (seen.picture == 0 || match.place.picture >= window.size()) return {};
        if (match.place.picture == 0) {
            match.place.pixel = static_cast<std::uint32_t>(at - units) - seen.at - 1;
            match.length = same_length(at, units + seen.at, end);
        } else {
            const auto& older = window[window.size() - 1 - match.place.picture];
            if (older.unit_size != sizeof(Unit) || seen.at >= older.count ||
                match.place.picture > kMaxPictureDistance) {
                return {};
            }
            match.place.pixel = seen.at;
            const auto* pixels = reinterpret_cast<const Unit*>(older.pixels);
            const std::size_t left =
                std::min<std::size_t>(static_cast<std::size_t>(end - at), older.count - seen.at);
            match.length = same_length(at, pixels + seen.at, at + left);
        }
        // It must be shorter than the literals it replaces, and the count of those that follow.
        const bool pays = match.length * Kind::kLiteral > match.place.size() &&
                          match.length > Kind::kBias && match.place.pixel < kFar;
        if (!pays) return {};
        const std::ptrdiff_t shift = static_cast<std::ptrdiff_t>(seen.at) - (at - units);
        if (match.length >= kFollowLength && match.place.picture != 0 && shift != follow.shift &&
            shift != still.shift) {
            const auto& older = window[window.size() - 1 - match.place.picture];
            follow = {reinterpret_cast<const Unit*>(older.pixels), older.count, match.place.picture,
                      shift};
        }
        return match;
    }

    std::uint8_t* run(std::uint8_t* out) {
        const Unit* literals = units;
        const Unit* at = units;
        const Unit* const last = end - kHashedUnits;
        find_still();
        if (rows != nullptr) find_moved();
        while (at <= last) {
            const Match match = find(at);
            if (match.length == 0) {
                at += 1 + std::min<std::size_t>(static_cast<std::size_t>(at - literals) >> 6, 7);
                continue;
            }
            out = put_literals(literals, static_cast<std::size_t>(at - literals), out);
            out = put_match(match.length - Kind::kBias, match.place, out);
            at += match.length;
            literals = at;
            if (at <= last && match.length >= 2) {
                remember(at - 2);
                remember(at - 1);
            }
        }
        return put_literals(literals, static_cast<std::size_t>(end - literals), out);
    }
};

GlzDictionary::GlzDictionary(std::size_t window_pixels, std::uint64_t first_id)
    : window_pixels_(window_pixels), next_id_(first_id) {}

std::uint64_t GlzDictionary::next_id() const {
    const std::lock_guard lock(mutex_);
    return next_id_;
}

void GlzDictionary::release() {
    const std::lock_guard lock(mutex_);
    window_.clear();
    kept_pixels_ = 0;
    std::fill(table_.begin(), table_.end(), Entry{});
    rows_.clear();
}

// Pictures of two numberings never stand in one window.
void GlzDictionary::continue_at(std::uint64_t id) {
    const std::lock_guard lock(mutex_);
    if (id <= next_id_) return;
    window_.clear();
    kept_pixels_ = 0;
    std::fill(table_.begin(), table_.end(), Entry{});
    rows_.clear();
    next_id_ = id;
}

void GlzDictionary::set_frozen(bool frozen) {
    const std::lock_guard lock(mutex_);
    frozen_ = frozen;
}

// Whether the table leads to units of the window that are as those at `at`.
bool GlzDictionary::is_known(const std::uint32_t* at, std::size_t count) const {
    const Entry seen = table_[hash_units(at, kTableBits)];
    const std::uint32_t back = static_cast<std::uint32_t>(next_id_) + 1 - seen.picture;
    if (seen.picture == 0 || back == 0 || back > window_.size()) return false;
    const Kept& older = window_[window_.size() - back];
    if (older.unit_size != sizeof *at || seen.at + count > older.count) return false;
    const auto* pixels = reinterpret_cast<const std::uint32_t*>(older.pixels);
    return same_length(at, pixels + seen.at, at + count) == count;
}

double GlzDictionary::known_share(const PictureView& picture) const {
    constexpr std::uint32_t kSamples = 128;
    constexpr std::uint32_t kAlike = 12;
    // The encoder does not enter each unit into its table: a few in a row are asked for.
    constexpr std::uint32_t kTries = 20;
    constexpr std::uint32_t kRun = kTries + kAlike;
    const bool is_wide =
        picture.format == PixelFormat::bgrx32 || picture.format == PixelFormat::bgra32;
    if (!is_wide || picture.width < kRun || picture.height == 0) return 0;
    const std::lock_guard lock(mutex_);
    if (frozen_) return 0;
    std::uint32_t known = 0;
    for (std::uint32_t sample = 0; sample < kSamples; ++sample) {
        // Spread over the rows in order, and over the columns by a step without a small period.
        const std::uint64_t y = std::uint64_t{sample} * picture.height / kSamples;
        const std::uint32_t x = sample * 2654435761u % (picture.width - kRun + 1);
        std::array<std::uint32_t, kRun> run;
        std::memcpy(run.data(), picture.row(static_cast<std::uint32_t>(y)) + std::size_t{x} * 4,
                    sizeof run);
        std::uint32_t at = 0;
        while (at < kTries && !is_known(&run[at], kAlike))
            ++at;
        known += at < kTries;
    }
    return static_cast<double>(known) / kSamples;
}

void GlzDictionary::make_room(std::size_t pixels) {
    while (!window_.empty() && kept_pixels_ + pixels > window_pixels_) {
        kept_pixels_ -= window_.front().count;
        window_.pop_front();
    }
}

GlzDictionary::Kept GlzDictionary::keep(const PictureView& picture,
                                        std::shared_ptr<const void> owner) const {
    Kept kept;
    kept.count = picture.width * picture.height;
    kept.width = picture.width;
    kept.unit_size = picture.format == PixelFormat::rgb16 ? 2 : 4;
    const bool is_narrow = picture.format == PixelFormat::bgr24;
    if (owner && !is_narrow && picture.is_contiguous() && is_aligned(picture.rows)) {
        kept.owner = std::move(owner);
        kept.pixels = picture.rows;
        return kept;
    }
    auto copy = std::make_shared<PixelBuffer>(std::size_t{kept.count} * kept.unit_size);
    std::uint8_t* to = copy->data();
    for (std::uint32_t y = 0; y < picture.height; ++y) {
        const std::uint8_t* from = picture.row(y);
        if (!is_narrow) {
            std::memcpy(to, from, picture.row_bytes());
            to += picture.row_bytes();
            continue;
        }
        for (std::uint32_t x = 0; x < picture.width; ++x, from += 3, to += 4) {
            std::memcpy(to, from, 3);
            to[3] = 0;
        }
    }
    kept.pixels = copy->data();
    kept.owner = std::move(copy);
    return kept;
}

// Where the pairs of the next picture count from: what was seen before lies below.
std::uint32_t GlzDictionary::take_pair_base(std::uint32_t pixels) {
    if (pixels > UINT32_MAX - pair_base_) {
        std::fill(pairs_.begin(), pairs_.end(), 0);
        pair_base_ = 1;
    }
    const std::uint32_t base = pair_base_;
    pair_base_ += pixels;
    return base;
}

template <class Unit>
void GlzDictionary::put_colours(const Kept& picture, Bytes& out) {
    // All literals is the worst that happens; one more for put_literals.
    scratch_.resize(std::max(scratch_.size(), std::size_t{picture.count} * LzUnit<Unit>::kLiteral +
                                                  picture.count / 32 + 8));
    const auto* units = reinterpret_cast<const Unit*>(picture.pixels);
    GlzPass<Unit> pass{units,
                       units + picture.count,
                       table_.data(),
                       window_,
                       static_cast<std::uint32_t>(next_id_) + 1,
                       pairs_.data(),
                       take_pair_base(picture.count),
                       &rows_,
                       {},
                       {}};
    rows_.read(units, picture.width, picture.count / picture.width);
    const std::uint8_t* const end = pass.run(scratch_.data());
    rows_.enter(pass.newest);
    out.insert(out.end(), static_cast<const std::uint8_t*>(scratch_.data()), end);
}

// The alpha plane refers only to itself: plain runs and repeats, in GLZ's form.
void GlzDictionary::put_alpha(const PictureView& picture, Bytes& out) {
    Bytes plane;
    plane.reserve(std::size_t{picture.width} * picture.height);
    for (std::uint32_t y = 0; y < picture.height; ++y) {
        const std::uint8_t* from = picture.row(y) + 3;
        for (std::uint32_t x = 0; x < picture.width; ++x)
            plane.push_back(from[4 * std::size_t{x}]);
    }
    std::vector<Entry> table(1u << kTableBits);
    scratch_.resize(std::max(scratch_.size(), plane.size() + plane.size() / 32 + 8));
    const std::deque<Kept> alone(1);
    GlzPass<std::uint8_t> pass{plane.data(),
                               plane.data() + plane.size(),
                               table.data(),
                               alone,
                               1,
                               nullptr,
                               0,
                               nullptr,
                               {},
                               {}};
    const std::uint8_t* const end = pass.run(scratch_.data());
    out.insert(out.end(), static_cast<const std::uint8_t*>(scratch_.data()), end);
}

namespace {

Result<LzType> glz_type(PixelFormat format) {
    switch (format) {
        case PixelFormat::rgb16: return LzType::rgb16;
        case PixelFormat::bgr24: return LzType::rgb24;
        case PixelFormat::bgrx32: return LzType::rgb32;
        case PixelFormat::bgra32: return LzType::rgba;
        default: return fail(ErrorCode::invalid_argument, "GLZ takes no pictures with palettes");
    }
}

}  // namespace

Result<> GlzDictionary::encode(const PictureView& picture, std::shared_ptr<const void> owner,
                               Bytes& out) {
    const LzType type = TRY(glz_type(picture.format));
    const Result<> fits = check_size("GLZ", picture.format, picture.width, picture.height);
    if (!fits) return fits;
    const std::lock_guard lock(mutex_);
    if (frozen_)
        return fail(ErrorCode::operation_invalid, "GLZ: the dictionary is being handed over");
    const std::size_t pixels = std::size_t{picture.width} * picture.height;
    make_room(pixels);
    window_.push_back(keep(picture, std::move(owner)));
    kept_pixels_ += pixels;

    BigWriter header;
    header.u32(0x20205a4c);
    header.u32(0x00010001);
    header.u8(
        static_cast<std::uint8_t>(static_cast<unsigned>(type) | (picture.top_down ? 1u << 4 : 0)));
    header.u32(picture.width);
    header.u32(picture.height);
    header.u32(static_cast<std::uint32_t>(picture.row_bytes()));
    header.u64(next_id_);
    header.u32(static_cast<std::uint32_t>(window_.size() - 1));
    out.insert(out.end(), header.view().begin(), header.view().end());

    if (picture.format == PixelFormat::rgb16) {
        put_colours<std::uint16_t>(window_.back(), out);
    } else {
        put_colours<std::uint32_t>(window_.back(), out);
        if (picture.format == PixelFormat::bgra32) put_alpha(picture, out);
    }
    ++next_id_;
    return {};
}

}  // namespace segue::spice::codec
