// SPDX-License-Identifier: LGPL-2.1-or-later
// QEMU's outgoing transfer: capabilities, parameters, `migrate`, and what became of it.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/loop.h"
#include "daemon/answer.h"
#include "daemon/domain_object.h"
#include "daemon/guest.h"
#include "migrate/options.h"

namespace segue {

struct TransferPlan {
    std::string uri;  // as QEMU's `migrate` takes it
    migrate::MigrateOptions options;
    MigrationTuning tuning;
    std::string tls_directory;
    bool asleep = false;  // the guest, by itself (ACPI S3)
};

class TransferOut {
  public:
    // One of them is called once for each start() or cancel(), never from inside the call.
    struct Handlers {
        std::function<void()> completed;
        std::function<void(const Error&)> failed;
        std::function<void()> cancelled;
    };

    explicit TransferOut(Loop& loop);

    void start(Guest& guest, const TransferPlan& plan, Handlers handlers);
    void cancel(Guest& guest, Handlers handlers);
    // QEMU's MIGRATION event.
    void status_changed(Guest& guest, std::string_view status);
    // QEMU's SUSPEND event.
    void guest_slept(Guest& guest);

    // The last that QEMU said; refreshed while it runs, and complete at its end.
    const TransferStatistics& statistics() const { return statistics_; }
    bool is_running() const { return running_; }

  private:
    void configure(Guest& guest, const TransferPlan& plan);
    void refresh(Guest& guest);
    void take_state(Guest& guest, TransferState state);
    void ask_last(Guest& guest, TransferState state, int left);
    void finish(TransferState state);

    Loop& loop_;
    Handlers handlers_;
    TransferStatistics statistics_;
    bool running_ = false;
    bool cancelled_ = false;
    bool pauses_ = false;  // between the stop and the devices' state: MigrationEnd
    std::unique_ptr<Timer> poll_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

enum class MigrationEnd { source, source_that_pauses, destination };

// QEMU's capabilities for one end of a migration with these options: every one that is named is
// set, on or off, so that nothing of an earlier migration stays. A source that pauses waits for
// `migrate-continue` between the guest's stop and the writing of its devices.
Json migration_capabilities(const migrate::MigrateOptions& options, MigrationEnd end);
Json outgoing_parameters(const migrate::MigrateOptions& options, const MigrationTuning& tuning);
Json incoming_parameters(const migrate::MigrateOptions& options);

// Gives QEMU its certificates, where the migration is to have TLS: an object that the parameters
// name. Both ends check the other's certificate against ca-cert.pem of the directory.
std::vector<Step> tls_steps(Guest& guest, const migrate::MigrateOptions& options,
                            const std::string& tls_directory, bool incoming);

}  // namespace segue
