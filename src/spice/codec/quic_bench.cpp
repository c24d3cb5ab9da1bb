// SPDX-License-Identifier: LGPL-2.1-or-later
// QUIC beside the stock codec (SEGUE_STOCK_CODECS). Both must write the same bytes.
#include <benchmark/benchmark.h>

#include "base/check.h"
#include "spice/codec/quic.h"
#include "spice/codec/stock_peer.h"
#include "spice/codec/test_pictures.h"

namespace segue::spice::codec {
namespace {

const test::Picture& picture_of(std::int64_t index) {
    static const test::Picture pictures[] = {test::console(), test::desktop(), test::photo()};
    return pictures[index];
}

Bytes theirs(stock::Quic& quic, const test::Picture& picture) {
    Bytes out(picture.bytes.size() * 4 + 65536);
    const int words = quic.encode(
        quic.context, 4, static_cast<int>(picture.width), static_cast<int>(picture.height),
        const_cast<std::uint8_t*>(picture.bytes.data()), picture.height,
        static_cast<int>(picture.width * 4), reinterpret_cast<std::uint32_t*>(out.data()),
        static_cast<unsigned>(out.size() / 4));
    out.resize(static_cast<std::size_t>(words) * 4);
    return out;
}

void finish(benchmark::State& state, const test::Picture& picture, std::size_t size) {
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(picture.bytes.size()));
    state.counters["ratio"] = static_cast<double>(picture.bytes.size()) / static_cast<double>(size);
}

void quic_encode_ours(benchmark::State& state) {
    const test::Picture& picture = picture_of(state.range(0));
    QuicEncoder encoder;
    Bytes out;
    for (auto _ : state) {
        out.clear();
        benchmark::DoNotOptimize(encoder.encode(picture.view(), out));
    }
    if (stock::available()) {
        stock::Quic quic;
        ENSURE(theirs(quic, picture) == out);
    }
    finish(state, picture, out.size());
}

void quic_encode_stock(benchmark::State& state) {
    if (!stock::available()) return state.SkipWithError("SEGUE_STOCK_CODECS is not set");
    const test::Picture& picture = picture_of(state.range(0));
    stock::Quic quic;
    Bytes out(picture.bytes.size() * 4 + 65536);
    int words = 0;
    for (auto _ : state) {
        words = quic.encode(
            quic.context, 4, static_cast<int>(picture.width), static_cast<int>(picture.height),
            const_cast<std::uint8_t*>(picture.bytes.data()), picture.height,
            static_cast<int>(picture.width * 4), reinterpret_cast<std::uint32_t*>(out.data()),
            static_cast<unsigned>(out.size() / 4));
    }
    finish(state, picture, static_cast<std::size_t>(words) * 4);
}

void quic_decode_ours(benchmark::State& state) {
    const test::Picture& picture = picture_of(state.range(0));
    QuicEncoder encoder;
    Bytes data;
    ENSURE(encoder.encode(picture.view(), data));
    Bytes pixels(picture.bytes.size());
    for (auto _ : state)
        ENSURE(quic_decode(data, pixels));
    ENSURE(pixels == picture.bytes);
    finish(state, picture, data.size());
}

void quic_decode_stock(benchmark::State& state) {
    if (!stock::available()) return state.SkipWithError("SEGUE_STOCK_CODECS is not set");
    const test::Picture& picture = picture_of(state.range(0));
    stock::Quic quic;
    Bytes data = theirs(quic, picture);
    Bytes pixels(picture.bytes.size());
    for (auto _ : state) {
        int type, width, height;
        quic.begin(quic.context, reinterpret_cast<std::uint32_t*>(data.data()),
                   static_cast<unsigned>(data.size() / 4), &type, &width, &height);
        quic.decode(quic.context, type, pixels.data(), width * 4);
    }
    finish(state, picture, data.size());
}

// 0 console, 1 desktop, 2 photo.
BENCHMARK(quic_encode_ours)->DenseRange(0, 2);
BENCHMARK(quic_encode_stock)->DenseRange(0, 2);
BENCHMARK(quic_decode_ours)->DenseRange(0, 2);
BENCHMARK(quic_decode_stock)->DenseRange(0, 2);

}  // namespace
}  // namespace segue::spice::codec
