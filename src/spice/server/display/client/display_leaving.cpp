// SPDX-License-Identifier: LGPL-2.1-or-later
// The last that a display channel sends before MIGRATE.
#include "spice/server/display/client/carry_cost.h"
#include "spice/server/display/client/display_channel.h"

namespace segue::spice::server {

namespace display = wire::display;

// The client's streams end with the old server: their frames are timed by its clock. The target
// begins them anew from `knowledge`.
void DisplayChannel::before_migrate() {
    note_paces();
    if (!streams_.empty()) send(display::StreamDestroyAll{});
    streams_.clear();
    // The target has the state already, or will have it: it is ours, and knows what is stale.
    if (frozen_ || is_carried()) return;
    leave_costly();
    leave_off_screen();
    complete_picture();
}

// Surfaces off screen that are made anew for less than is to be told of them.
void DisplayChannel::leave_costly() {
    const double pixels = static_cast<double>(encoder_.raw_bytes()) / 4;
    const double bytes_per_pixel =
        pixels > 0 ? static_cast<double>(encoder_.encoded_bytes()) / pixels : 1;
    for (auto known = knowledge_.surfaces.begin(); known != knowledge_.surfaces.end();) {
        const SurfaceKnowledge& has = known->second;
        // Another server made it, and has not said how large.
        const bool stays = is_shown(known->first) || has.width == 0 ||
                           cost_to_carry(has) <= cost_to_redraw(has, bytes_per_pixel);
        known = stays ? std::next(known) : destroy_surface(known);
    }
}

// A server of another make believes that its client has every pixel of the surfaces off screen.
void DisplayChannel::leave_off_screen() {
    const bool tells_lossy = encoder_.options().may_lose();
    for (auto known = knowledge_.surfaces.begin(); known != knowledge_.surfaces.end();) {
        const SurfaceKnowledge& has = known->second;
        const bool is_exact = has.stale.empty() && (tells_lossy || has.lossy.empty());
        known = is_exact || is_shown(known->first) ? std::next(known) : destroy_surface(known);
    }
}

// And of those on the screen, too: when its device paints them anew, what is black is left out
// (QEMU compares with a picture that begins black), and of a picture that has not changed all is.
// So whatever waited for a slow client goes now, whole, however long the client may take to read
// it: neither the machine nor anybody else waits for that.
void DisplayChannel::complete_picture() {
    // Of a machine that is not here yet there are no pixels to send.
    if (!ready_ || is_held() || waits_for_machine_) return;
    leaves_ = true;
    spare_what_is_shown();
    sync_surfaces();
    sync_monitors();
    for (auto& [id, known] : knowledge_.surfaces) {
        const Surface* surface = guest_.surfaces().find(id);
        if (surface == nullptr || !is_shown(id) || !known.fits(*surface)) continue;
        // Where JPEG is in use the state lists what is lossy; else nobody would make it exact.
        if (!encoder_.options().may_lose()) known.stale.unite(known.lossy);
        send_stale(*surface, known);
    }
    // Behind MIGRATE nothing leaves: no picture may enter the dictionary that others still use.
    leaves_ = false;
}

}  // namespace segue::spice::server
