// SPDX-License-Identifier: LGPL-2.1-or-later
// The configuration files. toml++ stays in this one file.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>

#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

#include "daemon/settings.h"

namespace segue {
namespace {

// Two megabytes: far above any configuration, far below any harm.
constexpr std::size_t kMaxFileBytes = 2U << 20;

// Collects every complaint, so that one --check-config shows them all.
class Complaints {
  public:
    explicit Complaints(std::string file) : file_(std::move(file)) {}
    void add(const toml::source_region& where, std::string_view text) {
        if (!text_.empty()) text_ += '\n';
        text_ += fmt::format("{}:{}: {}", file_, where.begin.line, text);
    }
    Result<> result() const {
        if (text_.empty()) return {};
        return tl::unexpected<Error>(Error{ErrorCode::invalid_argument, text_});
    }

  private:
    std::string file_;
    std::string text_;
};

using Setter = std::function<Result<>(const toml::node&)>;
struct Key {
    const char* section;
    const char* name;
    Setter set;
};

Result<std::string> text_of(const toml::node& node) {
    if (const auto value = node.value_exact<std::string>()) return *value;
    return fail(ErrorCode::invalid_argument, "must be a text in quotes");
}
Result<bool> bool_of(const toml::node& node) {
    if (const auto value = node.value_exact<bool>()) return *value;
    return fail(ErrorCode::invalid_argument, "must be true or false");
}
Result<std::vector<std::string>> texts_of(const toml::node& node) {
    std::vector<std::string> out;
    if (!node.is_array()) return fail(ErrorCode::invalid_argument, "must be a list of texts");
    for (const toml::node& one : *node.as_array())
        out.push_back(TRY(text_of(one)));
    return out;
}

constexpr std::int64_t kMaxMilliseconds = 3'600'000;

Setter text(std::string& to) {
    return [&to](const toml::node& node) -> Result<> {
        to = TRY(text_of(node));
        return {};
    };
}
Setter flag(bool& to) {
    return [&to](const toml::node& node) -> Result<> {
        to = TRY(bool_of(node));
        return {};
    };
}
Setter ports(PortRange& to) {
    return [&to](const toml::node& node) -> Result<> {
        const std::string range = TRY(text_of(node));
        to = TRY(PortRange::parse(range));
        return {};
    };
}
Setter milliseconds(Duration& to) {
    return [&to](const toml::node& node) -> Result<> {
        const auto value = node.value_exact<std::int64_t>();
        if (!value || *value < 0 || *value > kMaxMilliseconds) {
            return fail(ErrorCode::invalid_argument, "must be milliseconds from 0 to {}",
                        kMaxMilliseconds);
        }
        to = std::chrono::milliseconds(*value);
        return {};
    };
}
// One word of a list, stored by its place in it.
Setter word(std::vector<std::string> words, std::function<void(std::size_t)> store) {
    return [words = std::move(words), store = std::move(store)](const toml::node& node) {
        return text_of(node).and_then([&](const std::string& value) -> Result<> {
            const auto found = std::find(words.begin(), words.end(), value);
            if (found == words.end()) {
                return fail(ErrorCode::invalid_argument, "must be one of {}",
                            fmt::join(words, ", "));
            }
            store(static_cast<std::size_t>(found - words.begin()));
            return {};
        });
    };
}
Setter listen(std::vector<net::Address>& to) {
    return [&to](const toml::node& node) -> Result<> {
        to.clear();
        const std::vector<std::string> texts = TRY(texts_of(node));
        for (const std::string& one : texts)
            to.push_back(TRY(net::Address::parse(one)));
        return {};
    };
}
Setter offer(std::vector<std::string>& to) {
    return [&to](const toml::node& node) -> Result<> {
        to = TRY(texts_of(node));
        for (const std::string& one : to) {
            if (one != "v3-params" && one != "v3" && one != "v2") {
                return fail(ErrorCode::invalid_argument,
                            "'{}' is no migration protocol: use v3-params, v3, v2", one);
            }
        }
        return {};
    };
}

std::vector<Key> keys_of(Settings& settings) {
    const std::vector<std::string> levels{"debug", "info", "warning", "error"};
    return {
        {"daemon", "listen", listen(settings.listen)},
        {"daemon", "state", text(settings.state)},
        {"daemon", "hostname", text(settings.hostname)},
        {"daemon", "host_uuid", text(settings.host_uuid)},
        {"daemon", "socket_group", text(settings.socket_group)},
        {"daemon", "read_only_sockets", flag(settings.read_only_sockets)},
        {"migration", "address", text(settings.migrate_address)},
        {"migration", "ports", ports(settings.migrate_ports)},
        {"migration", "offer", offer(settings.offer)},
        {"migration", "screen_wait_ms", milliseconds(settings.screen_wait)},
        {"migration", "source_keep_ms", milliseconds(settings.source_keep)},
        {"spice", "library",
         word({"segue", "stock"},
              [&settings](std::size_t index) {
                  settings.spice_library = static_cast<SpiceLibrary>(index);
              })},
        {"spice", "ports", ports(settings.spice_ports)},
        {"spice", "listen", text(settings.spice_listen)},
        {"tls", "directory", text(settings.tls_directory)},
        {"security", "allow_passthrough", flag(settings.allow_passthrough)},
        {"security", "sandbox", flag(settings.sandbox)},
        {"security", "qemu_user", text(settings.qemu_user)},
        {"metrics", "socket", text(settings.metrics_socket)},
        {"log", "level",
         word(levels,
              [&settings, levels](std::size_t index) { settings.log_level = levels[index]; })},
    };
}

std::string known_names(const std::vector<Key>& keys, std::string_view section) {
    std::string names;
    for (const Key& key : keys) {
        if (section != key.section) continue;
        names += names.empty() ? "" : ", ";
        names += key.name;
    }
    return names;
}

void apply_section(const toml::table& table, std::string_view section, const std::vector<Key>& keys,
                   Complaints& complaints) {
    for (auto&& [name, node] : table) {
        const std::string_view own = name.str();
        const auto found = std::find_if(keys.begin(), keys.end(), [&](const Key& key) {
            return section == key.section && own == key.name;
        });
        if (found == keys.end()) {
            complaints.add(name.source(), fmt::format("unknown key '{}.{}' (known: {})", section,
                                                      own, known_names(keys, section)));
            continue;
        }
        if (const auto set = found->set(node); !set) {
            complaints.add(node.source(),
                           fmt::format("{}.{} {}", section, own, set.error().message));
        }
    }
}

Result<> apply(std::string_view text, const std::string& name, Settings& settings) {
    toml::parse_result parsed = toml::parse(text, name);
    Complaints complaints(name);
    if (!parsed) {
        complaints.add(parsed.error().source(), parsed.error().description());
        return complaints.result();
    }
    const std::vector<Key> keys = keys_of(settings);
    for (auto&& [section, node] : parsed.table()) {
        const std::string_view own = section.str();
        if (known_names(keys, own).empty()) {
            complaints.add(section.source(), fmt::format("unknown section '{}'", own));
        } else if (!node.is_table()) {
            complaints.add(node.source(), fmt::format("'{}' must be a section: [{}]", own, own));
        } else {
            apply_section(*node.as_table(), own, keys, complaints);
        }
    }
    return complaints.result();
}

Result<std::string> read_whole(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) return fail_errno("read", path, errno);
    std::string text(kMaxFileBytes + 1, '\0');
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(file.gcount()));
    if (text.size() > kMaxFileBytes) {
        return fail(ErrorCode::limit_exceeded, "{}: more than {} bytes: split it into conf.d", path,
                    kMaxFileBytes);
    }
    return text;
}

Result<std::vector<std::string>> files_of(const std::string& file, bool must_exist) {
    namespace fs = std::filesystem;
    std::vector<std::string> files;
    std::error_code code;
    if (must_exist || fs::exists(file, code)) files.push_back(file);
    std::vector<std::string> more;
    const fs::path folder = fs::path(file).parent_path() / "conf.d";
    for (fs::directory_iterator entry(folder, code), end; !code && entry != end;
         entry.increment(code)) {
        if (entry->path().extension() == ".toml") more.push_back(entry->path().string());
    }
    if (code && code != std::errc::no_such_file_or_directory) {
        return fail(ErrorCode::system, "read '{}': {}", folder.string(), code.message());
    }
    std::sort(more.begin(), more.end());
    files.insert(files.end(), more.begin(), more.end());
    return files;
}

}  // namespace

Result<Settings> parse_settings(std::string_view text, const std::string& name) {
    Settings settings;
    TRY(apply(text, name, settings));
    return settings;
}

Result<Settings> read_settings(const std::string& file, bool must_exist) {
    Settings settings;
    const std::vector<std::string> files = TRY(files_of(file, must_exist));
    for (const std::string& one : files) {
        const std::string text = TRY(read_whole(one));
        TRY(apply(text, one, settings));
    }
    return settings;
}

}  // namespace segue
