// SPDX-License-Identifier: LGPL-2.1-or-later
// The stock codecs as the peer of our benches: a shared object made of spice-common's and
// spice-server's objects (tests/bench/stock-codecs.sh builds it) and named by SEGUE_STOCK_CODECS.
// Only the C interface is stated here.
#pragma once

#include <dlfcn.h>

#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace segue::spice::codec::stock {

// The call-back tables have this order of members in lz.h and quic.h.
struct User {
    void (*error)(User*, const char*, ...);
    void (*warn)(User*, const char*, ...);
    void (*info)(User*, const char*, ...);
    void* (*allocate)(User*, int);
    void (*release)(User*, void*);
    int (*more_space)(User*, std::uint8_t**);
    int (*more_lines)(User*, std::uint8_t**);
};

inline void say(User*, const char* text, ...) {
    std::fprintf(stderr, "stock codec: %s\n", text);
    std::abort();
}
inline User& user() {
    static User instance = {
        say,
        say,
        say,
        [](User*, int size) { return std::malloc(static_cast<std::size_t>(size)); },
        [](User*, void* memory) { std::free(memory); },
        [](User*, std::uint8_t**) { return 0; },
        [](User*, std::uint8_t**) { return 0; }};
    return instance;
}

inline void* library() {
    static void* const handle = [] {
        const char* path = std::getenv("SEGUE_STOCK_CODECS");
        return path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : nullptr;
    }();
    return handle;
}
inline bool available() {
    return library() != nullptr;
}

// Whether GLZ's decoder of spice-gtk is in it, too.
inline bool decodes_glz() {
    return available() && dlsym(library(), "glz_decoder_new") != nullptr;
}

template <class Function>
Function symbol(const char* name) {
    auto* found = reinterpret_cast<Function>(dlsym(library(), name));
    if (found == nullptr) say(nullptr, name);
    return found;
}

struct Lz {
    void* context = symbol<void* (*)(User*)>("lz_create")(&user());
    int (*encode)(void*, int type, int width, int height, int top_down, std::uint8_t* lines,
                  unsigned line_count, int stride, std::uint8_t* out,
                  unsigned size) = symbol<decltype(encode)>("lz_encode");
    void (*begin)(void*, std::uint8_t* in, unsigned size, int* type, int* width, int* height,
                  int* pixels, int* top_down,
                  const void* palette) = symbol<decltype(begin)>("lz_decode_begin");
    void (*decode)(void*, int type, std::uint8_t* out) = symbol<decltype(decode)>("lz_decode");
};

struct QuicUser {
    void (*error)(User*, const char*, ...) = say;
    void (*warn)(User*, const char*, ...) = say;
    void (*info)(User*, const char*, ...) = say;
    void* (*allocate)(User*, int) = user().allocate;
    void (*release)(User*, void*) = user().release;
    int (*more_space)(User*, std::uint32_t**, int) = [](User*, std::uint32_t**, int) { return 0; };
    int (*more_lines)(User*, std::uint8_t**) = user().more_lines;
};

struct Quic {
    QuicUser calls;
    void* context = symbol<void* (*)(QuicUser*)>("quic_create")(&calls);
    int (*encode)(void*, int type, int width, int height, std::uint8_t* lines, unsigned line_count,
                  int stride, std::uint32_t* out,
                  unsigned words) = symbol<decltype(encode)>("quic_encode");
    int (*begin)(void*, std::uint32_t* in, unsigned words, int* type, int* width,
                 int* height) = symbol<decltype(begin)>("quic_decode_begin");
    int (*decode)(void*, int type, std::uint8_t* out,
                  int stride) = symbol<decltype(decode)>("quic_decode");
};

// GLZ's call-back table: no call for a warning's space, one more for a picture that left the
// window.
struct GlzUser {
    void (*error)(User*, const char*, ...) = say;
    void (*warn)(User*, const char*, ...) = say;
    void (*info)(User*, const char*, ...) = say;
    void* (*allocate)(User*, int) = user().allocate;
    void (*release)(User*, void*) = user().release;
    int (*more_lines)(User*, std::uint8_t**) = user().more_lines;
    int (*more_space)(User*, std::uint8_t**) = user().more_space;
    void (*free_picture)(User*, void*) = [](User*, void*) {};
};

struct Glz {
    GlzUser calls;
    void* dictionary = symbol<void* (*)(std::uint32_t, std::uint32_t, GlzUser*)>(
        "glz_enc_dictionary_create")(8 * 1024 * 1024, 4, &calls);
    void* context = symbol<void* (*)(std::uint8_t, void*, GlzUser*)>("glz_encoder_create")(
        0, dictionary, &calls);
    int (*encode)(void*, int type, int width, int height, int top_down, std::uint8_t* lines,
                  unsigned line_count, int stride, std::uint8_t* out, unsigned size, void* owner,
                  void** picture) = symbol<decltype(encode)>("glz_encode");
    ~Glz() {
        symbol<void (*)(void*)>("glz_encoder_destroy")(context);
        symbol<void (*)(void*, GlzUser*)>("glz_enc_dictionary_destroy")(dictionary, &calls);
    }
};

// spice-gtk's: a decoder is a pointer to its table of calls, which has one.
struct GlzDecoder {
    using Calls = void (*)(void* decoder, const std::uint8_t* data, void* palette, void** picture);

    void* window = symbol<void* (*)()>("glz_decoder_window_new")();
    void* decoder = symbol<void* (*)(void*)>("glz_decoder_new")(window);
    int (*release)(void*) = symbol<decltype(release)>("pixman_image_unref");
    std::uint32_t* (*pixels)(void*) = symbol<decltype(pixels)>("pixman_image_get_data");

    GlzDecoder() = default;
    GlzDecoder(const GlzDecoder&) = delete;
    GlzDecoder& operator=(const GlzDecoder&) = delete;
    // The picture is the caller's, besides the window's.
    void* decode(const std::uint8_t* data) {
        void* picture = nullptr;
        (**static_cast<Calls**>(decoder))(decoder, data, nullptr, &picture);
        return picture;
    }
    ~GlzDecoder() {
        symbol<void (*)(void*)>("glz_decoder_destroy")(decoder);
        symbol<void (*)(void*)>("glz_decoder_window_destroy")(window);
    }
};

}  // namespace segue::spice::codec::stock
