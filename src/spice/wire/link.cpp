// SPDX-License-Identifier: LGPL-2.1-or-later
// What both sides of the handshake share.
#include "spice/wire/link.h"

#include "spice/wire/link_detail.h"

namespace segue::spice::wire {

Bytes LinkInput::take_rest() {
    Bytes rest(bytes_.begin() + static_cast<std::ptrdiff_t>(used_), bytes_.end());
    bytes_.clear();
    used_ = 0;
    return rest;
}

namespace link_detail {

Result<std::optional<link::LinkHeader>> peek_header(const LinkInput& input) {
    const ByteView view = input.view();
    // The magic is judged byte by byte: a stranger (HTTP, TLS) is told from a slow peer at once.
    constexpr std::array<std::uint8_t, 4> kMagic = {'R', 'E', 'D', 'Q'};
    for (std::size_t i = 0; i < std::min(view.size(), kMagic.size()); ++i) {
        if (view[i] != kMagic[i]) {
            return fail(ErrorCode::protocol, "the peer does not speak SPICE: no \"REDQ\" in front");
        }
    }
    if (view.size() < kHeaderSize) return std::nullopt;
    return parse<link::LinkHeader>(SharedBytes::borrow(view.first(kHeaderSize)));
}

Result<CapabilityWords> read_words(ByteView body, std::uint32_t common, std::uint32_t channel,
                                   std::uint32_t offset, std::size_t fixed) {
    const std::size_t size = (std::size_t{common} + channel) * 4;
    if (size != 0 && (offset < fixed || offset > body.size() || size > body.size() - offset)) {
        return fail(ErrorCode::protocol, "SPICE link: capabilities at {} lie outside the {} bytes",
                    offset, body.size());
    }
    LittleReader reader(size == 0 ? ByteView{} : body.subspan(offset, size));
    const auto words = [&](std::uint32_t count) {
        std::vector<std::uint32_t> list(count);
        for (std::uint32_t& word : list)
            word = reader.u32();
        return Capabilities(std::move(list));
    };
    CapabilityWords all;
    all.common = words(common);
    all.channel = words(channel);
    return all;
}

void write_words(LittleWriter& writer, const Capabilities& set) {
    for (const std::uint32_t word : set.words())
        writer.u32(word);
}

Bytes with_header(const EncodedMessage& body, const Capabilities& common,
                  const Capabilities& channel) {
    LittleWriter words;
    write_words(words, common);
    write_words(words, channel);
    const Bytes fixed = body.body();
    const link::LinkHeader header{link::kMajorVersion, link::kMinorVersion,
                                  static_cast<std::uint32_t>(fixed.size() + words.size())};
    LittleWriter writer;
    writer.bytes(encode(0, header).body());
    writer.bytes(fixed);
    writer.bytes(words.view());
    return writer.take();
}

void write_sasl_data(LittleWriter& writer, const SaslData& data) {
    writer.u32(data ? static_cast<std::uint32_t>(data->size() + 1) : 0);
    if (data) {
        writer.bytes(*data);
        writer.u8(0);
    }
}

Result<std::optional<SaslRead>> read_sasl_data(ByteView from) {
    if (from.size() < 4) return std::nullopt;
    const auto size = load<ByteOrder::little, std::uint32_t>(from.data());
    if (size > link::kSaslData) {
        return fail(ErrorCode::limit_exceeded, "SPICE link: {} bytes of SASL data, at most {}",
                    size, link::kSaslData);
    }
    if (from.size() - 4 < size) return std::nullopt;
    SaslRead read;
    read.size = 4 + size;
    if (size > 0) read.data = Bytes(from.begin() + 4, from.begin() + 4 + size - 1);
    return read;
}

Bytes number(std::uint32_t value) {
    LittleWriter writer;
    writer.u32(value);
    return writer.take();
}

}  // namespace link_detail
}  // namespace segue::spice::wire
