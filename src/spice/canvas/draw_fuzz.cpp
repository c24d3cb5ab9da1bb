// SPDX-License-Identifier: LGPL-2.1-or-later
// Every drawing operation with arguments of the fuzzer's choice; the sanitizers see any access
// outside of the pictures.
#include <array>

#include "base/bytes.h"
#include "spice/canvas/bitmap.h"
#include "spice/canvas/draw.h"

using namespace segue;
using namespace segue::spice::canvas;

namespace {

Rect read_rect(LittleReader& in) {
    // Small coordinates most of the time: they are the ones that hit.
    if (in.u8() & 0x80) return {in.i32(), in.i32(), in.i32(), in.i32()};
    const auto small = [&] { return static_cast<std::int8_t>(in.u8()); };
    return {small(), small(), small(), small()};
}

Image make_image(LittleReader& in) {
    constexpr std::array kFormats = {Format::a8, Format::rgb555, Format::rgb565, Format::xrgb32,
                                     Format::argb32};
    const Format format = kFormats[in.u8() % kFormats.size()];
    return std::move(Image::create(format, 1 + in.u8() % 64, 1 + in.u8() % 64)).value();
}

void draw_one(LittleReader& in, Image& target, const Image& source, const Image& mask_bits) {
    const Rect box = read_rect(in);
    const Rect clips[] = {read_rect(in), read_rect(in)};
    const std::span<const Rect> clip(clips);
    const std::uint8_t choice = in.u8();
    Mask mask;
    if (choice & 0x10) mask = {&mask_bits, (choice & 0x20) != 0, {in.i32(), in.i32()}};
    const Region region = draw_area(target, box, choice & 0x40 ? &clip : nullptr, mask).region;
    const auto rop = static_cast<Rop>(in.u8() & 15);
    const Source from{&source, read_rect(in), static_cast<ScaleMode>(in.u8() & 1)};
    Brush brush{static_cast<Brush::Kind>(in.u8() % 3), in.u32(), &source, {in.i32(), in.i32()}};
    switch (choice & 0xf) {
        case 0: return fill(target, region, brush, rop);
        case 1: return void(copy(target, region, box, from, rop));
        case 2: return void(opaque(target, region, box, from, brush, rop));
        case 3: return copy_bits(target, region, box, {in.i32(), in.i32()});
        case 4: return void(transparent(target, region, box, from, in.u32()));
        case 5:
            return alpha_blend(target, region, box, from,
                               {in.u8(), (in.u8() & 1) != 0, (in.u8() & 1) != 0});
        case 6: return void(rop3(target, region, box, from, brush, in.u8()));
        case 7: {
            CompositeOperand one{&source, {in.i32(), in.i32()}, in.u8(), in.u8(), false, false};
            one.transformed = in.u8() & 1;
            for (auto& cell : one.transform)
                cell = in.i32();
            const std::uint8_t operation = in.u8();
            return void(composite(target, region, box, operation, one, {}));
        }
        case 8: {
            Text string;
            string.glyph_bits = 1 << (in.u8() & 3);
            string.fore_brush = brush;
            string.back_area = read_rect(in);
            const Rect place = read_rect(in);
            const std::uint8_t width = in.u8(), height = in.u8();
            string.glyphs.push_back({{place.left, place.top},
                                     {place.right, place.bottom},
                                     width,
                                     height,
                                     in.bytes(in.remaining() / 2)});
            return void(text(target, region, string));
        }
        default: {
            Stroke line;
            line.brush = brush;
            line.rop = rop;
            for (int count = in.u8() % 4; count > 0; --count) {
                const Rect a = read_rect(in), b = read_rect(in);
                line.path.push_back(
                    {in.u8(), {{a.left, a.top}, {a.right, a.bottom}, {b.left, b.top}}});
                if (in.u8() & 1) line.dashes.push_back(in.i32());
            }
            return void(stroke(target, region, line));
        }
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    LittleReader in({data, size});
    Image target = make_image(in);
    const Image source = make_image(in);
    const Image mask = std::move(Image::create(Format::a1, 40, 40)).value();
    for (int count = 0; count < 16 && in.remaining() > 0; ++count)
        draw_one(in, target, source, mask);
    const Bitmap bitmap{static_cast<BitmapFormat>(size % 12),
                        static_cast<std::uint32_t>(size % 70),
                        static_cast<std::uint32_t>(size % 9),
                        static_cast<std::uint32_t>(size % 30),
                        true,
                        {},
                        {data, size}};
    (void)image_of(bitmap);
    (void)mask_of(bitmap);
    return 0;
}
