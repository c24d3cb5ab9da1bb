// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/codec/lz.h"
#include "spice/codec/lz_match.h"

namespace segue::spice::codec {

namespace {

constexpr std::size_t kHeaderSize = 28;

tl::unexpected<Error> broken(std::string_view what) {
    return fail(ErrorCode::protocol, "LZ picture: {}", what);
}

constexpr const char* kEndsEarly = "the data ends early";

// Decoding one pass. `in` moves over the input; both ends are hard. What is wrong comes back as
// text, null if nothing: an Error per step would cost more than the step.
template <class Unit>
class Pass {
  public:
    Pass(const std::uint8_t*& in, const std::uint8_t* in_end, Unit* out, std::size_t count)
        : in_(in), in_end_(in_end), start_(out), out_(out), out_end_(out + count) {}

    const char* run() {
        while (out_ < out_end_) {
            if (in_ == in_end_) return kEndsEarly;
            const std::uint8_t control = *in_++;
            const char* wrong = control < 32 ? literals(control + 1u) : match(control);
            if (wrong != nullptr) return wrong;
        }
        return nullptr;
    }

  private:
    using Kind = LzUnit<Unit>;
    // Copies go in blocks of 64 bytes where so much room is left, a step of 16 at a time; what they
    // write too much is overwritten later.
    static constexpr std::size_t kStep = 16 / sizeof(Unit);
    static constexpr std::size_t kBlock = 4 * kStep;
    std::size_t room() const { return static_cast<std::size_t>(out_end_ - out_); }
    std::size_t left() const { return static_cast<std::size_t>(in_end_ - in_); }

    const char* literals(std::size_t count) {
        if (count > room()) return "more literals than pixels";
        if (count * Kind::kLiteral > left()) return kEndsEarly;
        if constexpr (sizeof(Unit) == 1) {
            std::memcpy(out_, in_, count);
        } else if constexpr (sizeof(Unit) == 2) {
            for (std::size_t i = 0; i < count; ++i) {
                out_[i] = static_cast<Unit>(in_[2 * i] << 8 | in_[2 * i + 1]);
            }
        } else {
            wide_literals(count);
        }
        in_ += count * Kind::kLiteral;
        out_ += count;
        return nullptr;
    }

    void wide_literals(std::size_t count) {
        std::size_t i = 0;
        // Four bytes are read for three, but never behind the end.
        if (count * 3 < left()) {
            for (; i < count; ++i)
                out_[i] = load<ByteOrder::little, Unit>(in_ + 3 * i) & 0xffffff;
        }
        for (; i < count; ++i) {
            const std::uint8_t* from = in_ + 3 * i;
            out_[i] = static_cast<Unit>(from[0] | from[1] << 8 | from[2] << 16);
        }
    }

    const char* match(std::uint8_t control) {
        std::size_t length = control >> 5;
        if (length == 7) {
            std::uint8_t more;
            do {
                if (in_ == in_end_) return kEndsEarly;
                more = *in_++;
                length += more;
            } while (more == 255);
        }
        if (in_ == in_end_) return kEndsEarly;
        std::size_t distance = std::size_t{control & 31u} << 8 | *in_++;
        if (distance == 8191) {
            if (left() < 2) return kEndsEarly;
            distance += static_cast<std::size_t>(in_[0] << 8 | in_[1]);
            in_ += 2;
        }
        distance += 1;
        length += Kind::kBias;
        if (distance > static_cast<std::size_t>(out_ - start_)) {
            return "a match starts before the picture";
        }
        if (length > room()) return "a match is longer than the picture";
        copy(distance, length);
        return nullptr;
    }

    void copy(std::size_t distance, std::size_t length) {
        const Unit* const from = out_ - distance;
        Unit* const to = out_;
        out_ += length;
        if (room() < kBlock || (distance < kStep && kStep % distance != 0)) {
            for (std::size_t i = 0; i < length; ++i)
                to[i] = from[i];
        } else if (distance < kStep) {
            repeat(to, from, distance, length);
        } else {
            // Most matches end within the first block: no loop to guess wrong.
            copy_block(to, from);
            for (std::size_t i = kBlock; i < length; i += kBlock)
                copy_block(to + i, from + i);
        }
    }

    static void copy_block(Unit* to, const Unit* from) {
        for (std::size_t i = 0; i < kBlock; i += kStep)
            std::memcpy(to + i, from + i, 16);
    }

    // `distance` units again and again; a step holds a whole number of them.
    static void repeat(Unit* to, const Unit* from, std::size_t distance, std::size_t length) {
        Unit step[kStep];
        for (std::size_t i = 0; i < kStep; ++i)
            step[i] = from[i % distance];
        for (std::size_t at = 0; at < length; at += kBlock) {
            for (std::size_t i = 0; i < kBlock; i += kStep)
                std::memcpy(to + at + i, step, 16);
        }
    }

    const std::uint8_t*& in_;
    const std::uint8_t* in_end_;
    Unit* start_;
    Unit* out_;
    Unit* out_end_;
};

template <class Unit>
const char* decode_pass(const std::uint8_t*& in, const std::uint8_t* in_end,
                        std::span<std::uint8_t> pixels) {
    return Pass<Unit>(in, in_end, reinterpret_cast<Unit*>(pixels.data()),
                      pixels.size() / sizeof(Unit))
        .run();
}

const char* alpha_pass(const std::uint8_t*& in, const std::uint8_t* in_end,
                       std::span<std::uint8_t> pixels) {
    Bytes alpha(pixels.size() / 4);
    const char* wrong = decode_pass<std::uint8_t>(in, in_end, alpha);
    if (wrong != nullptr) return wrong;
    for (std::size_t i = 0; i < alpha.size(); ++i)
        pixels[4 * i + 3] = alpha[i];
    return nullptr;
}

const char* decode_all(LzType type, const std::uint8_t* in, const std::uint8_t* end,
                       std::span<std::uint8_t> pixels) {
    switch (type) {
        case LzType::one_bit_le:
        case LzType::one_bit_be:
        case LzType::four_bit_le:
        case LzType::four_bit_be:
        case LzType::eight_bit:
        case LzType::alpha8: return decode_pass<std::uint8_t>(in, end, pixels);
        case LzType::rgb16: return decode_pass<std::uint16_t>(in, end, pixels);
        case LzType::rgb24:
        case LzType::rgb32: return decode_pass<std::uint32_t>(in, end, pixels);
        case LzType::rgba: {
            const char* wrong = decode_pass<std::uint32_t>(in, end, pixels);
            return wrong != nullptr ? wrong : alpha_pass(in, end, pixels);
        }
        case LzType::alpha_only: return alpha_pass(in, end, pixels);
    }
    return nullptr;
}

}  // namespace

PixelFormat LzHeader::format() const {
    switch (type) {
        case LzType::one_bit_le: return PixelFormat::one_bit_le;
        case LzType::one_bit_be: return PixelFormat::one_bit_be;
        case LzType::four_bit_le: return PixelFormat::four_bit_le;
        case LzType::four_bit_be: return PixelFormat::four_bit_be;
        case LzType::eight_bit: return PixelFormat::eight_bit;
        case LzType::rgb16: return PixelFormat::rgb16;
        case LzType::rgb24:
        case LzType::rgb32: return PixelFormat::bgrx32;
        case LzType::rgba:
        case LzType::alpha_only: return PixelFormat::bgra32;
        case LzType::alpha8: return PixelFormat::alpha8;
    }
    return PixelFormat::bgrx32;
}

Result<LzHeader> lz_read_header(ByteView data) {
    BigReader reader(data);
    const std::uint32_t magic = reader.u32();
    const std::uint32_t version = reader.u32();
    const std::uint32_t type = reader.u32();
    LzHeader header;
    header.width = reader.u32();
    header.height = reader.u32();
    const std::uint32_t stride = reader.u32();
    header.top_down = reader.u32() != 0;
    if (!reader.ok()) return broken("no room for its header");
    if (magic != 0x20205a4c || version != 0x00010001) return broken("wrong magic or version");
    if (type < 1 || type > 11) return broken("unknown type");
    header.type = static_cast<LzType>(type);
    const Result<> fits = check_size("LZ", header.format(), header.width, header.height);
    if (!fits) return tl::unexpected(fits.error());
    // 24-bit rows are announced at three bytes a pixel and decoded at four.
    const std::size_t announced =
        header.type == LzType::rgb24 ? std::size_t{header.width} * 3 : header.row_bytes();
    if (stride != announced) return broken("its stride is not that of its width");
    return header;
}

Result<> lz_decode(ByteView data, std::span<std::uint8_t> pixels) {
    const LzHeader header = TRY(lz_read_header(data));
    if (pixels.size() != header.pixel_bytes() || !is_aligned(pixels.data())) {
        return fail(ErrorCode::invalid_argument,
                    "LZ picture: room for {} bytes, {} at a multiple of 4 are needed",
                    pixels.size(), header.pixel_bytes());
    }
    const char* wrong =
        decode_all(header.type, data.data() + kHeaderSize, data.data() + data.size(), pixels);
    if (wrong != nullptr) return broken(wrong);
    return {};
}

}  // namespace segue::spice::codec
