// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>

#include "spice/codec/quic.h"
#include "spice/codec/quic_model.h"

namespace segue::spice::codec {

namespace quic {
namespace {

// Bits, the first one highest, in little-endian words. Room is asked for a row at a time.
class BitWriter {
  public:
    void start() {
        out_ = buffer_.get();
        pending_ = 0;
        count_ = 0;
    }
    void reserve(std::size_t size) {
        const auto used = static_cast<std::size_t>(out_ - buffer_.get());
        if (capacity_ - used >= size) return;
        capacity_ = std::max(2 * capacity_, used + size);
        auto larger = std::make_unique_for_overwrite<std::uint8_t[]>(capacity_);
        if (used > 0) std::memcpy(larger.get(), buffer_.get(), used);
        buffer_ = std::move(larger);
        out_ = buffer_.get() + used;
    }

    // At most 32 bits.
    void put(std::uint32_t word, unsigned length) {
        pending_ = pending_ << length | word;
        count_ += length;
        // A word is stored at each call and kept if it is full: cheaper than to ask.
        const bool is_full = count_ >= 32;
        store<ByteOrder::little>(out_, static_cast<std::uint32_t>(pending_ >> (count_ & 31)));
        out_ += is_full ? 4 : 0;
        count_ &= 31;
    }
    void put_ones(unsigned count) {
        for (; count >= 32; count -= 32)
            put(UINT32_MAX, 32);
        if (count > 0) put((1u << count) - 1, count);
    }
    // Fills the last word; one word of zeros follows, which decoders read ahead.
    ByteView finish() {
        if (count_ > 0) put(0, 32 - count_);
        put(0, 32);
        return {buffer_.get(), static_cast<std::size_t>(out_ - buffer_.get())};
    }

  private:
    std::unique_ptr<std::uint8_t[]> buffer_;
    std::size_t capacity_ = 0;
    std::uint8_t* out_ = nullptr;
    std::uint64_t pending_ = 0;
    unsigned count_ = 0;
};

template <unsigned kBits, unsigned kParts>
class RowEncoder {
  public:
    RowEncoder(unsigned width, BitWriter& bits)
        : width_(width), bits_(bits), coder_(width), folded_(width) {}

    // Null above for the first row.
    void row(const std::uint32_t* above, const std::uint32_t* row) {
        coder_.start_row(above == nullptr);
        fold_row(above, row);
        for_segments(coder_.pace, width_,
                     [&](unsigned from, unsigned to) { segment(above, row, from, to); });
    }

  private:
    using Math = Arithmetic<kBits>;

    // What is to be coded depends on the pixels alone: the whole row first.
    void fold_row(const std::uint32_t* above, const std::uint32_t* row) {
        folded_[0] = Math::fold(above ? Math::subtract(row[0], above[0]) : row[0]);
        if (above == nullptr) {
            for (unsigned x = 1; x < width_; ++x) {
                folded_[x] = Math::fold(Math::subtract(row[x], row[x - 1]));
            }
            return;
        }
        for (unsigned x = 1; x < width_; ++x) {
            folded_[x] = Math::fold(Math::subtract(row[x], Math::average(row[x - 1], above[x])));
        }
    }

    void pixel(unsigned at) {
        const std::uint32_t folded = folded_[at];
        const auto& context = coder_.contexts[at];
        std::uint64_t word = 0;
        unsigned length = 0;
        std::uint32_t packed[kParts];
        for (unsigned part = kParts; part-- > 0;) {
            const unsigned best = coder_.models[part].best(context[part]);
            packed[part] = kCodes<kBits>.packed[best][folded >> (8 * part) & 255];
            const unsigned size = packed[part] & 31;
            word = word << size | packed[part] >> 5;
            length += size;
        }
        if (length <= 32) {
            bits_.put(static_cast<std::uint32_t>(word), length);
        } else {
            for (unsigned part = kParts; part-- > 0;) {
                bits_.put(packed[part] >> 5, packed[part] & 31);
            }
        }
        coder_.remember(at, folded);
    }

    void segment(const std::uint32_t* above, const std::uint32_t* row, unsigned at, unsigned end) {
        Pace& pace = coder_.pace;
        if (at == 0) {
            pixel(0);
            if (pace.wait > 0) {
                --pace.wait;
            } else {
                pace.wait = pace.next_wait();
                coder_.learn(0, folded_[0]);
            }
            at = 1;
        }
        unsigned stop = at + pace.wait;
        unsigned last_run = 0;
        while (at < end) {
            if (above != nullptr && run_starts(above, row, at, last_run)) {
                const unsigned wait = stop - at;
                last_run = at;
                while (at < end && row[at] == row[at - 1])
                    ++at;
                put_run(at - last_run);
                if (at == end) {
                    pace.wait = wait;
                    return;
                }
                stop = at + wait;
                continue;  // another run, of no length, may start here at once
            }
            pixel(at);
            if (at == stop) {
                coder_.learn(at, folded_[at]);
                stop = at + 1 + pace.next_wait();
            }
            ++at;
        }
        pace.wait = stop - end;
    }

    void put_run(unsigned length) {
        Pace& pace = coder_.pace;
        unsigned hits = 0;
        while (length >= 1u << pace.run_order()) {
            length -= 1u << pace.run_order();
            ++hits;
            pace.run_longer();
        }
        bits_.put_ones(hits);
        bits_.put(length, pace.run_order() + 1);
        pace.run_shorter();
    }

    unsigned width_;
    BitWriter& bits_;
    Coder<kBits, kParts> coder_;
    std::vector<std::uint32_t> folded_;
};

// A row as words with a component in each byte.
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
        default:
            for (std::uint32_t x = 0; x < picture.width; ++x, from += 4) {
                to[x] = load<ByteOrder::little, std::uint32_t>(from) & 0xffffff;
            }
    }
}

void unpack_alpha(const PictureView& picture, std::uint32_t y, std::uint32_t* to) {
    const std::uint8_t* from = picture.row(y) + 3;
    for (std::uint32_t x = 0; x < picture.width; ++x)
        to[x] = from[4 * std::size_t{x}];
}

// Two rows: the one above and this one.
struct Rows {
    std::vector<std::uint32_t> rows[2];
    bool is_second = false;
    bool has_above = false;

    void start(std::size_t width) {
        for (auto& row : rows)
            row.resize(std::max(row.size(), width));
        is_second = has_above = false;
    }
    std::uint32_t* row() { return rows[is_second ? 1 : 0].data(); }
    const std::uint32_t* above() const {
        return has_above ? rows[is_second ? 0 : 1].data() : nullptr;
    }
    void next() {
        is_second = !is_second;
        has_above = true;
    }
};

}  // namespace
}  // namespace quic

struct QuicEncoder::Work {
    quic::BitWriter bits;
    quic::Rows colours;
    quic::Rows alpha;

    template <unsigned kBits, unsigned kParts>
    void encode(const PictureView& picture) {
        quic::RowEncoder<kBits, kParts> rows(picture.width, bits);
        colours.start(picture.width);
        for (std::uint32_t y = 0; y < picture.height; ++y, colours.next()) {
            make_room(picture);
            quic::unpack(picture, y, colours.row());
            rows.row(colours.above(), colours.row());
        }
    }
    void encode_with_alpha(const PictureView& picture) {
        quic::RowEncoder<8, 3> rows(picture.width, bits);
        quic::RowEncoder<8, 1> alpha_rows(picture.width, bits);
        colours.start(picture.width);
        alpha.start(picture.width);
        for (std::uint32_t y = 0; y < picture.height; ++y, colours.next(), alpha.next()) {
            make_room(picture);
            quic::unpack(picture, y, colours.row());
            rows.row(colours.above(), colours.row());
            quic::unpack_alpha(picture, y, alpha.row());
            alpha_rows.row(alpha.above(), alpha.row());
        }
    }
    // Four components of 26 bits and two empty runs of 17 are the most a pixel takes.
    void make_room(const PictureView& picture) {
        bits.reserve(std::size_t{picture.width} * 18 + 64);
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

    work_->bits.start();
    work_->make_room(picture);
    switch (type) {
        case QuicType::gray: work_->encode<8, 1>(picture); break;
        case QuicType::rgb16: work_->encode<5, 3>(picture); break;
        case QuicType::rgb24:
        case QuicType::rgb32: work_->encode<8, 3>(picture); break;
        case QuicType::rgba: work_->encode_with_alpha(picture); break;
    }
    work_->bits.reserve(64);
    const ByteView data = work_->bits.finish();
    out.insert(out.end(), data.begin(), data.end());
    return {};
}

}  // namespace segue::spice::codec
