// SPDX-License-Identifier: LGPL-2.1-or-later
// A running domain of this host that is protected: its agent beside it, its QEMU set up for
// checkpoints, its standby at the other daemon. What is lost is set up again by itself, until
// somebody says `unprotect`. Lives in its DomainObject.
#pragma once

#include "daemon/domain_object.h"
#include "daemon/protection/qemu_steps.h"
#include "daemon/protection/wish.h"
#include "daemon/services.h"
#include "migrate/cookie.h"
#include "protect/hang_judge.h"
#include "protect/interval_pilot.h"
#include "spice/control/standby.h"
#include "store/records.h"

namespace segue {

class PrimaryProtection : public std::enable_shared_from_this<PrimaryProtection> {
  public:
    enum class State {
        setting_up,
        guarding,     // the standby can take over
        taking_down,  // back to a QEMU that is alone
        unprotected,  // tried again later
        isolated,     // the standby may have taken over: the guest stands still
        moving,       // a planned failover
    };

    PrimaryProtection(const Services& services, const DomainPointer& domain, ProtectionWish wish);
    ~PrimaryProtection();

    // Refuses what can never work, with the reason; else sets up. The answer comes when the domain
    // is protected, or with what prevented it: nothing is left behind then.
    static void begin(const Services& services, const DomainPointer& domain, ProtectionWish wish,
                      Answer<Json> answer);
    // After a restart of the daemon.
    static void restore(const Services& services, const DomainPointer& domain,
                        const storage::ProtectionRecord& record);

    // Of a guest whose QEMU is gone: whether its standby had, or may have had, a state to run.
    static bool may_run_elsewhere(const storage::ProtectionRecord& record);

    // Gives protection up, here and there.
    void end(Answer<> answer);
    // The standby goes on from exactly where this guest stops.
    void move(Answer<Json> answer);
    // --- Live migration of the guest (primary_move.cpp): protection ends, and begins again where
    // that has ended, here or at its destination ---
    // Whether it could end now; and whether that destination can go on with it. Errors are for the
    // user, and name the way.
    Result<> may_move() const;
    Result<> may_move_to(const std::optional<migrate::Cookie>& destination) const;
    // Ends it. Error: it could not be, and stands as it was or is isolated.
    void leave(Answer<> answer);
    // The migration has ended, and the guest is here.
    void migration_over();
    // The guest runs elsewhere, with its protection.
    void guest_left();
    // A guest that comes here, and was protected where it comes from: begun when it has arrived.
    static void arrive(const Services& services, const DomainPointer& domain, ProtectionWish wish);
    // Its user's: the guest stands still in a checkpoint that the standby has and that is not
    // ended, and the protection goes on. Whoever takes over leaves it so.
    void pause(Answer<> answer);
    void resume(Answer<> answer);
    // Before QEMU is ended on purpose: the standby hears that nothing is lost.
    bool must_let_go() const { return state_ != State::moving && state_ != State::taking_down; }
    void let_go(std::function<void()> then);
    // QEMU has ended. The agent has told the standby.
    void guest_gone();
    void qemu_event(const QmpEvent& event);

    State state() const { return state_; }
    // Stops and resumes of the processors are COLO's, not the user's.
    bool owns_processors() const {
        return state_ == State::setting_up || state_ == State::guarding ||
               state_ == State::taking_down || state_ == State::moving;
    }
    const ProtectionWish& wish() const { return wish_; }
    Json status() const;
    void save() const;

  private:
    using Self = std::shared_ptr<PrimaryProtection>;
    Result<> judge() const;
    Result<> judge_screen(const DomainObject& domain) const;
    static Result<> judge_shared_disks(const Domain& model);
    void measure_shared_disks(const Domain& model, Answer<> done);
    static std::string screen_socket(const DomainObject& domain);
    static bool has_screen_socket(const DomainObject& domain);
    void let_screen_pass();
    void sync_images() const;
    void set_up(Answer<> answer);
    void try_emulator(Answer<> done);
    void measure_devices(Answer<> done);
    Result<> take_sizes(const Json& nodes);
    void prepare_standby(Answer<> done);
    void open_witness(Answer<> done);
    void start_agent(Answer<> done);
    void wait_for_agent(const std::string& wanted, Instant until, Answer<> done);
    // An agent that hangs now would hold the guest's writes, or all of it, without end.
    void watch_set_up();
    Result<> is_wanted() const;
    void end_set_up(const Result<>& outcome);
    // Whether the standby would take over by itself, or may ask somebody whether it should.
    bool standby_may_win() const { return wish_.promote_on_loss || wish_.has_witness(); }
    std::vector<Step> qemu_steps();
    // An agent that refuses, because the standby may have taken over, has the last word: isolated
    // then, and an error. `force`: an operator has said that the standby does not run the guest.
    enum class Force { no, yes };
    void end_without_agent(Force force, bool sets_up, bool could_win, Answer<> next);
    void ask_agent_to_end(Force force, bool could_win, Answer<> next);
    void ask_standby_to_end(Answer<> next);
    void take_down(Force force, Answer<> done);
    void release_standby(Answer<> done);
    void release_witness();

    void enter(State state);
    void forget_record() const;
    void moved(const std::function<void()>& gone);
    void ask_whether_moved();
    void end_isolated(Answer<> answer);
    void end_now(Answer<> answer);
    void look();
    void looked(const Json& said);
    void steer(const Json& said);
    // The agent does not run, or does not answer: what it would decide is decided here.
    void agent_is_of_no_use(const std::string& reason);
    void ask_witness();
    void stand_still();
    void give_disks_back();
    void go_on_alone();
    void probe_qemu();
    void work_answered(const Json& said);
    void jobs_answered(const Json& said);
    bool may_be_in_checkpoint(std::string_view status);
    void found_in(std::string_view qemu_state, const std::string& detail);
    void hold_checkpoints(const std::function<void(bool between)>& held);
    void let_checkpoints_go_on();
    void wake_guest(bool only_half_asleep);
    void wake_between(int looks, const std::function<void()>& wake);
    void leave_still(std::string_view qemu_state, const std::string& words);
    void stop_guest();
    void checkpoint_now();
    void resumed_by_others();
    void paused(bool now);
    void follow_pause(const Json& said);
    void ask_whether_paused();
    void mirror_ended(const EndedMirror& mirror);
    // `answer`, which guest_gone() gives where QEMU takes the answer of a step along.
    Answer<> not_lost(Answer<> answer);
    void qemu_hangs(HangJudge::Verdict verdict);
    void end_for_standby(std::string_view what);
    Json expected_rto() const;
    // Where the standby is, while it can take over or may have done so.
    void tell_viewers(
        spice::control::StandbySource source, Answer<> told = [](Result<>) {});
    // Unprotected: it is tried again.
    void wait_alone();
    // Of its record.
    void take_settings(const Json& settings);
    void try_again();
    void log_event(const std::string& text) const;
    void after(Duration delay, std::function<void()> what);
    bool is_tcg() const;
    std::string agent_file(std::string_view name) const;

    const Services& services_;
    std::weak_ptr<DomainObject> domain_;
    ProtectionWish wish_;
    State state_ = State::setting_up;
    std::string reason_;
    // The guest must not start here by itself when it ends. Outlives the daemon.
    bool may_have_taken_over_ = false;
    // Of this protection, here and at the standby.
    std::string key_;
    std::string directory_;
    std::string standby_address_, tls_name_;
    std::string witness_address_, witness_host_, standby_host_;
    bool tls_ = false;
    std::string secret_;
    // By their numbers (devices.h).
    struct MirroredDisk {
        std::string node;
        std::uint64_t bytes = 0;
        std::string image;  // empty: a daemon before this one did not say
    };
    std::vector<MirroredDisk> disks_;
    std::vector<std::string> netdevs_;
    Json shared_disks_ = Json::array();  // what the standby must see, too
    bool gate_at_primary_ = false;
    std::unique_ptr<QemuProcess> agent_;
    std::unique_ptr<Timer> timer_;
    // `unprotect` came while it was set up: who asked.
    std::vector<Answer<>> enders_;
    std::unique_ptr<Timer> set_up_watch_;
    Answer<> waiting_;  // not_lost(): whoever asked, until it is answered
    bool looking_ = false;
    // Since set_up(): something of QEMU's is ours.
    bool plugged_ = false;
    // Its user has, while nothing protected it.
    bool was_paused_ = false;
    // QEMU has stopped it by itself, and ending the protection must not let it run; why.
    bool stays_still_ = false;
    std::string stopped_by_;
    // While it guards: see pause(). The turn is another one whenever that begins, or ends.
    bool paused_ = false, pauses_ = false;
    std::uint64_t pause_turn_ = 0;
    // No checkpoint begins, for some time: see hold_checkpoints(). The guest is being woken.
    bool holds_ = false, wakes_ = false;
    std::unique_ptr<Timer> hold_again_;
    // Looks at a guest that was reset, none of which saw a checkpoint, and the epoch of the last.
    int reset_looks_ = 0;
    std::uint64_t reset_epoch_ = 0;
    // Killed by us, or dead: it is not asked to end in peace.
    bool agent_is_dead_ = false;
    // Stands still, and the witness has not answered yet.
    bool is_asking_ = false;
    IntervalPilot pilot_;
    HangJudge judge_;
    HangJudge::Verdict verdict_ = HangJudge::Verdict::well;
    bool process_asked_ = false, work_asked_ = false, jobs_asked_ = false;
    // Of the last promotion of this domain at that standby; 0: none was measured.
    std::int64_t promotion_us_ = 0;
    // From the decision to a guest that nothing of the protection holds up; 0: never yet.
    std::int64_t alone_after_us_ = 0;
    Instant decided_at_{};
    Json figures_;                             // the agent's last answer
    Json screen_;                              // the standby's: host, port, tls_port
    std::optional<std::string> told_viewers_;  // nothing: nobody was told
};

std::string_view name_of(PrimaryProtection::State state);

// A definition whose guest runs at its standby now: it does not start here until somebody says so.
void mark_taken_over(const Services& services, DomainObject& domain, const std::string& by);
void forget_taken_over(const Services& services, DomainObject& domain);
// At which host, while mark_taken_over() stands and nothing else is recorded; empty: at none.
Result<std::string> taken_over_by(const Services& services, const DomainObject& domain);
std::string taken_over_text(const DomainObject& domain, const std::string& by);

}  // namespace segue
