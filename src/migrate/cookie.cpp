// SPDX-License-Identifier: LGPL-2.1-or-later
#include "migrate/cookie.h"

#include <algorithm>
#include <charconv>
#include <pugixml.hpp>

#include "migrate/cookie_parts.h"

namespace segue::migrate {
namespace {

constexpr std::string_view kSteps[] = {"Begin to Prepare", "Prepare to Perform",
                                       "Perform to Finish", "Finish to Confirm"};

// qemu_migration_cookie.c; which step takes which: libvirt.md 3.2. "nbd" and "block-dirty-bitmaps"
// are names that libvirt knows but never demands.
const FeatureInfo kFeatures[] = {
    {"lockstate", {true, false, true, false}},
    {"persistent", {false, false, true, false}},
    {"memory-hotplug", {true, false, false, false}},
    {"cpu-hotplug", {true, false, false, false}},
    {"graphics", {false, true, false, false}},
    {"network", {false, false, true, false}},
    {"nbd", {true, true, true, false}},
    {"statistics", {false, false, true, true}},
    {"cpu", {true, false, false, false}},
    {"allowReboot", {false, false, false, false}},
    {"capabilities", {true, true, false, false}},
    {"block-dirty-bitmaps", {false, false, false, false}},
};

template <class... Args>
tl::unexpected<Error> refuse(fmt::format_string<Args...> format, Args&&... args) {
    return fail(ErrorCode::internal, format, std::forward<Args>(args)...);
}

template <class Number>
std::optional<Number> parse_number(std::string_view text) {
    Number number{};
    const auto done = std::from_chars(text.data(), text.data() + text.size(), number);
    if (done.ec != std::errc{} || done.ptr != text.data() + text.size() || text.empty()) {
        return std::nullopt;
    }
    return number;
}

Result<std::string> bounded(std::string_view text, std::string_view what) {
    if (text.size() > kMostCookieText) {
        return refuse("{} of a migration cookie has {} bytes (at most {})", what, text.size(),
                      kMostCookieText);
    }
    return std::string(text);
}

Result<std::string> child_text(pugi::xml_node root, const char* name) {
    const pugi::xml_node child = root.child(name);
    if (!child) return refuse("missing {} element in migration data", name);
    return bounded(child.text().get(), name);
}

Result<> check_count(pugi::xml_node parent, const char* name) {
    std::size_t count = 0;
    for (pugi::xml_node child = parent.child(name); child; child = child.next_sibling(name)) {
        if (++count > kMostCookieItems) {
            return refuse("a migration cookie has more than {} <{}> elements", kMostCookieItems,
                          name);
        }
    }
    return {};
}

Result<Cookie> parse_envelope(pugi::xml_node root, const CookieExpectation& expected) {
    Cookie cookie;
    cookie.name = TRY(child_text(root, "name"));
    if (cookie.name != expected.name) {
        return refuse("Incoming cookie data had unexpected name {} vs {}", cookie.name,
                      expected.name);
    }
    const std::string uuid = TRY(child_text(root, "uuid"));
    const Result<Uuid> parsed = Uuid::parse(uuid);
    if (!parsed || *parsed != expected.uuid) {
        return refuse("Incoming cookie data had unexpected UUID {} vs {}", uuid,
                      expected.uuid.text());
    }
    cookie.uuid = *parsed;
    cookie.hostname = TRY(child_text(root, "hostname"));
    const std::string host_uuid = TRY(child_text(root, "hostuuid"));
    const Result<Uuid> host = Uuid::parse(host_uuid);
    if (!host) return refuse("malformed hostuuid element in migration data");
    if (*host == expected.local_host_uuid) {
        return refuse("Attempt to migrate guest to the same host {}", host_uuid);
    }
    cookie.host_uuid = *host;
    return cookie;
}

Result<> parse_features(pugi::xml_node root, CookieStep step, Cookie& cookie) {
    if (auto counted = check_count(root, "feature"); !counted) return counted;
    for (pugi::xml_node node : root.children("feature")) {
        const pugi::xml_attribute name = node.attribute("name");
        if (!name) return refuse("missing feature name");
        const FeatureInfo* known = nullptr;
        for (const FeatureInfo& info : kFeatures) {
            if (info.name == name.value()) known = &info;
        }
        const std::string text = TRY(bounded(name.value(), "a feature name"));
        if (known == nullptr) return refuse("Unknown migration cookie feature {}", text);
        if (!known->accepted[static_cast<std::size_t>(step)]) {
            return refuse("Unsupported migration cookie feature {}", text);
        }
        cookie.features.push_back(text);
    }
    return {};
}

Result<CookieGraphics> parse_graphics(pugi::xml_node node) {
    CookieGraphics graphics;
    if (!node.attribute("type")) return refuse("missing type attribute in migration data");
    graphics.type = TRY(bounded(node.attribute("type").value(), "a graphics type"));
    if (graphics.type != "spice" && graphics.type != "vnc") {
        return refuse("unknown graphics type {}", graphics.type);
    }
    const auto port = parse_number<std::int32_t>(node.attribute("port").value());
    if (!port) return refuse("missing port attribute in migration data");
    graphics.port = *port;
    if (graphics.type == "spice") {
        const auto tls_port = parse_number<std::int32_t>(node.attribute("tlsPort").value());
        if (!tls_port) return refuse("missing tlsPort attribute in migration data");
        graphics.tls_port = *tls_port;
    }
    if (graphics.port > 65535 || graphics.tls_port > 65535) {
        return refuse("graphics port {} or tlsPort {} in migration data is above 65535",
                      graphics.port, graphics.tls_port);
    }
    if (!node.attribute("listen")) return refuse("missing listen attribute in migration data");
    graphics.listen = TRY(bounded(node.attribute("listen").value(), "a listen address"));
    for (pugi::xml_node cert : node.children("cert")) {
        if (std::string_view(cert.attribute("info").value()) != "subject") continue;
        graphics.tls_subject = TRY(bounded(cert.attribute("value").value(), "a TLS subject"));
        break;
    }
    return graphics;
}

Result<CookieNbd> parse_nbd(pugi::xml_node node) {
    CookieNbd nbd;
    if (auto counted = check_count(node, "disk"); !counted) {
        return tl::make_unexpected(counted.error());
    }
    if (const pugi::xml_attribute port = node.attribute("port")) {
        const auto number = parse_number<std::int32_t>(port.value());
        if (!number || *number < 0 || *number > 65535) {
            return refuse("Malformed nbd port '{}'", TRY(bounded(port.value(), "an nbd port")));
        }
        nbd.port = *number;
    }
    for (pugi::xml_node child : node.children("disk")) {
        CookieDisk disk;
        disk.target = TRY(bounded(child.attribute("target").value(), "a disk target"));
        if (disk.target.empty()) return refuse("Malformed disk target");
        const auto capacity = parse_number<std::uint64_t>(child.attribute("capacity").value());
        if (!capacity) return refuse("Malformed disk capacity of '{}'", disk.target);
        disk.capacity = *capacity;
        nbd.disks.push_back(std::move(disk));
    }
    return nbd;
}

CookieStatistics parse_statistics(pugi::xml_node node) {
    CookieStatistics statistics;
    statistics.delta = parse_number<std::int64_t>(node.child("delta").text().get());
    const auto take = [&](std::string_view name) {
        const auto number =
            parse_number<std::uint64_t>(node.child(std::string(name).c_str()).text().get());
        if (number) statistics.set(name, *number);
    };
    for (std::string_view name : kStatisticTimes)
        take(name);
    for (std::string_view name : kStatisticNames)
        take(name);
    return statistics;
}

Result<std::vector<CookieCapability>> parse_capabilities(pugi::xml_node node) {
    if (auto counted = check_count(node, "cap"); !counted) {
        return tl::make_unexpected(counted.error());
    }
    std::vector<CookieCapability> capabilities;
    for (pugi::xml_node cap : node.children("cap")) {
        if (!cap.attribute("name")) return refuse("missing migration capability name");
        CookieCapability capability;
        capability.name = TRY(bounded(cap.attribute("name").value(), "a capability name"));
        capability.automatic = std::string_view(cap.attribute("auto").value()) == "yes";
        capabilities.push_back(std::move(capability));
    }
    return capabilities;
}

std::string subtree(pugi::xml_node node) {
    struct Writer final : pugi::xml_writer {
        std::string text;
        void write(const void* data, std::size_t size) override {
            text.append(static_cast<const char*>(data), size);
        }
    } writer;
    if (node) {
        node.print(writer, "  ", pugi::format_indent | pugi::format_attribute_single_quote);
    }
    return writer.text;
}

Result<std::pair<Uuid, PeerKey>> parse_identity(pugi::xml_node node) {
    const Result<Uuid> id = Uuid::parse(node.attribute("migration").value());
    const Result<PeerKey> key = parse_key(node.attribute("key").value());
    if (!id || !key) {
        return refuse(
            "malformed <{}> of <segue> in migration data: it needs a migration id and a "
            "key",
            node.name());
    }
    return std::pair{*id, *key};
}

Result<> parse_segue(pugi::xml_node node, CookieStep step, Cookie& cookie) {
    if (!node) return {};
    cookie.source_has_right = step == CookieStep::begin_to_prepare;
    if (cookie.source_has_right) {
        cookie.guest_cpu_xml = subtree(node.child("guest-cpu"));
        const char* const kept = node.child("kept").attribute("emulator").value();
        cookie.kept_emulator = TRY(bounded(kept, "an emulator"));
    }
    if (const pugi::xml_node child = node.child("offer");
        child && step == CookieStep::prepare_to_perform) {
        const auto identity = TRY(parse_identity(child));
        const auto port = parse_number<std::uint16_t>(child.attribute("port").value());
        const std::string address = TRY(bounded(child.attribute("address").value(), "an address"));
        if (!port || *port == 0 || address.empty()) {
            return refuse(
                "malformed <offer> of <segue> in migration data: it needs an address and "
                "a port");
        }
        cookie.offer =
            DestinationOffer{identity.first, {address, *port, identity.second}, cookie.hostname};
        // By which name the source knows it, its own options may say.
        const std::string_view tls = child.attribute("tls").value();
        if (tls == "yes") cookie.offer->peer.tls_name = address;
        cookie.offer->protects = std::string_view(child.attribute("protects").value()) == "yes";
    }
    if (step == CookieStep::perform_to_finish) {
        cookie.protection = TRY(bounded(node.child("protection").text().get(), "a protection"));
    }
    if (const pugi::xml_node child = node.child("right");
        child && step == CookieStep::perform_to_finish) {
        const auto identity = TRY(parse_identity(child));
        const std::string_view run = child.attribute("run").value();
        if (run != "yes" && run != "no") {
            return refuse("malformed <right> of <segue> in migration data: run is yes or no");
        }
        cookie.right = GivenRight{identity.first, identity.second, run == "yes"};
    }
    return {};
}

Result<> parse_parts(pugi::xml_node root, CookieStep step, Cookie& cookie) {
    const bool to_prepare = step == CookieStep::begin_to_prepare;
    const bool to_perform = step == CookieStep::prepare_to_perform;
    const bool to_finish = step == CookieStep::perform_to_finish;
    const pugi::xml_node graphics = root.child("graphics");
    if (to_perform && graphics) cookie.graphics = TRY(parse_graphics(graphics));
    const pugi::xml_node lock = root.child("lockstate");
    if ((to_prepare || to_finish) && lock) {
        if (!lock.attribute("driver")) {
            return refuse("Missing lock driver name in migration cookie");
        }
        cookie.lock_state =
            CookieLockState{TRY(bounded(lock.attribute("driver").value(), "a lock driver name")),
                            TRY(bounded(lock.child("leases").text().get(), "a lock state"))};
    }
    if (to_finish) {
        const pugi::xml_node domain = root.child("domain");
        if (domain && domain.next_sibling("domain")) {
            return refuse("Too many domain elements in migration cookie");
        }
        cookie.persistent_xml = subtree(domain);
        cookie.network_xml = subtree(root.child("network"));
    }
    const pugi::xml_node nbd = root.child("nbd");
    if (step != CookieStep::finish_to_confirm && nbd) cookie.nbd = TRY(parse_nbd(nbd));
    const pugi::xml_node statistics = root.child("statistics");
    if ((to_finish || step == CookieStep::finish_to_confirm) && statistics) {
        cookie.statistics = parse_statistics(statistics);
    }
    if (to_prepare) cookie.cpu_xml = subtree(root.child("cpu"));
    const pugi::xml_node capabilities = root.child("capabilities");
    if ((to_prepare || to_perform) && capabilities) {
        cookie.capabilities = TRY(parse_capabilities(capabilities));
    }
    return parse_segue(root.child("segue"), step, cookie);
}

}  // namespace

std::span<const FeatureInfo> cookie_features() {
    return kFeatures;
}

std::string_view name_of(CookieStep step) {
    return kSteps[static_cast<std::size_t>(step)];
}

std::optional<std::uint64_t> CookieStatistics::value(std::string_view name) const {
    for (const auto& [known, number] : values) {
        if (known == name) return number;
    }
    return std::nullopt;
}

void CookieStatistics::set(std::string_view name, std::uint64_t number) {
    for (auto& [known, value] : values) {
        if (known != name) continue;
        value = number;
        return;
    }
    values.emplace_back(name, number);
}

Result<Cookie> parse_cookie(ByteView bytes, const CookieExpectation& expected) {
    if (bytes.empty()) return refuse("the {} cookie is empty", name_of(expected.step));
    if (bytes.size() > kMostCookieBytes) {
        return refuse("a migration cookie has {} bytes (at most {})", bytes.size(),
                      kMostCookieBytes);
    }
    if (bytes.back() != 0) return refuse("Migration cookie was not NULL terminated");
    const std::string_view text = as_text(bytes.first(bytes.size() - 1));
    pugi::xml_document document;
    const pugi::xml_parse_result parsed =
        document.load_buffer(text.data(), text.size(), pugi::parse_default, pugi::encoding_utf8);
    if (!parsed) {
        return refuse("(qemu_migration_cookie): {} at byte {}", parsed.description(),
                      parsed.offset);
    }
    const pugi::xml_node root = document.document_element();
    if (std::string_view(root.name()) != "qemu-migration") {
        return refuse("(qemu_migration_cookie): the document is not <qemu-migration>");
    }
    Cookie cookie = TRY(parse_envelope(root, expected));
    if (auto done = parse_features(root, expected.step, cookie); !done) {
        return tl::make_unexpected(done.error());
    }
    if (auto done = parse_parts(root, expected.step, cookie); !done) {
        return tl::make_unexpected(done.error());
    }
    return cookie;
}

}  // namespace segue::migrate
