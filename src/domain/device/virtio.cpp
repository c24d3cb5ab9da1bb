// SPDX-License-Identifier: LGPL-2.1-or-later
#include "domain/device/virtio.h"

#include <algorithm>

#include "domain/choice.h"

namespace segue {
namespace {

constexpr std::uint64_t kMaxU32 = 0xffffffff;
constexpr std::string_view kBackends[] = {"/dev/random", "/dev/urandom", "/dev/hwrng"};

Result<std::optional<std::uint32_t>> u32(XmlCursor& from, std::string_view key) {
    const auto value = TRY(from.number(key, kMaxU32));
    return value ? std::optional(static_cast<std::uint32_t>(*value)) : std::nullopt;
}

}  // namespace

Result<Rng> parse_rng(XmlCursor& from) {
    Rng rng;
    const std::string model = from.attribute_or("model", "virtio");
    if (model != "virtio") return bad_choice(from, "model", model);
    if (XmlCursor* rate = from.child("rate")) {
        rng.rate_bytes = TRY(u32(*rate, "bytes"));
        rng.rate_period_ms = TRY(u32(*rate, "period"));
        if (!rng.rate_bytes || *rng.rate_bytes == 0) {
            return fail(ErrorCode::xml_invalid, "invalid RNG rate bytes value");
        }
    }
    XmlCursor* backend = from.child("backend");
    const std::string kind = backend ? backend->attribute_or("model", "") : "";
    if (kind != "random") {
        return fail(ErrorCode::config_unsupported, "RNG backend '{}' is not supported: use random",
                    kind);
    }
    rng.path = backend->text().empty() ? "/dev/random" : backend->text();
    if (std::find(std::begin(kBackends), std::end(kBackends), rng.path) == std::end(kBackends)) {
        return fail(ErrorCode::config_unsupported, "file '{}' is not a supported random source",
                    rng.path);
    }
    TRY(parse_device(from, rng));
    return rng;
}

XmlElement format_rng(const Rng& rng, const FormatOptions& options) {
    XmlElement out;
    out.name = "rng";
    out.set("model", "virtio");
    if (rng.rate_bytes) {
        XmlElement& rate = out.add("rate").set("bytes", *rng.rate_bytes);
        if (rng.rate_period_ms) rate.set("period", *rng.rate_period_ms);
    }
    out.add_text("backend", rng.path).set("model", "random");
    format_device(rng, out, options);
    return out;
}

Result<Balloon> parse_balloon(XmlCursor& from) {
    Balloon balloon;
    const std::string model = from.attribute_or("model", "virtio");
    if (model != "virtio" && model != "none") return bad_choice(from, "model", model);
    balloon.present = model == "virtio";
    balloon.auto_deflate = TRY(from.on_off("autodeflate"));
    balloon.free_page_reporting = TRY(from.on_off("freePageReporting"));
    if (XmlCursor* stats = from.child("stats")) {
        balloon.stats_period_s = TRY(u32(*stats, "period"));
    }
    TRY(parse_device(from, balloon));
    return balloon;
}

XmlElement format_balloon(const Balloon& balloon, const FormatOptions& options) {
    XmlElement out;
    out.name = "memballoon";
    out.set("model", balloon.present ? "virtio" : "none");
    if (balloon.auto_deflate) out.set("autodeflate", *balloon.auto_deflate ? "on" : "off");
    if (balloon.free_page_reporting) {
        out.set("freePageReporting", *balloon.free_page_reporting ? "on" : "off");
    }
    if (balloon.stats_period_s) out.add("stats").set("period", *balloon.stats_period_s);
    format_device(balloon, out, options);
    return out;
}

}  // namespace segue
