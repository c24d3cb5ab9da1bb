// SPDX-License-Identifier: LGPL-2.1-or-later
#include "migrate/phase.h"

namespace segue::migrate {
namespace {

const PhaseInfo kPhases[] = {
    {Phase::none, "none", "no migration"},
    {Phase::perform2, "perform2", "v2 source: Perform, which is the whole migration"},
    {Phase::begin3, "begin3", "v3 source: Begin was called; nothing has moved"},
    {Phase::perform3, "perform3", "v3 source: Perform is called; the guest is being sent"},
    {Phase::perform3_done, "perform3_done", "v3 source: everything was sent, Confirm is awaited"},
    {Phase::confirm3_cancelled, "confirm3_cancelled", "v3 source: the guest goes on here"},
    {Phase::confirm3, "confirm3", "v3 source: the guest runs there, the source QEMU ends"},
    {Phase::prepare, "prepare", "destination: the incoming QEMU waits for the guest"},
    {Phase::finish2, "finish2", "v2 destination: Finish decides"},
    {Phase::finish3, "finish3", "v3 destination: Finish decides"},
    {Phase::postcopy_failed, "postcopy_failed", "post-copy only"},
    {Phase::begin_resume, "begin_resume", "post-copy only"},
    {Phase::perform_resume, "perform_resume", "post-copy only"},
    {Phase::confirm_resume, "confirm_resume", "post-copy only"},
    {Phase::prepare_resume, "prepare_resume", "post-copy only"},
    {Phase::finish_resume, "finish_resume", "post-copy only"},
};

}  // namespace

std::span<const PhaseInfo> phases() {
    return kPhases;
}

std::string_view name_of(Phase phase) {
    return kPhases[static_cast<std::size_t>(phase)].name;
}

std::optional<Phase> phase_named(std::string_view name) {
    for (const PhaseInfo& info : kPhases) {
        if (info.name == name) return info.phase;
    }
    return std::nullopt;
}

std::optional<Phase> phase_numbered(int number) {
    if (number < 0 || number >= static_cast<int>(std::size(kPhases))) return std::nullopt;
    return static_cast<Phase>(number);
}

std::string_view name_of(Role role) {
    return role == Role::source ? "source" : "destination";
}

std::optional<Role> role_named(std::string_view name) {
    if (name == "source") return Role::source;
    if (name == "destination") return Role::destination;
    return std::nullopt;
}

}  // namespace segue::migrate
