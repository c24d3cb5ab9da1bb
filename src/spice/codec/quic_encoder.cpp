// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>

#include "spice/codec/lz_match.h"
#include "spice/codec/quic.h"
#include "spice/codec/quic_model.h"

namespace segue::spice::codec {

namespace quic {
namespace {

// Bits, the first one highest, in little-endian words. It writes where there is room: OutBuffer.
class BitWriter {
  public:
    explicit BitWriter(std::uint8_t* out = nullptr) : out_(out) {}

    // At most 32 bits.
    void put(std::uint32_t word, unsigned length) {
        pending_ = pending_ << length | word;
        count_ += length;
        // A word is stored at each call and kept if it is full: cheaper than to ask.
        store<ByteOrder::little>(out_, static_cast<std::uint32_t>(pending_ >> (count_ & 31)));
        out_ += count_ >> 5 << 2;
        count_ &= 31;
    }
    void put_ones(unsigned count) {
        for (; count >= 32; count -= 32)
            put(UINT32_MAX, 32);
        if (count > 0) put((1u << count) - 1, count);
    }
    // Fills the last word; one word of zeros follows, which decoders read ahead.
    void finish() {
        if (count_ > 0) put(0, 32 - count_);
        put(0, 32);
    }

    std::uint8_t* position() const { return out_; }
    void move_to(std::uint8_t* out) { out_ = out; }

  private:
    std::uint8_t* out_;
    std::uint64_t pending_ = 0;
    unsigned count_ = 0;
};

// The words of short runs, which text has many of: how long one is, no branch can guess.
struct ShortRuns {
    static constexpr unsigned kLengths = 64;
    struct Word {
        std::uint32_t bits = 0;
        std::uint8_t length = 0;
        std::uint8_t state = 0;  // behind it
    };
    Word of[kRunOrders.size()][kLengths] = {};

    constexpr ShortRuns() {
        for (unsigned before = 0; before < kRunOrders.size(); ++before) {
            for (unsigned run = 0; run < kLengths; ++run) {
                Pace pace;
                pace.run_state = before;
                unsigned left = run;
                unsigned hits = 0;
                for (; left >= 1u << pace.run_order(); ++hits) {
                    left -= 1u << pace.run_order();
                    pace.run_longer();
                }
                // A one for each hit, a zero, and the rest.
                const unsigned rest = pace.run_order() + 1;
                of[before][run].bits = ((1u << hits) - 1) << rest | left;
                of[before][run].length = static_cast<std::uint8_t>(hits + rest);
                pace.run_shorter();
                of[before][run].state = static_cast<std::uint8_t>(pace.run_state);
            }
        }
    }
};
inline constexpr ShortRuns kShortRuns{};

// Memory for a BitWriter; room is asked for a row at a time.
class OutBuffer {
  public:
    std::uint8_t* data() { return bytes_.get(); }
    void reserve(BitWriter& bits, std::size_t size) {
        const std::size_t used = bits.position() ? used_by(bits) : 0;
        if (capacity_ - used < size) {
            capacity_ = std::max(2 * capacity_, used + size);
            auto larger = std::make_unique_for_overwrite<std::uint8_t[]>(capacity_);
            if (used > 0) std::memcpy(larger.get(), bytes_.get(), used);
            bytes_ = std::move(larger);
            bits.move_to(bytes_.get() + used);
        }
    }
    std::size_t used_by(const BitWriter& bits) const {
        return static_cast<std::size_t>(bits.position() - bytes_.get());
    }

  private:
    std::unique_ptr<std::uint8_t[]> bytes_;
    std::size_t capacity_ = 0;
};

template <unsigned kBits, unsigned kParts>
class RowEncoder {
  public:
    RowEncoder(unsigned width, BitWriter& bits)
        : width_(width), bits_(bits), residuals_(width), coder_(width) {}

    // Null above for the first row. Bytes of a pixel that are no component may hold anything.
    void row(const std::uint32_t* above, const std::uint32_t* row) {
        coder_.start_row(above == nullptr);
        predicted_ = 0;
        for_segments(coder_.pace, width_, [&](unsigned from, unsigned to) {
            above == nullptr ? segment<true>(above, row, from, to)
                             : segment<false>(above, row, from, to);
        });
    }

  private:
    using Math = Arithmetic<kBits>;
    static constexpr std::uint32_t kUsed = kParts == 1 ? 0xff : 0xffffff;
    static constexpr std::uint32_t kRunStarts = 1u << 31;  // in a residual's unused byte
    // Pixels of which the residuals are found together; those inside of runs nobody asks for.
    static constexpr unsigned kStretch = 64;

    // The residuals from a column on, and where a run may start: where the row above repeats, and
    // so did this row just before. Apart from the coding, because here four pixels go at once.
    // Returns the first column that is not done.
    template <bool kIsFirst>
    [[gnu::noinline]] unsigned predict(const std::uint32_t* above, const std::uint32_t* row,
                                       unsigned from) {
        std::uint32_t* const to = residuals_.data();
        const unsigned end = std::min(width_, from + kStretch);
        // No row stands above the first: not even its address is calculated with.
        const auto above_at = [above](unsigned at) { return kIsFirst ? nullptr : above + at; };
        unsigned x = from;
        if (from == 0) {
            const Components first = components(row[0]);
            to[0] = word_of(residual(first, components(kIsFirst ? 0 : above[0])));
            if (width_ == 1) return 1;
            const Components expected =
                kIsFirst ? first : Math::average(first, components(above[1]));
            to[1] = word_of(residual(components(row[1]), expected));
            x = 2;
        }
        for (; x + 4 <= end; x += 4)
            predict_pixels<Components, kIsFirst>(above_at(x), row + x, to + x);
        for (; x < end; ++x)
            predict_pixels<std::uint32_t, kIsFirst>(above_at(x), row + x, to + x);
        if (from == 0 && width_ > 2) to[2] &= ~kRunStarts;
        return end;
    }

    // As many as Memory holds.
    template <class Memory, bool kIsFirst>
    static void predict_pixels(const std::uint32_t* above, const std::uint32_t* row,
                               std::uint32_t* to) {
        const Components here = fetch<Memory>(row);
        const Components left = fetch<Memory>(row - 1);
        Components found;
        if constexpr (kIsFirst) {
            found = residual(here, left);
        } else {
            const Components up = fetch<Memory>(above);
            const Components differs =
                (up ^ fetch<Memory>(above - 1)) | (left ^ fetch<Memory>(row - 2));
            const auto may_run = (reinterpret_cast<PixelWords>(differs) & kUsed) == 0;
            found = residual(here, Math::average(left, up)) |
                    reinterpret_cast<Components>(may_run & kRunStarts);
        }
        std::memcpy(to, &found, sizeof(Memory));
    }
    template <class Memory>
    static Components fetch(const std::uint32_t* from) {
        Components pixels{};
        std::memcpy(&pixels, from, sizeof(Memory));
        return pixels;
    }
    static Components residual(Components pixels, Components expected) {
        const Components folded = Math::fold(Math::subtract(pixels, expected));
        return reinterpret_cast<Components>(reinterpret_cast<PixelWords>(folded) & kUsed);
    }

    // Writes a residual; the context is that of its column.
    void pixel(BitWriter& bits, std::uint32_t context, std::uint32_t folded) const {
        std::uint64_t word = 0;
        unsigned length = 0;
        std::uint32_t packed[kParts];
        for (unsigned part = kParts; part-- > 0;) {
            const unsigned best = coder_.models[part].best(context >> (8 * part) & 255);
            packed[part] = kCodes<kBits>.packed[best][folded >> (8 * part) & 255];
            word = word << (packed[part] & 31) | packed[part] >> 5;
            length += packed[part] & 31;
        }
        if (kParts == 1 || length <= 32) [[likely]] {
            bits.put(static_cast<std::uint32_t>(word), length);
        } else {
            for (unsigned part = kParts; part-- > 0;) {
                bits.put(packed[part] >> 5, packed[part] & 31);
            }
        }
    }

    template <bool kIsFirst>
    void segment(const std::uint32_t* above, const std::uint32_t* row, unsigned at, unsigned end) {
        Pace& pace = coder_.pace;
        // Here they live in registers.
        const std::uint32_t* const residuals = residuals_.data();
        std::uint32_t* const contexts = coder_.contexts.data();
        BitWriter bits = bits_;
        std::uint32_t context = contexts[at];
        unsigned stop = at + pace.wait;
        unsigned last_run = 0;
        unsigned predicted = predicted_;
        while (at < end) {
            if (at >= predicted) predicted = predict<kIsFirst>(above, row, at);
            const std::uint32_t folded = residuals[at];
            if ((folded & kRunStarts) != 0 && last_run != at) {
                const auto length =
                    static_cast<unsigned>(same_length(row + at, row + at - 1, row + end));
                put_run(bits, length);
                last_run = at;
                at += length;
                stop += length;
                context = contexts[at];
                continue;  // another run, of no length, may start here at once
            }
            pixel(bits, context, folded);
            contexts[at + 1] = context = folded;
            if (at == stop) {
                coder_.learn(at);
                stop = at + 1 + pace.next_wait();
            }
            ++at;
        }
        pace.wait = stop - end;
        predicted_ = predicted;
        bits_ = bits;
    }

    void put_run(BitWriter& bits, unsigned length) {
        Pace& pace = coder_.pace;
        if (length < ShortRuns::kLengths) {
            const ShortRuns::Word& word = kShortRuns.of[pace.run_state][length];
            pace.run_state = word.state;
            bits.put(word.bits, word.length);
            return;
        }
        unsigned hits = 0;
        while (length >= 1u << pace.run_order()) {
            length -= 1u << pace.run_order();
            ++hits;
            pace.run_longer();
        }
        bits.put_ones(hits);
        bits.put(length, pace.run_order() + 1);
        pace.run_shorter();
    }

    unsigned width_;
    BitWriter& bits_;
    std::vector<std::uint32_t> residuals_;
    unsigned predicted_ = 0;  // columns of this row
    Coder<kBits, kParts> coder_;
};

// A row as words with a component in each byte; the fourth byte of 32-bit pixels stays.
void unpack(const PictureView& picture, std::uint32_t y, std::uint32_t* to) {
    const std::uint8_t* from = picture.row(y);
    switch (picture.format) {
        case PixelFormat::rgb16:
            for (std::uint32_t x = 0; x < picture.width; ++x, from += 2) {
                const std::uint32_t pixel = from[0] | std::uint32_t{from[1]} << 8;
                to[x] = (pixel & 31) | (pixel >> 5 & 31) << 8 | (pixel >> 10 & 31) << 16;
            }
            break;
        case PixelFormat::bgr24:
            for (std::uint32_t x = 0; x < picture.width; ++x, from += 3) {
                to[x] = from[0] | std::uint32_t{from[1]} << 8 | std::uint32_t{from[2]} << 16;
            }
            break;
        case PixelFormat::alpha8:
            for (std::uint32_t x = 0; x < picture.width; ++x)
                to[x] = from[x];
            break;
        default: std::memcpy(to, from, std::size_t{picture.width} * 4);
    }
}

void unpack_alpha(const PictureView& picture, std::uint32_t y, std::uint32_t* to) {
    const std::uint8_t* from = picture.row(y) + 3;
    for (std::uint32_t x = 0; x < picture.width; ++x)
        to[x] = from[4 * std::size_t{x}];
}

// Hands out a picture's rows as words; of 32-bit pixels where they stand, of others in two rows of
// its own in turn.
class Rows {
  public:
    void start(std::size_t width) {
        for (auto& row : rows_)
            row.resize(std::max(row.size(), width));
        above_ = nullptr;
    }
    // The row handed out last; null before the first.
    const std::uint32_t* above() const { return above_; }

    const std::uint32_t* take(const PictureView& picture, std::uint32_t y) {
        if (bits_per_pixel(picture.format) == 32 && is_aligned(picture.row(y))) {
            above_ = reinterpret_cast<const std::uint32_t*>(picture.row(y));
        } else {
            std::uint32_t* const to = other();
            unpack(picture, y, to);
            above_ = to;
        }
        return above_;
    }
    const std::uint32_t* take_alpha(const PictureView& picture, std::uint32_t y) {
        std::uint32_t* const to = other();
        unpack_alpha(picture, y, to);
        return above_ = to;
    }

  private:
    std::uint32_t* other() { return rows_[above_ == rows_[0].data() ? 1 : 0].data(); }

    std::vector<std::uint32_t> rows_[2];
    const std::uint32_t* above_ = nullptr;
};

}  // namespace
}  // namespace quic

struct QuicEncoder::Work {
    quic::OutBuffer buffer;
    quic::BitWriter bits;
    quic::Rows colours;
    quic::Rows alpha;

    template <unsigned kBits, unsigned kParts>
    void encode(const PictureView& picture) {
        quic::RowEncoder<kBits, kParts> rows(picture.width, bits);
        colours.start(picture.width);
        for (std::uint32_t y = 0; y < picture.height; ++y) {
            make_room(picture);
            const std::uint32_t* above = colours.above();
            rows.row(above, colours.take(picture, y));
        }
    }
    void encode_with_alpha(const PictureView& picture) {
        quic::RowEncoder<8, 3> rows(picture.width, bits);
        quic::RowEncoder<8, 1> alpha_rows(picture.width, bits);
        colours.start(picture.width);
        alpha.start(picture.width);
        for (std::uint32_t y = 0; y < picture.height; ++y) {
            make_room(picture);
            const std::uint32_t* above = colours.above();
            rows.row(above, colours.take(picture, y));
            above = alpha.above();
            alpha_rows.row(above, alpha.take_alpha(picture, y));
        }
    }
    // Four components of 26 bits and two empty runs of 17 are the most a pixel takes.
    void make_room(const PictureView& picture) {
        buffer.reserve(bits, std::size_t{picture.width} * 18 + 64);
    }
};

QuicEncoder::QuicEncoder() : work_(std::make_unique<Work>()) {}
QuicEncoder::~QuicEncoder() = default;

Result<> QuicEncoder::encode(const PictureView& picture, Bytes& out) {
    const Result<> fits = check_size("QUIC", picture.format, picture.width, picture.height);
    if (!fits) return fits;
    QuicType type;
    switch (picture.format) {
        case PixelFormat::alpha8: type = QuicType::gray; break;
        case PixelFormat::rgb16: type = QuicType::rgb16; break;
        case PixelFormat::bgr24: type = QuicType::rgb24; break;
        case PixelFormat::bgrx32: type = QuicType::rgb32; break;
        case PixelFormat::bgra32: type = QuicType::rgba; break;
        default: return fail(ErrorCode::invalid_argument, "QUIC takes no pictures with palettes");
    }
    LittleWriter header;
    header.u32(quic::kMagic);
    header.u32(0);
    header.u32(static_cast<std::uint32_t>(type));
    header.u32(picture.width);
    header.u32(picture.height);
    out.insert(out.end(), header.view().begin(), header.view().end());

    work_->bits = quic::BitWriter(work_->buffer.data());
    work_->make_room(picture);
    switch (type) {
        case QuicType::gray: work_->encode<8, 1>(picture); break;
        case QuicType::rgb16: work_->encode<5, 3>(picture); break;
        case QuicType::rgb24:
        case QuicType::rgb32: work_->encode<8, 3>(picture); break;
        case QuicType::rgba: work_->encode_with_alpha(picture); break;
    }
    work_->make_room(picture);
    work_->bits.finish();
    out.insert(out.end(), work_->buffer.data(), work_->bits.position());
    return {};
}

}  // namespace segue::spice::codec
