// SPDX-License-Identifier: LGPL-2.1-or-later
// What of a guest's devices takes part in its protection: disks, cards, and what its clients see.
#include <filesystem>

#include "daemon/guest.h"
#include "daemon/protection/ask.h"
#include "daemon/protection/devices.h"
#include "daemon/protection/emulator_trial.h"
#include "daemon/protection/flushes.h"
#include "daemon/protection/primary.h"
#include "daemon/protection/shared_disks.h"
#include "daemon/spice_line.h"
#include "daemon/workers.h"
#include "domain/alias.h"
#include "spice/control/screen_word.h"

namespace segue {
namespace {

// A server that does not take a word in this time is busy with worse.
constexpr Duration kScreenBound = 2s;

}  // namespace

// A standby of what checkpoints get wrong would be worthless.
void PrimaryProtection::try_emulator(Answer<> done) {
    const auto domain = domain_.lock();
    if (!domain) return done(fail(ErrorCode::no_domain, "it is gone"));
    if (is_tcg() && wish_.allow_tcg) return done({});
    services_.self_tests.ask(
        services_, domain->model().emulator, !is_tcg(),
        [self = shared_from_this(), domain, done](Result<> right) {
            if (right) return done(self->is_wanted());
            const std::string_view way =
                self->is_tcg()
                    ? "use KVM, or a QEMU whose emulation (TCG) is right; --allow-tcg is "
                      "for tests with a corrected one"
                    : "another version of QEMU is needed";
            done(fail(ErrorCode::config_unsupported,
                      "domain '{}' cannot be protected: the checkpoints of '{}' fail their "
                      "self-test: {}: {}",
                      domain->name, domain->model().emulator, right.error().message, way));
        });
}

void PrimaryProtection::measure_devices(Answer<> done) {
    const auto domain = domain_.lock();
    const auto guest = domain ? domain->running_guest() : fail(ErrorCode::no_domain, "it is gone");
    if (!guest) return done(tl::unexpected(guest.error()));
    const Domain& model = domain->model();
    netdevs_.clear();
    disks_.clear();
    gate_at_primary_ = true;
    if (wish_.shared_storage) return measure_shared_disks(model, std::move(done));
    for (const Interface& card : model.interfaces)
        netdevs_.push_back("host" + card.alias);
    gate_at_primary_ = wish_.gate_at_primary || !can_gate_at_standby(model);
    for (const std::size_t index : writable_disks(model))
        disks_.push_back({format_node(model, index), 0, model.disks[index].source});
    if (disks_.empty()) return done({});
    (*guest)->execute("query-named-block-nodes", Json::object({{"flat", true}}),
                      [self = shared_from_this(), done](Result<Json> said) {
                          done(said ? self->take_sizes(*said) : tl::unexpected(said.error()));
                      });
}

// The standby opens what is written here when QEMU's lock says that nobody has it any more.
Result<> PrimaryProtection::judge_shared_disks(const Domain& model) {
    const std::vector<std::size_t> written = writable_disks(model);
    if (written.empty()) {
        return fail(ErrorCode::config_unsupported,
                    "--shared-storage: domain '{}' has no disk that it writes", model.name);
    }
    for (const std::size_t index : written) {
        if (!model.disks[index].block) continue;
        return fail(ErrorCode::config_unsupported,
                    "--shared-storage: disk '{}' ({}) is a device, whose lock no other host sees: "
                    "put it into a file, or have it mirrored",
                    model.disks[index].target, model.disks[index].source);
    }
    return {};
}

void PrimaryProtection::measure_shared_disks(const Domain& model, Answer<> done) {
    std::vector<std::string> paths;
    for (const std::size_t index : writable_disks(model))
        paths.push_back(model.disks[index].source);
    const auto found = std::make_shared<Result<Json>>(Json());
    services_.workers.run([found, paths] { *found = describe_images(paths); },
                          [self = shared_from_this(), found, done] {
                              if (!*found) return done(tl::unexpected(found->error()));
                              self->shared_disks_ = **found;
                              done({});
                          });
}

Result<> PrimaryProtection::take_sizes(const Json& nodes) {
    for (MirroredDisk& disk : disks_) {
        for (const Json& node : nodes.items()) {
            if (node.text("node-name") == disk.node) disk.bytes = node["image"].u64("virtual-size");
        }
        if (disk.bytes != 0) continue;
        return fail(ErrorCode::operation_failed, "QEMU has no block node '{}'", disk.node);
    }
    return {};
}

// Under protection QEMU has not (flushes.h).
void PrimaryProtection::sync_images() const {
    for (const MirroredDisk& disk : disks_) {
        if (!disk.image.empty()) sync_image(services_, disk.image);
    }
}

// -- what clients see and hear

std::string PrimaryProtection::screen_socket(const DomainObject& domain) {
    return domain.incarnation ? SpiceLine::path_in(domain.incarnation->directory) : std::string();
}

bool PrimaryProtection::has_screen_socket(const DomainObject& domain) {
    std::error_code code;
    return std::filesystem::is_socket(screen_socket(domain), code);
}

// Only our server can hold anything back. A picture may be taken back before the user's eyes, where
// he has said so; what has reached his clipboard, his files or his devices cannot.
Result<> PrimaryProtection::judge_screen(const DomainObject& domain) const {
    const bool has_server = has_screen_socket(domain);
    if (!wish_.screen_held) {
        if (has_server || !speaks_to_clients(domain.incarnation->live)) return {};
        return fail(ErrorCode::config_unsupported,
                    "domain '{}' has an agent, a port, USB or a smartcard on SPICE channels, and "
                    "runs without a SPICE server of Segue's: no other can hold back what they say "
                    "until it is committed: start it with Segue's library, or take them out",
                    domain.name);
    }
    for (const Graphics& screen : domain.incarnation->live.graphics) {
        if (screen.type == GraphicsType::spice) continue;
        return fail(ErrorCode::config_unsupported,
                    "--screen held: domain '{}' has a VNC server, which shows every picture at "
                    "once: take it out, or use --screen early",
                    domain.name);
    }
    if (has_server) return {};
    return fail(ErrorCode::config_unsupported,
                "--screen held: domain '{}' runs without a SPICE server of Segue's, and no other "
                "can hold a picture back: use --screen early, or start it with <graphics "
                "type='spice'/> and Segue's library",
                domain.name);
}

// Whoever held it may be gone, and with it everybody who would let anything leave.
void PrimaryProtection::let_screen_pass() {
    const auto domain = domain_.lock();
    if (!domain || !domain->incarnation || !has_screen_socket(*domain)) return;
    const auto word = Json::parse(
        to_line(spice::control::ScreenWord{spice::control::ScreenWord::Kind::pass, {}, false}));
    if (!word) return;
    ask_helper(
        services_, screen_socket(*domain), *word, [](Result<Json>) {}, kScreenBound);
}

}  // namespace segue
