// SPDX-License-Identifier: LGPL-2.1-or-later
// libvirt's QEMU program: commands for the monitor itself.
#include "base/log.h"
#include "daemon/calls/calls.h"
#include "daemon/guest.h"
#include "daemon/ticket.h"
#include "rpc/qemu.schema.h"

namespace segue {

using rpc::Session;

namespace {

constexpr std::uint32_t kHuman = 1;

// A ticket that was changed goes along when the guest moves.
void keep_ticket(const Services& services, const DomainPointer& domain,
                 const std::function<bool(Domain&, std::int64_t)>& note) {
    if (!domain->incarnation || !note(domain->incarnation->live, services.wall_ms() / 1000)) return;
    if (const auto saved = services.domains.save(*domain); !saved) {
        log_error("daemon", "domain '{}': {}", domain->name, saved.error().message);
    }
}

// QEMU names what only answers so. Anything else may change the guest, or let it run where its
// right to run is not: it is refused beside a migration, until the outcome is known.
bool is_question(const std::string& text, bool is_human) {
    if (is_human) return text.starts_with("info ");
    const auto command = Json::parse(text);
    return command && command->is_object() && command->text("execute").starts_with("query-");
}

// Passed on as it is, with QEMU's own answer or error in QMP's form (as libvirt does).
void machine_command(const Services& services, const DomainPointer& domain, Guest& guest,
                     const std::string& text, Answer<rpc::remote::TextReply> answer) {
    const auto command = Json::parse(text);
    if (!command || !command->is_object() || command->text("execute").empty()) {
        return answer(fail(ErrorCode::invalid_argument,
                           "the monitor command must be a JSON object with \"execute\""));
    }
    const std::string id(command->text("id"));
    const std::string name(command->text("execute"));
    const Json arguments = (*command)["arguments"];
    guest.execute(
        name, arguments, [&services, domain, name, arguments, answer, id](Result<Json> reply) {
            Json out = Json::object();
            if (reply) {
                keep_ticket(services, domain, [&](Domain& live, std::int64_t now) {
                    return note_ticket(live, name, arguments, now);
                });
                out.set("return", std::move(*reply));
            } else {
                const bool unknown = reply.error().code == ErrorCode::no_support;
                out.set("error",
                        Json::object({{"class", unknown ? "CommandNotFound" : "GenericError"},
                                      {"desc", reply.error().message}}));
            }
            if (!id.empty()) out.set("id", id);
            answer(rpc::remote::TextReply{out.dump()});
        });
}

void human_command(const Services& services, const DomainPointer& domain, Guest& guest,
                   const std::string& text, Answer<rpc::remote::TextReply> answer) {
    guest.execute("human-monitor-command", Json::object({{"command-line", text}}),
                  [&services, domain, text, answer](Result<Json> reply) {
                      // It says something where it has failed.
                      if (reply && reply->as_text().value_or("").empty()) {
                          keep_ticket(services, domain, [&](Domain& live, std::int64_t now) {
                              return note_ticket(live, text, now);
                          });
                      }
                      answer(reply.map([](const Json& said) {
                          return rpc::remote::TextReply{std::string(said.as_text().value_or(""))};
                      }));
                  });
}

}  // namespace

void add_monitor_calls(rpc::Dispatcher& calls, const Services& services) {
    calls.on<rpc::qemu::DomainMonitorCommand>(
        [&services](Session&, rpc::qemu::MonitorCommandCall call,
                    rpc::Reply<rpc::qemu::DomainMonitorCommand> reply) {
            const auto domain = services.domains.find(call.domain);
            if (!domain) return reply(tl::unexpected(domain.error()));
            const auto guest = (*domain)->running_guest();
            if (!guest) return reply(tl::unexpected(guest.error()));
            const auto kind = is_question(call.command, (call.flags & kHuman) != 0)
                                  ? migrate::CallKind::none
                                  : migrate::CallKind::modify;
            const auto guard = CallGuard::begin(*domain, kind, "qemu-monitor-command");
            if (!guard) return reply(tl::unexpected(guard.error()));
            log_info("daemon", "domain '{}': a client uses the monitor", (*domain)->name);
            const auto text = [reply, guard = *guard](Result<rpc::remote::TextReply> said) {
                reply(std::move(said));
            };
            if ((call.flags & kHuman) != 0) {
                return human_command(services, *domain, **guest, call.command, text);
            }
            machine_command(services, *domain, **guest, call.command, text);
        });
}

}  // namespace segue
