// SPDX-License-Identifier: LGPL-2.1-or-later
// A domain of another host that this host keeps a standby of: segue-standby with its QEMU, and
// after a promotion the running domain over them. Lives in its DomainObject.
#pragma once

#include "daemon/domain_object.h"
#include "daemon/services.h"
#include "qemu/command_line.h"
#include "qemu/qmp.h"
#include "store/records.h"

namespace segue {

class StandbyProtection : public std::enable_shared_from_this<StandbyProtection> {
  public:
    enum class State { waiting, standing_by, promoting, promoted };

    // What a primary's daemon asks for; `answer` tells where its agent connects.
    static void prepare(const Services& services, const Json& arguments, Answer<Json> answer);
    // After a restart of the daemon.
    static void restore(const Services& services, const DomainPointer& domain,
                        const storage::ProtectionRecord& record);

    StandbyProtection(const Services& services, const DomainPointer& domain);
    ~StandbyProtection();

    const std::string& key() const { return key_; }
    State state() const { return state_; }
    // segue-standby decides whether it may, unless `force`.
    void promote(bool force, Answer<Json> answer);
    // For the primary's daemon, whose guest stands still: it runs here, be it since before this was
    // asked. Error operation_invalid: it does not and was not let go; any other: nobody knows.
    void promote_frozen(Answer<Json> answer);
    // "promotion": whether it runs here: no, maybe or yes.
    void tell_promotion(Answer<Json> answer);
    // Gives the standby up. A promoted domain runs on its disk and network: refused.
    Result<> end();
    // Whether the guest that runs here since a promotion can be migrated.
    Result<> may_move() const;
    // The promoted QEMU has ended: nothing needs segue-standby any more.
    void guest_gone();
    Json status() const;
    storage::ProtectionRecord record() const;
    // Where the domain is protected in its turn, its own record holds this one.
    void save() const;

  private:
    Result<> make_domain(const Json& arguments, Domain model);
    static void prepare_seen(const Services& services, const Json& arguments, Domain whole,
                             const Answer<Json>& answer);
    bool is_shared() const { return started_with_.flag("shared_storage"); }
    Result<> make_image(std::uint64_t bytes, Disk& disk);
    CommandLineOptions command_line_options() const;
    Result<> start(const Json& arguments);
    // segue-standby's process is gone: what becomes of the standby (standby_rescue.cpp).
    void helper_ended();
    void start_again();
    void started_again(std::string_view said);
    void ask_witness();
    void ran_and_ended();
    Json facts() const;
    bool guest_lives() const;
    void end_prestarted();
    struct DiskLog {
        std::string log, image, target;
    };
    std::vector<DiskLog> left_logs() const;
    void fold_disks(std::vector<DiskLog> logs);
    void answer_where(Instant until, Answer<Json> answer);
    Json screen() const;
    void look();
    void looked(const Json& said);
    void take_over(const Json& said);
    void after(Duration delay, std::function<void()> what);
    void remove();
    void removed(bool folded);
    std::string file(std::string_view name) const { return directory_ + "/" + std::string(name); }

    const Services& services_;
    std::weak_ptr<DomainObject> domain_;
    State state_ = State::waiting;
    std::string key_, directory_, primary_host_;
    std::string witness_uri_;  // empty: none
    // The host that took this domain over from here: until it is taken back, only an operator lets
    // it start here. Empty: it never ran here.
    std::string former_by_;
    Domain live_;
    // What segue-standby was started with, for the next one: on_loss, gate, witness.
    Json started_with_;
    int rescues_ = 0;
    // What a segue-standby that was started again holds: somebody is being asked whether it counts.
    bool asks_whether_newest_ = false;
    bool made_definition_ = false;
    bool keeps_definition_ = false;
    bool tls_ = false;
    bool prestarts_ = false;
    bool folds_ = false;          // a thread brings logs into the images
    bool tells_viewers_ = false;  // its SPICE server is ours
    std::vector<std::uint16_t> ports_;
    std::uint16_t agent_port_ = 0;  // of migration_ports
    std::unique_ptr<QemuProcess> helper_;
    std::unique_ptr<Timer> timer_;
    Json figures_;
};

}  // namespace segue
