// SPDX-License-Identifier: LGPL-2.1-or-later
// GLZ beside the stock encoder, and spice-gtk's decoder (SEGUE_STOCK_CODECS): a series of pictures
// into a fresh dictionary, and out of the stock one's stream into a fresh window.
#include <benchmark/benchmark.h>
#include <sys/resource.h>

#include "base/check.h"
#include "spice/codec/glz.h"
#include "spice/codec/stock_peer.h"
#include "spice/codec/test_pictures.h"

namespace segue::spice::codec {
namespace {

using Series = std::vector<test::Picture>;

// A window of `height` rows and `width` columns of a console that scrolls line by line.
Series scrolling(std::uint32_t width, std::uint32_t height, bool columns) {
    const std::uint32_t steps = 24;
    const test::Picture whole = test::console(720, height + 16 * steps);
    Series series;
    for (std::uint32_t step = 0; step < steps; ++step) {
        for (std::uint32_t left = 0; left + width <= (columns ? 720 : width); left += width) {
            test::Picture part(width, height);
            for (std::uint32_t y = 0; y < height; ++y) {
                std::memcpy(part.bytes.data() + std::size_t{y} * width * 4,
                            whole.bytes.data() + ((std::size_t{y} + 16 * step) * 720 + left) * 4,
                            width * 4);
            }
            series.push_back(std::move(part));
        }
    }
    return series;
}

// The same picture again with a few new characters, as typing makes it.
Series typing(test::Picture picture) {
    Series series;
    SeededRandom random(9);
    for (int i = 0; i < 24; ++i) {
        const auto y = static_cast<std::uint32_t>(random.below(picture.height / 16)) * 16;
        test::draw_text(picture, static_cast<std::uint32_t>(random.below(picture.width / 2)), y, 3,
                        0xffffff, 0x202020, random);
        series.push_back(picture);
    }
    return series;
}

const Series& series_of(std::int64_t index) {
    static const Series all[] = {scrolling(720, 400, false), scrolling(32, 400, true),
                                 typing(test::desktop()), typing(test::photo())};
    return all[index];
}

void finish(benchmark::State& state, const Series& series, std::size_t size) {
    std::size_t pixels = 0;
    for (const test::Picture& picture : series)
        pixels += picture.bytes.size();
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(pixels));
    state.counters["ratio"] = static_cast<double>(pixels) / static_cast<double>(size);
}

// Seconds of this thread outside the kernel, which has to find pages for a fresh window.
double user_time() {
    rusage usage;
    ENSURE(::getrusage(RUSAGE_THREAD, &usage) == 0);
    return static_cast<double>(usage.ru_utime.tv_sec) +
           static_cast<double>(usage.ru_utime.tv_usec) / 1e6;
}

void finish_decoding(benchmark::State& state, const Series& series, std::size_t size,
                     double begun) {
    state.counters["user"] =
        benchmark::Counter(user_time() - begun, benchmark::Counter::kAvgIterations);
    finish(state, series, size);
}

// spice-gtk must read what we write.
void check_ours(const Series& series) {
    GlzDictionary dictionary(8 << 20);
    stock::GlzDecoder decoder;
    for (const test::Picture& picture : series) {
        Bytes data;
        ENSURE(dictionary.encode(picture.view(), nullptr, data));
        void* const decoded = decoder.decode(data.data());
        ENSURE(decoded != nullptr);
        ENSURE(std::memcmp(decoder.pixels(decoded), picture.bytes.data(), picture.bytes.size()) ==
               0);
        decoder.release(decoded);
    }
}

// Pictures kept by reference, as the stock encoder keeps them.
void glz_encode_ours(benchmark::State& state) {
    const Series& series = series_of(state.range(0));
    const auto owner = std::make_shared<int>(0);
    Bytes out;
    std::size_t size = 0;
    for (auto _ : state) {
        state.PauseTiming();
        GlzDictionary dictionary(8 << 20);
        size = 0;
        state.ResumeTiming();
        for (const test::Picture& picture : series) {
            out.clear();
            benchmark::DoNotOptimize(dictionary.encode(picture.view(), owner, out));
            size += out.size();
        }
    }
    if (stock::decodes_glz()) check_ours(series);
    finish(state, series, size);
}

std::vector<Bytes> theirs(stock::Glz& glz, const Series& series) {
    std::vector<Bytes> all;
    for (const test::Picture& picture : series) {
        Bytes out(picture.bytes.size() * 2 + 65536);
        void* kept = nullptr;
        const int size = glz.encode(glz.context, 8, static_cast<int>(picture.width),
                                    static_cast<int>(picture.height), 1,
                                    const_cast<std::uint8_t*>(picture.bytes.data()), picture.height,
                                    static_cast<int>(picture.width * 4), out.data(),
                                    static_cast<unsigned>(out.size()), nullptr, &kept);
        out.resize(static_cast<std::size_t>(size));
        all.push_back(std::move(out));
    }
    return all;
}

void glz_encode_stock(benchmark::State& state) {
    if (!stock::available()) return state.SkipWithError("SEGUE_STOCK_CODECS is not set");
    const Series& series = series_of(state.range(0));
    Bytes out(series[0].bytes.size() * 2 + 65536);
    std::size_t size = 0;
    for (auto _ : state) {
        state.PauseTiming();
        auto glz = std::make_unique<stock::Glz>();
        size = 0;
        state.ResumeTiming();
        for (const test::Picture& picture : series) {
            void* kept = nullptr;
            size += static_cast<std::size_t>(glz->encode(
                glz->context, 8, static_cast<int>(picture.width), static_cast<int>(picture.height),
                1, const_cast<std::uint8_t*>(picture.bytes.data()), picture.height,
                static_cast<int>(picture.width * 4), out.data(), static_cast<unsigned>(out.size()),
                nullptr, &kept));
        }
        state.PauseTiming();
        glz.reset();
        state.ResumeTiming();
    }
    finish(state, series, size);
}

// What both decode: the stock encoder's stream, where there is one.
std::vector<Bytes> stream_of(const Series& series) {
    if (stock::available()) {
        stock::Glz glz;
        return theirs(glz, series);
    }
    std::vector<Bytes> all;
    GlzDictionary dictionary(8 << 20);
    for (const test::Picture& picture : series) {
        all.emplace_back();
        ENSURE(dictionary.encode(picture.view(), nullptr, all.back()));
    }
    return all;
}

void glz_decode_ours(benchmark::State& state) {
    const Series& series = series_of(state.range(0));
    const std::vector<Bytes> all = stream_of(series);
    std::size_t size = 0;
    for (const Bytes& data : all)
        size += data.size();
    std::shared_ptr<const GlzPicture> last;
    const double begun = user_time();
    for (auto _ : state) {
        GlzWindow window(16 << 20);
        for (std::size_t i = 0; i < all.size(); ++i) {
            const auto decoded = window.decode(all[i]);
            ENSURE(decoded && decoded->picture);
            last = decoded->picture;
        }
    }
    ENSURE(std::memcmp(last->pixels.data(), series.back().bytes.data(), last->pixels.size()) == 0);
    finish_decoding(state, series, size, begun);
}

void glz_decode_stock(benchmark::State& state) {
    if (!stock::decodes_glz()) return state.SkipWithError("no decoder in SEGUE_STOCK_CODECS");
    const Series& series = series_of(state.range(0));
    const std::vector<Bytes> all = stream_of(series);
    std::size_t size = 0;
    for (const Bytes& data : all)
        size += data.size();
    bool is_same = true;
    const double begun = user_time();
    for (auto _ : state) {
        stock::GlzDecoder decoder;
        for (std::size_t i = 0; i < all.size(); ++i) {
            void* const picture = decoder.decode(all[i].data());
            ENSURE(picture != nullptr);
            if (i + 1 == all.size()) {
                is_same = std::memcmp(decoder.pixels(picture), series[i].bytes.data(),
                                      series[i].bytes.size()) == 0;
            }
            decoder.release(picture);
        }
    }
    ENSURE(is_same);
    finish_decoding(state, series, size, begun);
}

// 0 scrolling console, 1 the same in columns of 32, 2 typing on a desktop, 3 on a photo.
BENCHMARK(glz_encode_ours)->DenseRange(0, 3);
BENCHMARK(glz_encode_stock)->DenseRange(0, 3);
BENCHMARK(glz_decode_ours)->DenseRange(0, 3);
BENCHMARK(glz_decode_stock)->DenseRange(0, 3);

}  // namespace
}  // namespace segue::spice::codec
