// SPDX-License-Identifier: LGPL-2.1-or-later
#include "standby/vm_devices.h"

#include "base/json.h"

namespace segue::standby {
namespace {

constexpr std::string_view kBackend = "memory-backend-";
// How long a promoted VM's disk waits for a standby that is started again, in seconds.
constexpr int kReconnectSeconds = 3600;

bool is_json(const std::string& value) {
    return !value.empty() && value[0] == '{';
}
bool is_backend(std::string_view type) {
    return type.substr(0, kBackend.size()) == kBackend;
}

// The machine types since 4.0 name the block by the backend's id alone unless told otherwise.
std::string block_of(const std::string& id, bool canonical) {
    return canonical ? "/objects/" + id : id;
}

Result<std::string> json_memory(const std::string& value, const Places& places, VmCommand& out) {
    Json object = TRY(Json::parse(value));
    if (!is_backend(object.text("qom-type"))) return value;
    const std::string id(object.text("id"));
    const bool canonical = object.flag("x-use-canonical-path-for-ramblock-id", false);
    const std::uint64_t size = object.u64("size");
    if (size == 0) return fail(ErrorCode::invalid_argument, "-object {}: no size", value);
    const std::string block = block_of(id, canonical);
    Json own = Json::object({{"qom-type", "memory-backend-file"},
                             {"id", id},
                             {"mem-path", places.image_path(block)},
                             {"share", !places.keeps_image},
                             {"size", size},
                             {"x-use-canonical-path-for-ramblock-id", canonical}});
    out.shared.push_back({block, size});
    out.notes.push_back("-object " + value + " became " + own.dump());
    return own.dump();
}

const std::string& socket_for(const Json& node, const std::vector<std::string>& sockets) {
    const std::string_view path = node["server"].text("path");
    for (std::size_t number = 0; number < sockets.size(); ++number) {
        if (path == disk_placeholder(number)) return sockets[number];
    }
    return sockets.front();
}

// Points every {"driver":"nbd"} of a block device's description at its socket.
int redirect(Json& node, const std::vector<std::string>& sockets) {
    if (!node.is_object()) return 0;
    int count = 0;
    if (node.text("driver") == "nbd") {
        node.set("server", Json::object({{"type", "unix"}, {"path", socket_for(node, sockets)}}));
        node.set("reconnect-delay", kReconnectSeconds);
        node.erase("tls-creds");
        count += 1;
    }
    for (const auto& member : Json::Object(node.members())) {
        Json child = member.second;
        const int inside = redirect(child, sockets);
        if (inside > 0) node.set(member.first, child);
        count += inside;
    }
    return count;
}

// The export's name in "nbd:unix:PATH:exportname=X", "nbd:host:port:exportname=X" or
// "nbd://host/X", "nbd+unix:///X?socket=PATH".
std::string export_of(const std::string& file) {
    constexpr std::string_view kName = ":exportname=";
    const std::size_t name = file.find(kName);
    if (name != std::string::npos) return file.substr(name + kName.size());
    const std::size_t slashes = file.find("://");
    if (slashes == std::string::npos) return {};
    const std::size_t path = file.find('/', slashes + 3);
    if (path == std::string::npos) return {};
    return file.substr(path + 1, file.find('?', path) - path - 1);
}

void point_at(OptionList& list, const std::string& prefix, const std::string& socket) {
    for (const std::string& key : list.keys()) {
        if (key.compare(0, prefix.size() + 7, prefix + "server.") == 0) list.erase(key);
    }
    for (const char* key : {"host", "port", "path", "tls-creds"})
        list.erase(prefix + key);
    list.set(prefix + "server.type", "unix");
    list.set(prefix + "server.path", socket);
    list.set(prefix + "reconnect-delay", std::to_string(kReconnectSeconds));
}

}  // namespace

std::string shared_memory_object(const std::string& block, std::uint64_t bytes,
                                 const Places& places, VmCommand& out) {
    OptionList list = OptionList::parse("memory-backend-file");
    list.set("id", block);
    list.set("x-use-canonical-path-for-ramblock-id", "off");
    list.set("mem-path", places.image_path(block));
    list.set("share", places.keeps_image ? "off" : "on");
    list.set("size", std::to_string(bytes));
    out.shared.push_back({block, bytes});
    return list.text();
}

Result<std::string> with_shared_memory(const std::string& value, const Places& places,
                                       VmCommand& out) {
    if (is_json(value)) return json_memory(value, places, out);
    OptionList list = OptionList::parse(value);
    if (!is_backend(list.first().empty() ? list.get("qom-type") : list.first())) return value;
    const auto size = memory_size(list.get("size"), 'B');
    if (!size) return fail(ErrorCode::invalid_argument, "-object {}: no size", value);
    const std::string canonical_text = list.get("x-use-canonical-path-for-ramblock-id");
    const bool canonical = canonical_text == "on" || canonical_text == "true";
    const std::string block = block_of(list.get("id"), canonical);
    OptionList own = OptionList::parse("memory-backend-file");
    own.set("id", list.get("id"));
    own.set("x-use-canonical-path-for-ramblock-id", canonical ? "on" : "off");
    own.set("mem-path", places.image_path(block));
    own.set("share", places.keeps_image ? "off" : "on");
    own.set("size", std::to_string(*size));
    out.shared.push_back({block, *size});
    out.notes.push_back("-object " + value + " became " + own.text());
    return own.text();
}

bool is_external_network(const std::string& value) {
    std::string type;
    if (is_json(value)) {
        const auto json = Json::parse(value);
        if (json) type = json->text("type");
    } else {
        const OptionList list = OptionList::parse(value);
        type = list.first().empty() ? list.get("type") : list.first();
    }
    return type == "stream" || type == "dgram" || type == "socket";
}

// Datagrams survive the end of the gate; a stream netdev of QEMU 7.2 cannot connect again.
std::string own_network(const std::string& value, const Places::Network& network) {
    std::string id;
    if (is_json(value)) {
        const auto json = Json::parse(value);
        if (json) id = json->text("id");
    } else {
        id = OptionList::parse(value).get("id");
    }
    OptionList list = OptionList::parse("dgram");
    list.set("id", id);
    list.set("local.type", "unix");
    list.set("local.path", network.vm);
    list.set("remote.type", "unix");
    list.set("remote.path", network.gate);
    return list.text();
}

std::string disk_placeholder(std::size_t number) {
    return "standby:" + std::to_string(number);
}

Result<std::string> with_own_disk(const std::string& value, const std::vector<std::string>& sockets,
                                  VmCommand& out) {
    const std::string& socket = sockets.front();
    const auto done = [&](const std::string& own) {
        out.notes.push_back("block device " + value + " became " + own);
        return own;
    };
    if (is_json(value)) {
        Json node = TRY(Json::parse(value));
        return redirect(node, sockets) > 0 ? done(node.dump()) : value;
    }
    OptionList list = OptionList::parse(value);
    const std::string file = list.get("file");
    if (file.compare(0, 4, "nbd:") == 0 || file.compare(0, 4, "nbd+") == 0) {
        list.erase("file");
        list.set("file.driver", "nbd");
        const std::string name = export_of(file);
        if (!name.empty()) list.set("file.export", name);
        point_at(list, "file.", socket);
        return done(list.text());
    }
    constexpr std::string_view kDriver = "driver";
    bool found = false;
    for (const std::string& key : list.keys()) {
        const bool is_driver =
            key.size() >= kDriver.size() &&
            key.compare(key.size() - kDriver.size(), kDriver.size(), kDriver) == 0;
        if (!is_driver || list.get(key) != "nbd") continue;
        point_at(list, key.substr(0, key.size() - kDriver.size()), socket);
        found = true;
    }
    if (list.first() == "nbd") {
        point_at(list, "", socket);
        found = true;
    }
    return found ? done(list.text()) : value;
}

}  // namespace segue::standby
