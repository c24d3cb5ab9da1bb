// SPDX-License-Identifier: LGPL-2.1-or-later
#include "cli/verbs/doctor.h"

#include <grp.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <filesystem>

#include "cli/print.h"
#include "cli/probe.h"

namespace segue::cli {
namespace {

using Grade = Finding::Grade;
constexpr const char* kEmulator = "qemu-system-x86_64";
constexpr Duration kBound = 5s;
constexpr std::uint64_t kSharedMemoryWanted = 1ULL << 30;

std::string first_line(const std::string& text) {
    return text.substr(0, text.find('\n'));
}

Finding examine_emulator() {
    const auto answer = probe({kEmulator, "--version"}, kBound);
    if (!answer || answer->exit_code != 0) {
        return {Grade::bad, "QEMU", answer ? "does not run" : answer.error().message,
                "apt-get install qemu-system-x86"};
    }
    return {Grade::good, "QEMU", first_line(answer->output), ""};
}

Finding examine_spice() {
    const auto answer = probe({kEmulator, "-accel", "tcg", "-device", "help"}, kBound);
    const bool has_qxl = answer && answer->output.find("\"qxl\"") != std::string::npos;
    if (has_qxl) return {Grade::good, "SPICE in QEMU", "present", ""};
    return {Grade::bad, "SPICE in QEMU", "QEMU has no qxl device: its SPICE modules are missing",
            "apt-get install qemu-system-gui (Debian), or the distribution's SPICE modules"};
}

Finding examine_acceleration() {
    const auto kvm = probe_kvm(kBound);
    if (kvm) return {Grade::good, "acceleration", "KVM answers", ""};
    return {Grade::note, "acceleration", "KVM is not used: " + kvm.error().message,
            "define domains with type='qemu' here, or enable virtualization in the firmware; "
            "protection needs KVM"};
}

Finding examine_library() {
    std::error_code ignored;
    const auto self = std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path();
    for (const auto& place :
         {self / "../lib/libspice-server.so.1", self / "../lib/segue/libspice-server.so.1",
          self / "../lib/x86_64-linux-gnu/segue/libspice-server.so.1"}) {
        if (std::filesystem::exists(place, ignored)) {
            return {Grade::good, "our SPICE library", place.lexically_normal().string(), ""};
        }
    }
    return {Grade::note, "our SPICE library", "not found: segued falls back to stock",
            "install libspice-server1-segue, or run ./setup in the source tree"};
}

Finding examine_shared_memory() {
    struct statvfs room {};
    if (statvfs("/dev/shm", &room) != 0) {
        return {Grade::bad, "/dev/shm", std::strerror(errno), "mount a tmpfs there"};
    }
    const std::uint64_t free_bytes = std::uint64_t{room.f_bavail} * room.f_frsize;
    if (free_bytes >= kSharedMemoryWanted) {
        return {Grade::good, "/dev/shm", size_text(free_bytes) + " free", ""};
    }
    return {Grade::note, "/dev/shm", size_text(free_bytes) + " free",
            "a standby keeps the guest's memory there: mount -o remount,size=… /dev/shm"};
}

Finding examine_host_name() {
    char name[HOST_NAME_MAX + 1] = {};
    if (gethostname(name, HOST_NAME_MAX) != 0 || std::strncmp(name, "localhost", 9) == 0) {
        return {Grade::bad, "host name", name,
                "give the host a name that other hosts can resolve, or start segued with "
                "--hostname and --migrate-address"};
    }
    return {Grade::good, "host name", name, ""};
}

Finding examine_name_resolution() {
    char name[HOST_NAME_MAX + 1] = {};
    gethostname(name, HOST_NAME_MAX);
    // In a child: a name server that does not answer holds a resolver for long.
    const auto answer = probe({"getent", "hosts", name}, kBound);
    if (answer && answer->exit_code == 0) {
        const std::string found = first_line(answer->output);
        // As Debian's installer writes it. Who is told this name dials itself.
        const bool is_loopback = found.rfind("127.", 0) == 0 || found.rfind("::1 ", 0) == 0;
        if (!is_loopback) return {Grade::good, "address of this host", found, ""};
        return {Grade::note, "address of this host", found + ": other hosts cannot reach it",
                "set migration.address, or give the name its address (DNS, /etc/hosts)"};
    }
    return {Grade::note, "address of this host", std::string(name) + " has none",
            "let the other hosts resolve it (DNS, /etc/hosts), or set migration.address"};
}

// As root, segued runs QEMU as a user of its own where there is one (security.qemu_user).
Finding examine_people() {
    const bool has_group = ::getgrnam("segue") != nullptr;
    const bool has_user = ::getpwnam("segue-qemu") != nullptr;
    if (has_group && has_user) return {Grade::good, "group and user", "segue, segue-qemu", ""};
    std::string missing = has_group ? "" : "no group segue: only root may use the socket";
    if (!has_user) {
        missing += missing.empty() ? "" : "; ";
        missing += "no user segue-qemu: a segued of root runs QEMU as root";
    }
    return {Grade::note, "group and user", missing,
            "systemd-sysusers (after an installation), or groupadd -r segue and useradd -r "
            "-g kvm segue-qemu"};
}

Finding examine_images() {
    const auto answer = probe({"qemu-img", "--version"}, kBound);
    if (answer && answer->exit_code == 0) {
        return {Grade::good, "qemu-img", first_line(answer->output), ""};
    }
    return {Grade::note, "qemu-img", answer ? "does not run" : answer.error().message,
            "apt-get install qemu-utils"};
}

// What the daemon itself says of its files: keys, ports, certificates.
Finding examine_configuration() {
    std::error_code ignored;
    const auto beside =
        std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path() / "segued";
    const std::string daemon =
        std::filesystem::exists(beside, ignored) ? beside.string() : "segued";
    const auto answer = probe({daemon, "--check-config"}, kBound);
    if (!answer) return {Grade::bad, "configuration", answer.error().message, "install segued"};
    if (answer->exit_code == 0) return {Grade::good, "configuration", "is understood", ""};
    return {Grade::bad, "configuration", "segued refuses it",
            "segued --check-config says which key, and why"};
}

Finding examine_daemon(const std::string& uri) {
    const std::size_t at = uri.find("socket=");
    if (at == std::string::npos) return {Grade::note, "daemon", "not a local socket: " + uri, ""};
    const std::string path = uri.substr(at + 7, uri.find('&', at) - at - 7);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) {
        return {Grade::bad, "daemon", path,
                "a socket's path has at most 107 characters: choose a shorter one"};
    }
    std::memcpy(address.sun_path, path.data(), path.size());
    const int socket_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const bool answered =
        connect(socket_fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    const int why = errno;
    close(socket_fd);
    if (answered) return {Grade::good, "daemon", "listens on " + path, ""};
    const std::string remedy = why == EACCES ? "join the group 'segue' and log in again"
                                             : "systemctl start segued, or name its socket with -c";
    return {Grade::bad, "daemon", path + ": " + std::strerror(why), remedy};
}

const char* text_of(Grade grade) {
    switch (grade) {
        case Grade::good: return "good";
        case Grade::note: return "note";
        case Grade::bad: return "BAD";
    }
    return "";
}

}  // namespace

std::vector<Finding> examine_host(const std::string& uri) {
    std::vector<Finding> findings{examine_emulator()};
    if (findings.front().grade == Grade::good) findings.push_back(examine_spice());
    findings.push_back(examine_acceleration());
    findings.push_back(examine_library());
    findings.push_back(examine_shared_memory());
    findings.push_back(examine_images());
    findings.push_back(examine_people());
    findings.push_back(examine_host_name());
    findings.push_back(examine_name_resolution());
    findings.push_back(examine_configuration());
    findings.push_back(examine_daemon(uri));
    return findings;
}

ExitCode doctor(const Invocation& invocation) {
    const auto findings = examine_host(invocation.uri);
    Json list = Json::array();
    Table table;
    for (const Finding& one : findings) {
        list.push(Json::object({{"grade", text_of(one.grade)},
                                {"what", one.what},
                                {"found", one.found},
                                {"remedy", one.remedy}}));
        table.rows.push_back({text_of(one.grade), one.what, one.found});
        if (!one.remedy.empty()) table.rows.push_back({"", "", "→ " + one.remedy});
    }
    if (invocation.output == Output::json) {
        print_json(list);
    } else {
        print(table.text());
    }
    const bool is_bad = std::any_of(findings.begin(), findings.end(),
                                    [](const Finding& one) { return one.grade == Grade::bad; });
    return is_bad ? ExitCode::refused : ExitCode::ok;
}

}  // namespace segue::cli
