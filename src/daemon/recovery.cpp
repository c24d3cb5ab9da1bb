// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/recovery.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include "base/log.h"
#include "daemon/calls/protection.h"
#include "daemon/conduct/destination.h"
#include "daemon/conduct/records.h"
#include "daemon/conduct/source.h"
#include "daemon/domain_list.h"
#include "daemon/life.h"
#include "daemon/peer_door.h"
#include "daemon/promise_keeper.h"
#include "domain/alias.h"

namespace segue {
namespace {

// For the QEMUs that answer. What one that stands still is to be told waits for it alone
// (Guest::when_steerable); everybody else is served.
constexpr Duration kFirstLook = 5s;

// Everything that is taken up again, and starts when all of it is there, or the bound has passed.
struct Recovery {
    std::size_t waiting = 0;
    std::vector<std::function<void()>> restarts;
    Answer<> done;
    std::unique_ptr<Timer> bound;

    bool has_begun() const { return !done; }
    void one_less() {
        if (--waiting == 0) begin();
    }
    void begin() {
        if (bound) bound->cancel();
        for (const auto& restart : std::exchange(restarts, {}))
            restart();
        if (const auto answer = std::exchange(done, {})) answer({});
    }
};
using RecoveryPointer = std::shared_ptr<Recovery>;

// One QEMU that is asked what it does. It may end before it has answered: then nobody calls, and
// this goes with it.
class Adoption {
  public:
    Adoption(Loop& loop, RecoveryPointer recovery) : loop_(loop), recovery_(std::move(recovery)) {}
    ~Adoption() { is_over(); }
    Adoption(const Adoption&) = delete;
    Adoption& operator=(const Adoption&) = delete;

    bool is_late() const { return recovery_ && recovery_->has_begun(); }

    // Not at once: whoever drops this is in the middle of taking a guest down.
    void is_over() {
        if (const auto recovery = std::exchange(recovery_, nullptr))
            loop_.post([recovery] { recovery->one_less(); });
    }

  private:
    Loop& loop_;
    RecoveryPointer recovery_;
};

// What was not understood is nobody's to use or to erase: its guest may be running.
void block(const Services& services, const Uuid& uuid, const std::string& name,
           std::string_view table, const Error& error) {
    services.domains.block(
        uuid, name,
        fmt::format("the table '{}' of '{}/segue.db' has a record of it that was not understood "
                    "({}); nothing of it is touched, and its QEMU goes on; start the segued that "
                    "wrote it, or, when no QEMU of it is left, delete the record while segued is "
                    "stopped",
                    table, services.settings.state, error.message));
}

using Statuses = std::map<Uuid, storage::StatusRecord>;

// What was noted of the domain as this record has it. One that was started or ended since, by a
// daemon that died in between, is not what the note is about.
DomainStatus noted_status(const Statuses& statuses, const storage::DomainRecord& record) {
    const auto noted = statuses.find(record.uuid);
    const bool active = !record.live.empty();
    DomainStatus otherwise =
        active ? DomainStatus(PausedReason::unknown) : DomainStatus(ShutOffReason::unknown);
    if (noted == statuses.end() || noted->second.incarnation != record.incarnation) {
        return otherwise;
    }
    const DomainStatus status = status_named(noted->second.status).value_or(otherwise);
    return status.is(DomainState::shut_off) == active ? otherwise : status;
}

// By domain. Those of domains that were never saved, or were forgotten, are erased.
Result<Statuses> read_statuses(const Services& services,
                               const std::vector<storage::DomainRecord>& domains) {
    std::set<Uuid> known;
    for (const storage::DomainRecord& record : domains)
        known.insert(record.uuid);
    Statuses statuses;
    for (storage::StatusRecord& row : TRY(services.store.statuses())) {
        if (known.count(row.domain) != 0) {
            statuses.emplace(row.domain, std::move(row));
        } else if (const auto erased = services.store.note({storage::EraseStatus{row.domain}});
                   !erased) {
            log_warning("daemon", "{}", erased.error().message);
        }
    }
    return statuses;
}

// Everything of the record is read before anything is made of it.
Result<> recover_domain(const Services& services, const storage::DomainRecord& record,
                        const DomainStatus& status, const RecoveryPointer& recovery) {
    std::optional<Domain> persistent;
    if (!record.definition.empty()) persistent = TRY(parse_printed_domain(record.definition));
    if (record.live.empty()) {
        const DomainPointer domain = TRY(services.domains.obtain(record.uuid, record.name));
        domain->autostart = record.autostart;
        domain->persistent = std::move(persistent);
        domain->status = status;
        return {};
    }
    const XmlElement root = TRY(parse_xml(record.live, "a record of the store", kPrintedXml));
    Domain live = TRY(parse_domain(root));
    // A definition's id means nothing; that of our own record is the running domain's.
    if (const auto id = root.attribute("id")) live.id = std::atoi(std::string(*id).c_str());
    const DomainPointer domain = TRY(services.domains.obtain(record.uuid, record.name));
    domain->autostart = record.autostart;
    domain->persistent = std::move(persistent);
    if (live.id) services.domains.note_id(*live.id);
    // A definition's aliases are not its own to say, and the QEMU that runs has them.
    assign_aliases(live);
    ++recovery->waiting;
    domain->status = status;
    const auto adoption = std::make_shared<Adoption>(services.loop, recovery);
    adopt_guest(services, domain, std::move(live), record.incarnation,
                [&services, domain, adoption](Result<> adopted) {
                    // One that answers late; the others when protections are known again.
                    if (adopted && adoption->is_late()) end_if_off(services, domain);
                    adoption->is_over();
                });
    return {};
}

void resume_source(const Services& services, const DomainPointer& domain,
                   const migrate::Record& record, const RecoveryPointer& recovery) {
    const bool alive = domain->incarnation && domain->incarnation->key == record.incarnation;
    const auto started =
        domain->jobs.start(migrate::AsyncKind::migration_out, "restart", services.loop.now());
    if (!started) {
        log_error("daemon", "domain '{}': {}", domain->name, started.error().message);
        return;
    }
    migrate::MigrateOptions options;
    options.flags = record.flags;
    domain->source = std::make_shared<SourceConduct>(
        services, domain, migrate::SourceMachine::restored(record, alive), std::move(options));
    recovery->restarts.push_back([conduct = domain->source] { conduct->restarted(); });
}

void resume_destination(const Services& services, const DomainPointer& domain,
                        const migrate::Record& record, const RecoveryPointer& recovery) {
    const bool alive = domain->incarnation && domain->incarnation->key == record.incarnation;
    const auto conduct = std::make_shared<DestinationConduct>(
        services, domain, migrate::DestinationMachine::restored(record, alive));
    services.peer_door.add(record.id, conduct);
    recovery->restarts.push_back([conduct] { conduct->restarted(); });
    if (is_promise(record)) return conduct->job_is_over();
    if (domain->jobs.start(migrate::AsyncKind::migration_in, "restart", services.loop.now())) {
        domain->destination = conduct;
    }
}

// Directories that no record names: of starts that died before they were written down. Their QEMU,
// if it lives, never ran a guest.
void remove_strays(const Services& services, const std::set<std::string>& known) {
    std::error_code code;
    const std::string root = services.settings.state + "/domains";
    std::set<std::string> strays;  // each with its pid file beside it, or only one of the two
    for (std::filesystem::directory_iterator entry(root, code), end; !code && entry != end;
         entry.increment(code)) {
        std::string name = entry->path().filename().string();
        name.resize(std::min(name.find('.'), name.size()));  // of a pid file
        if (known.count(name) == 0) strays.insert(root + "/" + name);
    }
    for (const std::string& directory : strays)
        end_stray(directory);
    // Emulators that a daemon before us was asking; ours carry our pid.
    const std::string ours = fmt::format("probe-{}-", ::getpid());
    for (std::filesystem::directory_iterator entry(services.settings.state, code), end;
         !code && entry != end; entry.increment(code)) {
        const std::string name = entry->path().filename().string();
        if (name.starts_with("probe-") && !name.starts_with(ours)) {
            end_stray(entry->path().string());
        }
    }
}

// A promise needs no place in the list, where its name may be another domain's by now.
Result<DomainPointer> domain_of(const Services& services, const migrate::Record& record) {
    if (!is_promise(record)) return services.domains.obtain(record.domain, record.domain_name);
    if (auto known = services.domains.find(record.domain)) return known;
    return std::make_shared<DomainObject>(record.domain, record.domain_name);
}

void recover_migration(const Services& services, const migrate::Record& record,
                       const RecoveryPointer& recovery) {
    const auto domain = domain_of(services, record);
    if (!domain) return log_error("daemon", "{}", domain.error().message);
    log_info("daemon", "domain '{}': a migration as {} is taken up again, phase {}, right {}",
             record.domain_name, migrate::name_of(record.role), migrate::name_of(record.phase),
             migrate::name_of(record.right));
    if (record.role == migrate::Role::source) {
        resume_source(services, *domain, record, recovery);
    } else {
        resume_destination(services, *domain, record, recovery);
    }
}

// A promise that no source came back for within kPromiseKept is forgotten.
bool is_stale(const Services& services, const migrate::Record& record, std::int64_t changed_ms) {
    return is_promise(record) &&
           services.wall_ms() - changed_ms > to_ms(migrate::DestinationMachine::kPromiseKept);
}

std::vector<migrate::Record> read_records(const Services& services,
                                          const std::vector<storage::MigrationRecord>& rows) {
    std::vector<migrate::Record> records;
    for (const storage::MigrationRecord& row : rows) {
        auto record = migrate::from_row(row);
        if (!record) {
            block(services, row.domain, row.domain_name, "migrations", record.error());
        } else if (is_stale(services, *record, row.changed_ms)) {
            services.migration_records.forget(*record);
        } else {
            records.push_back(std::move(*record));
        }
    }
    migrate::settle_arrivals(records);
    return records;
}

void end_what_is_off(const Services& services) {
    const auto all = services.domains.all();
    for (const auto& entry : all)
        end_if_off(services, entry.second);
}

void forget_what_is_nothing(const Services& services) {
    const auto all = services.domains.all();
    for (const auto& entry : all)
        services.domains.forget_if_nothing_is_left(*entry.second);
}

}  // namespace

void recover(const Services& services, Answer<> done) {
    const auto domains = services.store.domains();
    if (!domains) return done(tl::unexpected(domains.error()));
    const auto statuses = read_statuses(services, *domains);
    if (!statuses) return done(tl::unexpected(statuses.error()));
    const auto migrations = services.store.migrations();
    if (!migrations) return done(tl::unexpected(migrations.error()));
    const auto recovery = std::make_shared<Recovery>();
    recovery->waiting = 1;
    recovery->done = std::move(done);
    std::set<std::string> known;
    for (const storage::DomainRecord& record : *domains) {
        known.insert(record.incarnation);
        const auto taken =
            recover_domain(services, record, noted_status(*statuses, record), recovery);
        if (!taken) {
            block(services, record.uuid, record.name, "domains", taken.error());
        }
    }
    for (const storage::MigrationRecord& row : *migrations)
        if (!migrate::from_row(row)) known.insert(row.incarnation);
    remove_strays(services, known);
    for (const migrate::Record& record : read_records(services, *migrations))
        recover_migration(services, record, recovery);
    recovery->restarts.push_back([&services] { restore_protections(services); });
    recovery->restarts.push_back([&services] { end_what_is_off(services); });
    recovery->restarts.push_back([&services] { forget_what_is_nothing(services); });
    const std::weak_ptr<Recovery> weak = recovery;
    recovery->bound = services.loop.make_timer([weak] {
        if (const auto late = weak.lock()) late->begin();
    });
    recovery->bound->start(kFirstLook);
    services.loop.post([recovery] { recovery->one_less(); });
}

}  // namespace segue
