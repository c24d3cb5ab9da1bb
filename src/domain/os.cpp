// SPDX-License-Identifier: LGPL-2.1-or-later
#include "domain/os.h"

#include "domain/choice.h"

namespace segue {
namespace {

constexpr std::string_view kBoots[] = {"fd", "hd", "cdrom", "network"};
constexpr std::uint64_t kMaxMenuMs = 65535;
constexpr std::size_t kMaxBoots = 4;

Result<> check_path(std::string_view what, const std::string& path) {
    if (path.empty() || path[0] == '/') return {};
    return fail(ErrorCode::config_unsupported, "{} '{}' is not an absolute path", what, path);
}

Result<> parse_type(XmlCursor& from, OperatingSystem& os) {
    XmlCursor* type = from.child("type");
    if (!type || type->text().empty()) {
        return fail(ErrorCode::xml_invalid, "an os <type> must be specified");
    }
    if (type->text() != "hvm") {
        return fail(ErrorCode::config_unsupported, "os type '{}' is not supported: use hvm",
                    type->text());
    }
    os.arch = type->attribute_or("arch", "x86_64");
    os.machine = type->attribute_or("machine", "pc");
    if (os.arch != "x86_64") {
        return fail(ErrorCode::config_unsupported, "architecture '{}' is not supported: use x86_64",
                    os.arch);
    }
    if (os.machine.size() > 64 || os.machine.find_first_of(",= ") != std::string::npos) {
        return fail(ErrorCode::config_unsupported, "Emulator does not support machine type '{}'",
                    os.machine);
    }
    return {};
}

}  // namespace

Result<OperatingSystem> parse_os(XmlCursor& from) {
    OperatingSystem os;
    TRY(parse_type(from, os));
    os.kernel = from.child_text("kernel").value_or("");
    os.initrd = from.child_text("initrd").value_or("");
    os.command_line = from.child_text("cmdline").value_or("");
    TRY(check_path("kernel", os.kernel));
    TRY(check_path("initrd", os.initrd));
    if (os.kernel.empty() && !(os.initrd.empty() && os.command_line.empty())) {
        return fail(ErrorCode::config_unsupported, "<initrd> and <cmdline> need a <kernel>");
    }
    while (XmlCursor* boot = from.child("boot")) {
        const auto device = TRY(choice(*boot, "dev", kBoots));
        if (!device) return fail(ErrorCode::xml_invalid, "missing boot device");
        if (os.boot.size() >= kMaxBoots) {
            return fail(ErrorCode::limit_exceeded, "more than {} boot devices", kMaxBoots);
        }
        os.boot.push_back(*device);
    }
    if (XmlCursor* menu = from.child("bootmenu")) {
        os.menu = BootMenu{TRY(menu->yes_no("enable")).value_or(false), {}};
        const auto timeout = TRY(menu->number("timeout", kMaxMenuMs));
        if (timeout) os.menu->timeout_ms = static_cast<std::uint32_t>(*timeout);
    }
    for (const std::string_view firmware : {"loader", "nvram", "firmware"}) {
        if (from.has_child(firmware)) {
            return fail(ErrorCode::config_unsupported,
                        "<{}> is not supported: the machine boots with its own BIOS", firmware);
        }
    }
    os.unknown = from.unknown();
    return os;
}

XmlElement format_os(const OperatingSystem& os) {
    XmlElement out;
    out.name = "os";
    out.add_text("type", "hvm").set("arch", os.arch).set("machine", os.machine);
    if (!os.kernel.empty()) out.add_text("kernel", os.kernel);
    if (!os.initrd.empty()) out.add_text("initrd", os.initrd);
    if (!os.command_line.empty()) out.add_text("cmdline", os.command_line);
    for (const std::string& device : os.boot)
        out.add("boot").set("dev", device);
    if (os.menu) {
        XmlElement& menu = out.add("bootmenu").set("enable", os.menu->enable ? "yes" : "no");
        if (os.menu->timeout_ms) menu.set("timeout", *os.menu->timeout_ms);
    }
    merge_unknown(out, os.unknown);
    return out;
}

}  // namespace segue
