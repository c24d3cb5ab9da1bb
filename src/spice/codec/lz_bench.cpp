// SPDX-License-Identifier: LGPL-2.1-or-later
// LZ beside the stock codec (SEGUE_STOCK_CODECS). Each side first decodes the other's picture.
#include <benchmark/benchmark.h>

#include "base/check.h"
#include "spice/codec/lz.h"
#include "spice/codec/stock_peer.h"
#include "spice/codec/test_pictures.h"

namespace segue::spice::codec {
namespace {

const test::Picture& picture_of(int index) {
    static const test::Picture pictures[] = {test::console(), test::desktop(), test::photo(),
                                             test::console(32, 400)};
    return pictures[index];
}

Bytes ours(const test::Picture& picture) {
    LzEncoder encoder;
    Bytes out;
    ENSURE(encoder.encode(picture.view(), out));
    return out;
}

Bytes theirs(stock::Lz& lz, const test::Picture& picture) {
    Bytes out(picture.bytes.size() * 2 + 65536);
    const int size = lz.encode(
        lz.context, 8, static_cast<int>(picture.width), static_cast<int>(picture.height), 1,
        const_cast<std::uint8_t*>(picture.bytes.data()), picture.height,
        static_cast<int>(picture.width * 4), out.data(), static_cast<unsigned>(out.size()));
    out.resize(static_cast<std::size_t>(size));
    return out;
}

void their_decode(stock::Lz& lz, Bytes& data, Bytes& pixels) {
    int type, width, height, count, top_down;
    lz.begin(lz.context, data.data(), static_cast<unsigned>(data.size()), &type, &width, &height,
             &count, &top_down, nullptr);
    lz.decode(lz.context, type, pixels.data());
}

void finish(benchmark::State& state, const test::Picture& picture, std::size_t size) {
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(picture.bytes.size()));
    state.counters["ratio"] = static_cast<double>(picture.bytes.size()) / static_cast<double>(size);
}

void lz_encode_ours(benchmark::State& state) {
    const test::Picture& picture = picture_of(static_cast<int>(state.range(0)));
    LzEncoder encoder;
    Bytes out;
    for (auto _ : state) {
        out.clear();
        benchmark::DoNotOptimize(encoder.encode(picture.view(), out));
    }
    if (stock::available()) {
        stock::Lz lz;
        Bytes pixels(picture.bytes.size());
        their_decode(lz, out, pixels);
        ENSURE(pixels == picture.bytes);
    }
    finish(state, picture, out.size());
}

void lz_encode_stock(benchmark::State& state) {
    if (!stock::available()) return state.SkipWithError("SEGUE_STOCK_CODECS is not set");
    const test::Picture& picture = picture_of(static_cast<int>(state.range(0)));
    stock::Lz lz;
    Bytes out(picture.bytes.size() * 2 + 65536);
    int size = 0;
    for (auto _ : state) {
        size = lz.encode(
            lz.context, 8, static_cast<int>(picture.width), static_cast<int>(picture.height), 1,
            const_cast<std::uint8_t*>(picture.bytes.data()), picture.height,
            static_cast<int>(picture.width * 4), out.data(), static_cast<unsigned>(out.size()));
    }
    finish(state, picture, static_cast<std::size_t>(size));
}

void lz_decode_ours(benchmark::State& state) {
    const test::Picture& picture = picture_of(static_cast<int>(state.range(0)));
    Bytes pixels(picture.bytes.size());
    Bytes data = ours(picture);
    if (stock::available()) {
        stock::Lz lz;
        data = theirs(lz, picture);
    }
    for (auto _ : state)
        ENSURE(lz_decode(data, pixels));
    ENSURE(pixels == picture.bytes);
    finish(state, picture, data.size());
}

void lz_decode_stock(benchmark::State& state) {
    if (!stock::available()) return state.SkipWithError("SEGUE_STOCK_CODECS is not set");
    const test::Picture& picture = picture_of(static_cast<int>(state.range(0)));
    stock::Lz lz;
    Bytes data = theirs(lz, picture);
    Bytes pixels(picture.bytes.size());
    for (auto _ : state)
        their_decode(lz, data, pixels);
    finish(state, picture, data.size());
}

// 0 console, 1 desktop, 2 photo, 3 one tile of 32 columns as QEMU cuts it.
BENCHMARK(lz_encode_ours)->DenseRange(0, 3);
BENCHMARK(lz_encode_stock)->DenseRange(0, 3);
BENCHMARK(lz_decode_ours)->DenseRange(0, 3);
BENCHMARK(lz_decode_stock)->DenseRange(0, 3);

}  // namespace
}  // namespace segue::spice::codec
