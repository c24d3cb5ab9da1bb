// SPDX-License-Identifier: LGPL-2.1-or-later
#include "standby/vm_command.h"

#include <algorithm>
#include <array>

#include "standby/vm_devices.h"

namespace segue::standby {
namespace {

constexpr std::uint64_t kDefaultMemory = 128ULL << 20;  // of x86 machines without -m

// Options of the primary's own life and sockets; those with a value take it along.
constexpr std::array<std::string_view, 9> kDroppedWithValue = {
    "qmp", "qmp-pretty", "monitor", "mon", "incoming", "pidfile", "gdb", "loadvm", "chroot"};
constexpr std::array<std::string_view, 4> kDroppedAlone = {"daemonize", "S", "s", "preconfig"};

template <std::size_t kSize>
bool contains(const std::array<std::string_view, kSize>& list, std::string_view name) {
    return std::find(list.begin(), list.end(), name) != list.end();
}

// "-name" and "--name" are the same to QEMU. Empty: no option.
std::string_view option_name(std::string_view word) {
    if (word.size() < 2 || word[0] != '-') return {};
    return word.substr(word[1] == '-' ? 2 : 1);
}

class Rewriter {
  public:
    Rewriter(const std::vector<std::string>& primary, const Places& places)
        : primary_(primary), places_(places) {}

    Result<VmCommand> run() {
        if (primary_.empty() || !option_name(primary_[0]).empty()) {
            return fail(ErrorCode::invalid_argument,
                        "the command line after -- must begin with the emulator's path");
        }
        TRY(look());
        out_.words.push_back(primary_[0]);
        for (std::size_t at = 1; at < primary_.size(); ++at) {
            const std::string_view name = option_name(primary_[at]);
            const bool has_value = at + 1 < primary_.size();
            if (contains(kDroppedAlone, name)) {
                note("dropped {}", primary_[at]);
            } else if (contains(kDroppedWithValue, name) && has_value) {
                note("dropped {} {}", primary_[at], primary_[at + 1]);
                ++at;
            } else if (is_rewritten(name) && has_value) {
                TRY(rewrite(name, primary_[at + 1]));
                ++at;
            } else {
                out_.words.push_back(primary_[at]);
            }
        }
        add_own();
        out_.is_cold = places_.is_cold;
        return std::move(out_);
    }

  private:
    static bool is_rewritten(std::string_view name) {
        return name == "machine" || name == "M" || name == "object" || name == "netdev" ||
               name == "drive" || name == "blockdev" || name == "serial" || name == "chardev";
    }

    template <class... Args>
    void note(fmt::format_string<Args...> format, Args&&... args) {
        out_.notes.push_back(fmt::format(format, std::forward<Args>(args)...));
    }
    void add(std::string_view option, std::string value) {
        out_.words.push_back(fmt::format("-{}", option));
        out_.words.push_back(std::move(value));
    }

    // What decides about other options.
    Result<> look() {
        for (std::size_t at = 1; at + 1 < primary_.size(); ++at) {
            const std::string_view name = option_name(primary_[at]);
            const std::string& value = primary_[at + 1];
            if (name == "m") {
                const auto size = memory_size(value);
                if (!size) {
                    return fail(ErrorCode::invalid_argument, "-m {}: no size of memory", value);
                }
                memory_ = *size;
            } else if (name == "machine" || name == "M") {
                const OptionList list = OptionList::parse(value);
                machine_ = list.first().empty() ? list.get("type") : list.first();
                has_backend_ = has_backend_ || list.has("memory-backend");
            } else if (name == "mon") {
                const OptionList list = OptionList::parse(value);
                monitors_.push_back(list.first().empty() ? list.get("chardev") : list.first());
            } else if (name == "numa" && OptionList::parse(value).has("memdev")) {
                has_backend_ = true;
            }
        }
        return {};
    }

    Result<> rewrite(std::string_view name, const std::string& value) {
        const bool is_memory = name == "machine" || name == "M" || name == "object";
        if (is_memory && places_.is_cold) {
            add(name, value);
        } else if (name == "machine" || name == "M") {
            rewrite_machine(value);
        } else if (name == "object") {
            add(name, TRY(with_shared_memory(value, places_, out_)));
        } else if (name == "netdev") {
            TRY(rewrite_netdev(value));
        } else if (name == "serial") {
            rewrite_serial(value);
        } else if (name == "chardev") {
            rewrite_chardev(value);
        } else if (!places_.disks.empty()) {
            add(name, TRY(with_own_disk(value, places_.disks, out_)));
        } else {
            add(name, value);
        }
        return {};
    }

    // QEMU's own name of the machine's main memory; the stream uses it.
    std::string_view main_block() const { return machine_ == "microvm" ? "microvm.ram" : "pc.ram"; }

    void rewrite_machine(const std::string& value) {
        OptionList list = OptionList::parse(value);
        if (!has_backend_ && !backend_set_) {
            list.set("memory-backend", main_block());
            backend_set_ = true;
        }
        add("machine", list.text());
    }

    Result<> rewrite_netdev(const std::string& value) {
        if (places_.networks.empty() || !is_external_network(value)) {
            add("netdev", value);
            return {};
        }
        if (networks_set_ == places_.networks.size()) {
            return fail(ErrorCode::config_unsupported,
                        "-netdev {}: there are {} --net; one more network cannot be promoted",
                        value, networks_set_);
        }
        const std::string own = own_network(value, places_.networks[networks_set_++]);
        note("-netdev {} became {}", value, own);
        add("netdev", own);
        return {};
    }

    // A file that the primary wrote is continued, not emptied: both may name the same one.
    void rewrite_serial(const std::string& value) {
        constexpr std::string_view kFile = "file:";
        if (value.compare(0, kFile.size(), kFile) != 0) return add("serial", value);
        OptionList list = OptionList::parse("file");
        const std::string id = fmt::format("segue-serial{}", serials_++);
        list.set("id", id);
        list.set("path", value.substr(kFile.size()));
        list.set("append", "on");
        add("chardev", list.text());
        add("serial", "chardev:" + id);
    }

    void rewrite_chardev(const std::string& value) {
        OptionList list = OptionList::parse(value);
        if (std::find(monitors_.begin(), monitors_.end(), list.get("id")) != monitors_.end()) {
            note("dropped -chardev {} (a monitor's)", value);
            return;
        }
        if (list.first() == "file" && !list.has("append")) list.set("append", "on");
        add("chardev", list.text());
    }

    void add_own() {
        if (!has_backend_ && !places_.is_cold) {
            const std::string block(main_block());
            if (!backend_set_) add("machine", "memory-backend=" + block);
            add("object", shared_memory_object(block, memory_, places_, out_));
        }
        if (places_.is_cold) {
            out_.words.emplace_back("-S");
        } else {
            add("incoming", "defer");
        }
        add("monitor", "none");
        add("qmp", "unix:" + places_.own_qmp + ",server=on,wait=off");
        add("qmp", "unix:" + places_.operator_qmp + ",server=on,wait=off");
    }

    const std::vector<std::string>& primary_;
    const Places& places_;
    VmCommand out_;
    std::uint64_t memory_ = kDefaultMemory;
    std::string machine_;
    std::vector<std::string> monitors_;
    bool has_backend_ = false;
    bool backend_set_ = false;
    std::size_t networks_set_ = 0;
    int serials_ = 0;
};

}  // namespace

std::optional<std::uint64_t> memory_size(std::string_view text, char suffix) {
    const OptionList list = OptionList::parse(text);
    const std::string size = list.first().empty() ? list.get("size") : list.first();
    std::uint64_t number = 0;
    std::size_t at = 0;
    while (at < size.size() && size[at] >= '0' && size[at] <= '9' && number < (1ULL << 50))
        number = number * 10 + static_cast<std::uint64_t>(size[at++] - '0');
    if (at == 0 || number == 0 || size.size() - at > 1) return std::nullopt;
    if (at < size.size()) suffix = size[at];
    if (number >= (1ULL << 50) || (suffix != 'B' && suffix != 'b' && number >= (1ULL << 24)))
        return std::nullopt;
    switch (suffix) {
        case 'b':
        case 'B': return number;
        case 'k':
        case 'K': return number << 10;
        case 'm':
        case 'M': return number << 20;
        case 'g':
        case 'G': return number << 30;
        case 't':
        case 'T': return number << 40;
        default: return std::nullopt;
    }
}

Result<VmCommand> promoted_command(const std::vector<std::string>& primary, const Places& places) {
    return Rewriter(primary, places).run();
}

}  // namespace segue::standby
