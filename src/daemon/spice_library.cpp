// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/spice_library.h"

#include <unistd.h>

#include <filesystem>

#include "base/log.h"

namespace segue {
namespace {

constexpr const char* kFile = "libspice-server.so.1";

// Beside the daemon's own binary: in a build tree ../lib, installed ../lib/ARCH/segue or
// ../lib/segue.
std::string find_ours() {
    std::error_code code;
    const auto binary = std::filesystem::read_symlink("/proc/self/exe", code);
    if (code) return {};
    const auto base = binary.parent_path().parent_path();
    for (const char* place : {"lib", "lib/segue", "lib/x86_64-linux-gnu/segue"}) {
        // The installed `lib` is the system's: our library is never in it.
        const bool system_path = std::string_view(place) == "lib" && base == "/usr";
        const auto folder = base / place;
        if (!system_path && std::filesystem::exists(folder / kFile, code)) return folder.string();
    }
    return {};
}

}  // namespace

std::string spice_library_directory(SpiceLibrary wanted) {
    if (wanted == SpiceLibrary::stock) return {};
    static const std::string ours = [] {
        std::string found = find_ours();
        if (found.empty()) {
            log_warning("daemon",
                        "our SPICE library ({}) is not beside the daemon: QEMU uses the "
                        "stock one",
                        kFile);
        }
        return found;
    }();
    return ours;
}

}  // namespace segue
