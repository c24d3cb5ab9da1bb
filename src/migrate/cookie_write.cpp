// SPDX-License-Identifier: LGPL-2.1-or-later
#include <pugixml.hpp>

#include "migrate/cookie_parts.h"

namespace segue::migrate {
namespace {

struct TextWriter final : pugi::xml_writer {
    std::string text;
    void write(const void* data, std::size_t size) override {
        text.append(static_cast<const char*>(data), size);
    }
};

void add_text(pugi::xml_node parent, std::string_view name, std::string_view text) {
    parent.append_child(std::string(name).c_str())
        .append_child(pugi::node_pcdata)
        .set_value(std::string(text).c_str());
}

template <class Value>
void add_attribute(pugi::xml_node node, const char* name, const Value& value) {
    if constexpr (std::is_same_v<Value, std::string>) {
        node.append_attribute(name).set_value(value.c_str());
    } else {
        node.append_attribute(name).set_value(value);
    }
}

// XML that came from another part of this program: a broken one is left out.
void add_fragment(pugi::xml_node parent, const std::string& xml) {
    if (xml.empty()) return;
    pugi::xml_document fragment;
    if (!fragment.load_buffer(xml.data(), xml.size())) return;
    parent.append_copy(fragment.document_element());
}

void add_graphics(pugi::xml_node root, const CookieGraphics& graphics) {
    pugi::xml_node node = root.append_child("graphics");
    add_attribute(node, "type", graphics.type);
    add_attribute(node, "port", graphics.port);
    add_attribute(node, "listen", graphics.listen);
    if (graphics.type == "spice") add_attribute(node, "tlsPort", graphics.tls_port);
    if (graphics.tls_subject.empty()) return;
    pugi::xml_node cert = node.append_child("cert");
    add_attribute(cert, "info", "subject");
    add_attribute(cert, "value", graphics.tls_subject);
}

void add_nbd(pugi::xml_node root, const CookieNbd& nbd) {
    pugi::xml_node node = root.append_child("nbd");
    if (nbd.port != 0) add_attribute(node, "port", nbd.port);
    for (const CookieDisk& disk : nbd.disks) {
        pugi::xml_node child = node.append_child("disk");
        add_attribute(child, "target", disk.target);
        add_attribute(child, "capacity", static_cast<unsigned long long>(disk.capacity));
    }
}

void add_statistics(pugi::xml_node root, const CookieStatistics& statistics) {
    pugi::xml_node node = root.append_child("statistics");
    for (std::string_view name : kStatisticTimes) {
        add_text(node, name, std::to_string(statistics.value(name).value_or(0)));
    }
    if (statistics.delta) add_text(node, "delta", std::to_string(*statistics.delta));
    for (std::string_view name : kStatisticNames) {
        if (const auto value = statistics.value(name)) {
            add_text(node, name, std::to_string(*value));
        }
    }
}

void add_segue(pugi::xml_node root, const Cookie& cookie) {
    const bool is_ours = cookie.source_has_right || cookie.offer || cookie.right;
    if (!is_ours && cookie.protection.empty()) return;
    pugi::xml_node node = root.append_child("segue");
    add_attribute(node, "version", 1);
    add_fragment(node, cookie.guest_cpu_xml);
    if (!cookie.kept_emulator.empty())
        add_attribute(node.append_child("kept"), "emulator", cookie.kept_emulator);
    if (cookie.offer) {
        pugi::xml_node offer = node.append_child("offer");
        add_attribute(offer, "migration", cookie.offer->id.text());
        add_attribute(offer, "address", cookie.offer->peer.address);
        add_attribute(offer, "port", static_cast<unsigned>(cookie.offer->peer.port));
        add_attribute(offer, "key", key_text(cookie.offer->peer.key));
        if (!cookie.offer->peer.tls_name.empty()) add_attribute(offer, "tls", "yes");
        if (cookie.offer->protects) add_attribute(offer, "protects", "yes");
    }
    if (cookie.right) {
        pugi::xml_node right = node.append_child("right");
        add_attribute(right, "migration", cookie.right->id.text());
        add_attribute(right, "key", key_text(cookie.right->key));
        add_attribute(right, "run", cookie.right->run_guest ? "yes" : "no");
    }
    if (!cookie.protection.empty()) add_text(node, "protection", cookie.protection);
}

void add_capabilities(pugi::xml_node root, const std::vector<CookieCapability>& capabilities) {
    pugi::xml_node node = root.append_child("capabilities");
    for (const CookieCapability& capability : capabilities) {
        pugi::xml_node cap = node.append_child("cap");
        add_attribute(cap, "name", capability.name);
        add_attribute(cap, "auto", capability.automatic ? "yes" : "no");
    }
}

// libvirt writes `<a/>` where pugixml writes `<a />`; attributes are in single quotes here.
Bytes closed(std::string_view text) {
    Bytes bytes;
    bytes.reserve(text.size() + 1);
    bool in_tag = false;
    bool in_quotes = false;
    for (std::size_t at = 0; at < text.size(); ++at) {
        if (!in_quotes && text[at] == '<') in_tag = true;
        if (!in_quotes && text[at] == '>') in_tag = false;
        if (in_tag && text[at] == '\'') in_quotes = !in_quotes;
        if (in_tag && !in_quotes && text.substr(at, 3) == " />") continue;
        bytes.push_back(static_cast<std::uint8_t>(text[at]));
    }
    bytes.push_back(0);
    return bytes;
}

}  // namespace

Bytes write_cookie(const Cookie& cookie) {
    pugi::xml_document document;
    pugi::xml_node root = document.append_child("qemu-migration");
    add_text(root, "name", cookie.name);
    add_text(root, "uuid", cookie.uuid.text());
    add_text(root, "hostname", cookie.hostname);
    add_text(root, "hostuuid", cookie.host_uuid.text());
    for (const std::string& feature : cookie.features) {
        add_attribute(root.append_child("feature"), "name", feature);
    }
    if (cookie.graphics) add_graphics(root, *cookie.graphics);
    if (cookie.lock_state) {
        pugi::xml_node lock = root.append_child("lockstate");
        add_attribute(lock, "driver", cookie.lock_state->driver);
        add_text(lock, "leases", cookie.lock_state->leases);
    }
    add_fragment(root, cookie.persistent_xml);
    add_fragment(root, cookie.network_xml);
    if (cookie.nbd) add_nbd(root, *cookie.nbd);
    if (cookie.statistics) add_statistics(root, *cookie.statistics);
    add_fragment(root, cookie.cpu_xml);
    if (cookie.capabilities) add_capabilities(root, *cookie.capabilities);
    add_segue(root, cookie);

    TextWriter writer;
    document.save(
        writer, "  ",
        pugi::format_indent | pugi::format_no_declaration | pugi::format_attribute_single_quote,
        pugi::encoding_utf8);
    return closed(writer.text);
}

}  // namespace segue::migrate
