// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/codec/jpeg_codec.h"

#include <csetjmp>
#include <cstdio>
#include <cstdlib>

#include <jpeglib.h>

namespace segue::spice::codec {

namespace {

// libjpeg reports errors by a call that must not return. Nothing with a destructor lives between
// the setjmp and the calls it guards.
struct Guard {
    jpeg_error_mgr manager;
    std::jmp_buf jump;
    char text[JMSG_LENGTH_MAX];
};

void on_error(j_common_ptr state) {
    auto* guard = reinterpret_cast<Guard*>(state->err);
    guard->manager.format_message(state, guard->text);
    std::longjmp(guard->jump, 1);
}
void on_message(j_common_ptr) {}

// A progressive picture may have thousands of tiny scans, each of which costs a pass over all of
// it.
constexpr int kMaxScans = 100;
void on_progress(j_common_ptr state) {
    if (!state->is_decompressor) return;
    if (reinterpret_cast<j_decompress_ptr>(state)->input_scan_number > kMaxScans) {
        auto* guard = reinterpret_cast<Guard*>(state->err);
        std::snprintf(guard->text, sizeof guard->text, "more than %d scans", kMaxScans);
        std::longjmp(guard->jump, 1);
    }
}

jpeg_error_mgr* install(Guard& guard) {
    jpeg_std_error(&guard.manager);
    guard.manager.error_exit = on_error;
    guard.manager.output_message = on_message;
    guard.text[0] = 0;
    return &guard.manager;
}

tl::unexpected<Error> broken(const Guard& guard) {
    return fail(ErrorCode::protocol, "JPEG picture: {}", guard.text);
}

void widen(const PictureView& picture, std::uint32_t y, std::uint8_t* to) {
    const std::uint8_t* from = picture.row(y);
    for (std::uint32_t x = 0; x < picture.width; ++x, from += 2, to += 4) {
        const unsigned pixel = from[0] | from[1] << 8;
        const auto five_to_eight = [](unsigned five) {
            return static_cast<std::uint8_t>(five << 3 | five >> 2);
        };
        to[0] = five_to_eight(pixel & 31);
        to[1] = five_to_eight(pixel >> 5 & 31);
        to[2] = five_to_eight(pixel >> 10 & 31);
    }
}

// Writes into memory that libjpeg allocates and the caller frees. False: guard.text says why.
bool compress(const PictureView& picture, int quality, std::uint8_t* wide_row, Guard& guard,
              unsigned char** memory, unsigned long* size) {
    jpeg_compress_struct state;
    state.err = install(guard);
    if (setjmp(guard.jump) != 0) {
        jpeg_destroy_compress(&state);
        return false;
    }
    jpeg_create_compress(&state);
    jpeg_mem_dest(&state, memory, size);
    state.image_width = picture.width;
    state.image_height = picture.height;
    const bool is_narrow = picture.format == PixelFormat::bgr24;
    state.input_components = is_narrow ? 3 : 4;
    state.in_color_space = is_narrow ? JCS_EXT_BGR : JCS_EXT_BGRX;
    jpeg_set_defaults(&state);
    jpeg_set_quality(&state, quality, TRUE);
    jpeg_start_compress(&state, TRUE);
    while (state.next_scanline < state.image_height) {
        auto* row = const_cast<std::uint8_t*>(picture.row(state.next_scanline));
        if (picture.format == PixelFormat::rgb16) {
            widen(picture, state.next_scanline, wide_row);
            row = wide_row;
        }
        jpeg_write_scanlines(&state, &row, 1);
    }
    jpeg_finish_compress(&state);
    jpeg_destroy_compress(&state);
    return true;
}

// Reads the header, and the pixels too where `pixels` is not null. False: guard.text says why.
bool decompress(ByteView data, JpegHeader& header, std::uint8_t* pixels, Guard& guard) {
    jpeg_decompress_struct state;
    jpeg_progress_mgr progress = {};
    state.err = install(guard);
    if (setjmp(guard.jump) != 0) {
        jpeg_destroy_decompress(&state);
        return false;
    }
    jpeg_create_decompress(&state);
    progress.progress_monitor = on_progress;
    state.progress = &progress;
    jpeg_mem_src(&state, data.data(), data.size());
    jpeg_read_header(&state, TRUE);
    header = {state.image_width, state.image_height};
    if (pixels != nullptr) {
        state.out_color_space = JCS_EXT_BGRX;
        jpeg_start_decompress(&state);
        while (state.output_scanline < state.output_height) {
            JSAMPROW row = pixels + std::size_t{state.output_scanline} * state.output_width * 4;
            jpeg_read_scanlines(&state, &row, 1);
        }
        jpeg_finish_decompress(&state);
    }
    jpeg_destroy_decompress(&state);
    return true;
}

}  // namespace

Result<> jpeg_encode(const PictureView& picture, int quality, Bytes& out) {
    const Result<> fits = check_size("JPEG", picture.format, picture.width, picture.height);
    if (!fits) return fits;
    if (bits_per_pixel(picture.format) < 16 || picture.format == PixelFormat::alpha8) {
        return fail(ErrorCode::invalid_argument, "JPEG takes no pictures with palettes");
    }
    Bytes wide_row(picture.format == PixelFormat::rgb16 ? std::size_t{picture.width} * 4 : 0);
    Guard guard;
    unsigned char* memory = nullptr;
    unsigned long size = 0;
    const bool done = compress(picture, quality, wide_row.data(), guard, &memory, &size);
    if (done) out.insert(out.end(), memory, memory + size);
    std::free(memory);
    if (!done) return broken(guard);
    return {};
}

Result<JpegHeader> jpeg_read_header(ByteView data) {
    Guard guard;
    JpegHeader header;
    if (!decompress(data, header, nullptr, guard)) return broken(guard);
    const Result<> fits = check_size("JPEG", PixelFormat::bgrx32, header.width, header.height);
    if (!fits) return tl::unexpected(fits.error());
    return header;
}

Result<> jpeg_decode(ByteView data, std::span<std::uint8_t> pixels) {
    const JpegHeader header = TRY(jpeg_read_header(data));
    if (pixels.size() != header.pixel_bytes()) {
        return fail(ErrorCode::invalid_argument, "JPEG picture: room for {} bytes, {} are needed",
                    pixels.size(), header.pixel_bytes());
    }
    Guard guard;
    JpegHeader again;
    if (!decompress(data, again, pixels.data(), guard)) return broken(guard);
    return {};
}

}  // namespace segue::spice::codec
