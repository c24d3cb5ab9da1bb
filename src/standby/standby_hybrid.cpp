// SPDX-License-Identifier: LGPL-2.1-or-later
// segue-standby in hybrid mode: its shadow's places, and what the shadow's takeover is.
#include <cerrno>
#include <cstdio>

#include "base/log.h"
#include "standby/standby.h"

namespace segue::standby {
namespace {

std::string seat_folder(std::size_t seat) {
    return fmt::format("s{}", seat);
}

}  // namespace

std::string Standby::shadow_disk(std::size_t number) {
    return fmt::format("shadow-disk{}", number);
}

std::string Standby::vm_socket(std::string_view name, std::size_t number) const {
    const std::uint64_t seat = state_.facts().seat;
    if (seat == 0) return socket(name, number);
    const Places places = seat_places(seat - 1);
    if (name == "disk") return places.disks[number];
    return name == "gate" ? places.networks[number].gate : places.networks[number].vm;
}

// Their names are short: with a directory more, a socket's path must not be longer than those of a
// VM without a seat ("incoming.sock"), which leave nothing of the kernel's 107 bytes in some
// places.
StandbyVm::Files Standby::seat_files(std::size_t seat) const {
    const std::string folder = seat_folder(seat) + "/";
    return {state_.file(folder + "own"), state_.file(folder + "in"), state_.file("qemu.log"),
            state_.file(folder + "qemu.pid")};
}

Places Standby::seat_places(std::size_t seat) const {
    const std::string folder = seat_folder(seat) + "/";
    const auto path = [&](std::string_view name, std::size_t number) {
        return state_.file(fmt::format("{}{}{}", folder, name, number));
    };
    Places places;
    places.operator_qmp = state_.file(folder + "qmp");
    places.own_qmp = seat_files(seat).own_qmp;
    for (std::size_t card = 0; card < options_.networks.size(); ++card)
        places.networks.push_back({path("nic", card), path("gate", card)});
    for (std::size_t disk = 0; disk < options_.disks.size(); ++disk)
        places.disks.push_back(path("disk", disk));
    places.keeps_image = true;
    places.image_path = [this](std::string_view block) { return store_->image_path(block); };
    return places;
}

void Standby::end_shadows() {
    for (std::size_t seat = 0; seat < Shadow::kSeats; ++seat)
        StandbyVm::end_leftover(seat_files(seat));
}

Result<> Standby::prepare_hybrid() {
    std::vector<Places> seats;
    for (std::size_t seat = 0; seat < Shadow::kSeats; ++seat) {
        TRY(state_.make_directory(seat_folder(seat)));
        seats.push_back(seat_places(seat));
    }
    for (std::size_t card = 0; card < networks_.size(); ++card) {
        std::vector<NetworkPort::Files> files;
        for (const Places& places : seats)
            files.push_back({places.networks[card].gate, places.networks[card].vm});
        NetworkPort::Twins twins;
        twins.may_leave = [this] { return mark_beyond(); };
        twins.primary_in = [this, card](Bytes frames) {
            hybrid_->to_compare(card, std::move(frames), true);
        };
        twins.shadow_in = [this, card](Bytes frames) {
            hybrid_->to_compare(card, std::move(frames), false);
        };
        twins.waits = [this] { hybrid_->frames_wait(); };
        TRY(networks_[card]->open_seats(files, std::move(twins)));
    }
    for (std::size_t disk = 0; disk < disks_.size(); ++disk) {
        std::vector<std::string> sockets;
        for (const Places& places : seats)
            sockets.push_back(places.disks[disk]);
        TRY(disks_[disk]->open_seats(sockets, options_.disks[disk].image,
                                     TRY(state_.make_directory(shadow_disk(disk)))));
    }
    Hybrid::Handlers handlers;
    handlers.command = [this](std::size_t seat) {
        return promoted_command(options_.vm, seat_places(seat));
    };
    handlers.files = [this](std::size_t seat) { return seat_files(seat); };
    handlers.make_stream = [this] { return make_stream(); };
    handlers.may_run = [this] { return !state_.facts().paused; };
    if (options_.agent) handlers.ask_agent = [this](bool one) { agent_->ask(one); };
    handlers.suspended = [this] { session_->vm_suspended(); };
    handlers.loaded = [this] { session_->vm_loaded(); };
    handlers.guest_ended = [this](const std::string& how) { print_error("QEMU ended: " + how); };
    handlers.tell = [this](Json event) {
        // Whoever runs an agent asks for figures: no log grows with each of them.
        if (agent_ && event.text("event") == "difference") return;
        event.set("epoch", store_->epoch());
        events_.print(event);
    };
    hybrid_ = std::make_unique<Hybrid>(loop_, options_.vm.front(), networks_, disks_,
                                       options_.differences, std::move(handlers));
    return {};
}

void Standby::suspend_vm() {
    hybrid_ ? hybrid_->suspend() : session_->vm_suspended();
}
void Standby::load_vm() {
    hybrid_ ? hybrid_->load() : session_->vm_loaded();
}
void Standby::resume_vm() {
    if (hybrid_) hybrid_->resume();
}

// Once an epoch: a crash of this host takes the image along, and with it what must not be promoted.
bool Standby::mark_beyond() {
    if (state_.facts().beyond_epoch == store_->epoch()) return true;
    Facts facts = state_.facts();
    facts.beyond_epoch = store_->epoch();
    const auto saved = state_.save_for_next_process(facts);
    if (!saved) print_error(saved.error().message);
    return saved.has_value();
}

bool Standby::is_outrun() const {
    const bool held = store_->content() == StoreRecord::Content::committed;
    const bool knows = hybrid_ && hybrid_->is_comparing();
    return held && !knows && state_.facts().beyond_epoch == store_->epoch();
}

Error Standby::outrun() const {
    return {ErrorCode::operation_invalid,
            fmt::format("frames have left that epoch {} does not know, and the shadow that sent "
                        "them is gone: \"force\":true promotes all the same",
                        store_->epoch())};
}

// It has said all that has left, and runs: nothing is loaded, and nothing is done over again.
void Standby::take_over_shadow() {
    const auto fail_later = [this](const Result<>& why) {
        loop_.post([this, why] { promotion_ended(why); });
    };
    drop_primary("the standby takes over");
    for (const auto& disk : disks_) {
        const auto back = disk->disk().discard(store_->epoch());
        if (!back) return fail_later(back);
    }
    // A next process looks for the guest there.
    const StandbyVm::Files files = seat_files(*hybrid_->seat());
    if (std::rename(files.pid.c_str(), state_.file("qemu.pid").c_str()) != 0) {
        return fail_later(fail_errno("rename", files.pid, errno));
    }
    // As durable as what a promotion from the image runs from, before anything of it is heard.
    Facts facts = state_.facts();
    facts.promoted = facts.ran = true;
    facts.epoch = store_->epoch();
    facts.seat = *hybrid_->seat() + 1;
    const auto saved = state_.save(facts);
    if (!saved) {
        // It may be asked for again.
        (void)std::rename(state_.file("qemu.pid").c_str(), files.pid.c_str());
        return fail_later(saved);
    }
    const std::string qmp = seat_places(facts.seat - 1).operator_qmp;
    if (std::rename(qmp.c_str(), state_.file("qmp.sock").c_str()) != 0) {
        log_warning("standby", "the guest's monitor stays at '{}'", qmp);
    }
    for (const auto& disk : disks_) {
        const auto kept = disk->serve_shadow();
        // It goes on from its own log, and a next process tries again.
        if (!kept) print_error(kept.error().message);
    }
    vm_ = hybrid_->take_over();
    loop_.post([this] { promotion_ended({}); });
}

}  // namespace segue::standby
