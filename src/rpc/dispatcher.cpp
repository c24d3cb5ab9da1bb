// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rpc/dispatcher.h"

#include "base/check.h"
#include "rpc/event.schema.h"
#include "rpc/extension.schema.h"
#include "rpc/migration.schema.h"
#include "rpc/neighbours.schema.h"
#include "rpc/qemu.schema.h"
#include "rpc/remote.schema.h"

namespace segue::rpc {
namespace {

std::uint64_t key_of(std::uint32_t program, std::int32_t procedure) {
    return (std::uint64_t{program} << 32) | static_cast<std::uint32_t>(procedure);
}

}  // namespace

Dispatcher::Dispatcher() {
    const auto learn = [this](std::uint32_t program, std::span<const ProcedureInfo> table) {
        for (const ProcedureInfo& info : table)
            entries_[key_of(program, info.number)] = Entry{program, info, {}};
    };
    learn(remote::kProgram, remote::procedures());
    learn(migration::kProgram, migration::procedures());
    learn(event::kProgram, event::procedures());
    learn(qemu::kProgram, qemu::procedures());
    learn(neighbours::kProgram, neighbours::procedures());
    learn(extension::kProgram, extension::procedures());
}

Dispatcher::Entry& Dispatcher::entry(std::uint32_t program, std::int32_t procedure) {
    const auto found = entries_.find(key_of(program, procedure));
    ENSURE(found != entries_.end());  // a procedure that no schema describes
    return found->second;
}

tl::unexpected<Error> Dispatcher::refused_flags(std::uint64_t flags, std::string_view procedure) {
    return fail(ErrorCode::invalid_argument, "unsupported flags (0x{:x}) in function {}", flags,
                procedure);
}

const Dispatcher::Entry* Dispatcher::find(std::uint32_t program, std::int32_t procedure) const {
    const auto found = entries_.find(key_of(program, procedure));
    return found == entries_.end() ? nullptr : &found->second;
}

bool Dispatcher::knows_program(std::uint32_t program) const {
    return program == remote::kProgram || program == qemu::kProgram ||
           program == extension::kProgram;
}

}  // namespace segue::rpc
