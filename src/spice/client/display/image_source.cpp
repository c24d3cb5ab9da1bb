// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/client/display/image_source.h"

#include "spice/canvas/bitmap.h"
#include "spice/client/display/decode.h"
#include "spice/codec/zlib_codec.h"

namespace segue::spice::client {

namespace display = wire::display;
using display::ImageFlags;
using display::ImageType;
using wire::has;

namespace {

// The flag says that the unused byte of each pixel is all ones: the picture has alpha then.
Result<ImageHolder> with_high_bits(ImageHolder holder) {
    // Others have the picture as it came.
    if (holder.own() == nullptr) holder = ImageHolder(TRY(holder.get()->copy()));
    canvas::Image& image = *holder.own();
    for (std::int32_t y = 0; y < image.height() && image.format() == canvas::Format::xrgb32; ++y) {
        auto* line = reinterpret_cast<std::uint32_t*>(image.line(y));
        for (std::int32_t x = 0; x < image.width(); ++x)
            line[x] |= 0xff000000;
    }
    return holder;
}

canvas::Bitmap bitmap_of(const display::BitmapData& data, ByteView pixels,
                         std::span<const std::uint32_t> palette) {
    return {static_cast<canvas::BitmapFormat>(data.format),  data.width, data.height, data.stride,
            has(data.flags, display::BitmapFlags::top_down), palette,    pixels};
}

}  // namespace

Result<ImageHolder> ImageSource::get(const display::Image& image, const canvas::Image& target) {
    if (image.type == ImageType::surface) {
        const auto& reference = std::get<display::SurfaceReference>(image.data);
        return ImageHolder(TRY(surfaces_.find(reference.surface_id)));
    }
    if (image.type == ImageType::from_cache || image.type == ImageType::from_cache_lossless) {
        canvas::SharedImage found = shared_.images.find(image.id);
        if (!found) {
            return fail(ErrorCode::protocol, "image {:#x} is not in the cache", image.id);
        }
        return ImageHolder(std::move(found));
    }
    const bool cached =
        has(image.flags, ImageFlags::cache_me) || has(image.flags, ImageFlags::cache_replace_me);
    const bool sixteen_bits = canvas::bits_per_pixel(target.format()) == 16;
    // The spare memory is for what is given back soon.
    ImageHolder holder =
        TRY(decode(image, sixteen_bits && !cached ? target.format() : canvas::Format::xrgb32,
                   cached ? canvas::Image() : take_spare()));
    last_codec_ = name_of(image.type);
    if (has(image.flags, ImageFlags::high_bits_set))
        holder = TRY(with_high_bits(std::move(holder)));
    if (cached) TRY(shared_.images.put(image.id, holder.share()));
    return holder;
}

Result<ImageHolder> ImageSource::get_mask(const display::Image& image) {
    ImageHolder mask;
    if (image.type == ImageType::bitmap) {
        const auto& data = std::get<display::BitmapData>(image.data);
        const wire::SharedBytes bytes = data.data.contiguous();
        auto shared = std::make_shared<const canvas::Image>(
            TRY(canvas::mask_of(bitmap_of(data, bytes.view(), {}))));
        if (has(image.flags, ImageFlags::cache_me)) TRY(shared_.images.put(image.id, shared));
        mask = ImageHolder(std::move(shared));
    } else if (image.type == ImageType::surface) {
        const auto& reference = std::get<display::SurfaceReference>(image.data);
        mask = ImageHolder(TRY(surfaces_.find(reference.surface_id)));
    } else {
        mask = ImageHolder(shared_.images.find(image.id));
    }
    if (mask.get() == nullptr || mask.get()->format() != canvas::Format::a1) {
        return fail(ErrorCode::protocol, "image {:#x} is no mask of one bit", image.id);
    }
    return mask;
}

Result<ImageSource::Entries> ImageSource::palette_of(
    display::BitmapFlags flags, std::uint64_t id, const std::optional<display::Palette>& palette) {
    if (has(flags, display::BitmapFlags::pal_from_cache)) {
        const auto found = palettes_.find(id);
        if (found == palettes_.end()) {
            return fail(ErrorCode::protocol, "palette {:#x} is not in the cache", id);
        }
        return found->second;
    }
    if (!palette) return Entries{};
    if (has(flags, display::BitmapFlags::pal_cache_me)) {
        if (palettes_.size() >= kMaxPalettes && !palettes_.contains(palette->unique)) {
            return fail(ErrorCode::limit_exceeded, "the server caches more than {} palettes",
                        kMaxPalettes);
        }
        palettes_[palette->unique] = palette->entries;
    }
    return palette->entries;
}

Result<ImageHolder> ImageSource::decode_glz(ByteView data) {
    const codec::GlzDecoded decoded = TRY(shared_.glz.decode(data));
    if (!decoded.picture) {
        shared_.glz_waits_for = decoded.waits_for;
        return fail(ErrorCode::operation_invalid, "a GLZ picture waits for picture {}",
                    decoded.waits_for.value_or(0));
    }
    ++shared_.glz_decoded;
    TRY(shared_.glz_count.add(decoded.picture));
    if (!shared_.glz_room.resize(shared_.glz.kept_pixels() * 4)) {
        return fail(ErrorCode::limit_exceeded,
                    "GLZ window: what the server makes us keep has reached the bound of {} bytes",
                    shared_.glz_room.most());
    }
    return ImageHolder(TRY(image_of_glz(decoded.picture)));
}

Result<ImageHolder> ImageSource::decode(const display::Image& image, canvas::Format palette_format,
                                        canvas::Image old) {
    if (const auto* data = std::get_if<display::BitmapData>(&image.data)) {
        const Entries palette = TRY(palette_of(data->flags, data->palette_id, data->palette));
        const wire::SharedBytes bytes = data->data.contiguous();
        return ImageHolder(
            TRY(canvas::image_of(bitmap_of(*data, bytes.view(), palette), palette_format)));
    }
    if (const auto* data = std::get_if<display::LzPaletteData>(&image.data)) {
        const Entries palette = TRY(palette_of(data->flags, data->palette_id, data->palette));
        const wire::SharedBytes bytes = data->data.contiguous();
        return ImageHolder(TRY(decode_lz(bytes.view(), palette, palette_format, std::move(old))));
    }
    if (const auto* data = std::get_if<display::BinaryData>(&image.data)) {
        const wire::SharedBytes bytes = data->data.contiguous();
        if (image.type == ImageType::lz_rgb)
            return ImageHolder(TRY(decode_lz(bytes.view(), {}, palette_format, std::move(old))));
        if (image.type == ImageType::quic)
            return ImageHolder(TRY(decode_quic(bytes.view(), std::move(old))));
        if (image.type == ImageType::glz_rgb) return decode_glz(bytes.view());
        if (image.type == ImageType::jpeg)
            return ImageHolder(TRY(decode_jpeg(bytes.view(), true, std::move(old))));
        if (image.type == ImageType::lz4)
            return ImageHolder(
                TRY(decode_lz4(bytes.view(), image.width, image.height, std::move(old))));
    }
    if (const auto* data = std::get_if<display::ZlibGlzData>(&image.data)) {
        const wire::SharedBytes bytes = data->data.contiguous();
        const Bytes glz = TRY(codec::zlib_decode(bytes.view(), data->glz_data_size));
        return decode_glz(glz);
    }
    if (const auto* data = std::get_if<display::JpegAlphaData>(&image.data)) {
        const wire::SharedBytes bytes = data->data.contiguous();
        const bool top_down = has(data->flags, display::JpegAlphaFlags::top_down);
        return ImageHolder(
            TRY(decode_jpeg_alpha(bytes.view(), data->jpeg_size, top_down, std::move(old))));
    }
    return fail(ErrorCode::no_support, "image {:#x} is of type {}, which is not decoded here",
                image.id, static_cast<int>(image.type));
}

}  // namespace segue::spice::client
