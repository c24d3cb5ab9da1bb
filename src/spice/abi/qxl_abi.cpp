// SPDX-License-Identifier: LGPL-2.1-or-later
// spice_qxl_*: what the display devices of the embedder call.
#include "spice/abi/guard.h"
#include "spice/abi/handles.h"

using segue::spice::abi::guarded;
using segue::spice::server::Display;
using segue::spice::server::MemorySlot;
using segue::spice::server::PrimarySurface;

namespace {

// Runs the action with the display behind the instance; nothing when it is not attached.
template <class Action>
void with_display(const char* name, QXLInstance* instance, const Action& action) noexcept {
    if (instance == nullptr || instance->st == nullptr || instance->st->display == nullptr) return;
    guarded(name, [&] { action(*instance->st->display); });
}

MemorySlot slot_of(const QXLDevMemSlot& slot) {
    MemorySlot made;
    made.group = slot.slot_group_id;
    made.slot = slot.slot_id;
    made.generation = slot.generation;
    made.start = slot.virt_start;
    made.end = slot.virt_end;
    made.address_delta = slot.addr_delta;
    return made;
}

PrimarySurface primary_of(const QXLDevSurfaceCreate& surface) {
    PrimarySurface made;
    made.width = surface.width;
    made.height = surface.height;
    made.stride = surface.stride;
    made.format = surface.format;
    made.mouse_mode = surface.mouse_mode != 0;
    made.keep_data = (surface.flags & QXL_SURF_FLAG_KEEP_DATA) != 0;
    made.memory = surface.mem;
    made.group = surface.group_id;
    return made;
}

// The pointer's space is that of the primary surface; told here, with the embedder's lock held.
void tell_primary(QXLInstance* instance, const PrimarySurface& primary) {
    instance->st->owner->server.primary_changed(
        static_cast<int>(primary.width), static_cast<int>(primary.height), primary.mouse_mode);
}

}  // namespace

extern "C" {

void spice_qxl_wakeup(QXLInstance* instance) {
    with_display("wakeup", instance, [](Display& display) { display.wakeup(); });
}

void spice_qxl_oom(QXLInstance* instance) {
    with_display("oom", instance, [](Display& display) { display.out_of_memory(); });
}

void spice_qxl_start(QXLInstance* instance) {
    with_display("start", instance, [](Display& display) { display.start(); });
}

void spice_qxl_stop(QXLInstance* instance) {
    with_display("stop", instance, [](Display& display) { display.stop(); });
}

void spice_qxl_update_area(QXLInstance* instance, uint32_t surface_id, struct QXLRect* area,
                           struct QXLRect* dirty_rects, uint32_t num_dirty_rects,
                           uint32_t clear_dirty_region) {
    with_display("update_area", instance, [&](Display& display) {
        const std::span<QXLRect> dirty(dirty_rects, dirty_rects == nullptr ? 0 : num_dirty_rects);
        display.update_area(surface_id, *area, dirty, clear_dirty_region != 0);
    });
}

void spice_qxl_update_area_async(QXLInstance* instance, uint32_t surface_id, QXLRect* qxl_area,
                                 uint32_t clear_dirty_region, uint64_t cookie) {
    with_display("update_area_async", instance, [&](Display& display) {
        display.update_area_async(surface_id, *qxl_area, clear_dirty_region != 0, cookie);
    });
}

void spice_qxl_add_memslot(QXLInstance* instance, QXLDevMemSlot* slot) {
    with_display("add_memslot", instance,
                 [&](Display& display) { display.add_slot(slot_of(*slot)); });
}

void spice_qxl_add_memslot_async(QXLInstance* instance, QXLDevMemSlot* slot, uint64_t cookie) {
    with_display("add_memslot_async", instance,
                 [&](Display& display) { display.add_slot_async(slot_of(*slot), cookie); });
}

void spice_qxl_del_memslot(QXLInstance* instance, uint32_t slot_group_id, uint32_t slot_id) {
    with_display("del_memslot", instance,
                 [&](Display& display) { display.remove_slot(slot_group_id, slot_id); });
}

void spice_qxl_reset_memslots(QXLInstance* instance) {
    with_display("reset_memslots", instance, [](Display& display) { display.reset_slots(); });
}

void spice_qxl_destroy_surfaces(QXLInstance* instance) {
    with_display("destroy_surfaces", instance,
                 [](Display& display) { display.destroy_surfaces(); });
}

void spice_qxl_destroy_surfaces_async(QXLInstance* instance, uint64_t cookie) {
    with_display("destroy_surfaces_async", instance,
                 [&](Display& display) { display.destroy_surfaces_async(cookie); });
}

void spice_qxl_destroy_primary_surface(QXLInstance* instance, uint32_t surface_id) {
    with_display("destroy_primary_surface", instance,
                 [&](Display& display) { display.destroy_primary(surface_id); });
}

void spice_qxl_destroy_primary_surface_async(QXLInstance* instance, uint32_t surface_id,
                                             uint64_t cookie) {
    with_display("destroy_primary_surface_async", instance,
                 [&](Display& display) { display.destroy_primary_async(surface_id, cookie); });
}

void spice_qxl_create_primary_surface(QXLInstance* instance, uint32_t surface_id,
                                      QXLDevSurfaceCreate* surface) {
    with_display("create_primary_surface", instance, [&](Display& display) {
        const PrimarySurface primary = primary_of(*surface);
        display.create_primary(surface_id, primary);
        tell_primary(instance, primary);
    });
}

void spice_qxl_create_primary_surface_async(QXLInstance* instance, uint32_t surface_id,
                                            QXLDevSurfaceCreate* surface, uint64_t cookie) {
    with_display("create_primary_surface_async", instance, [&](Display& display) {
        const PrimarySurface primary = primary_of(*surface);
        tell_primary(instance, primary);
        display.create_primary_async(surface_id, primary, cookie);
    });
}

void spice_qxl_reset_image_cache(QXLInstance* instance) {
    with_display("reset_image_cache", instance,
                 [](Display& display) { display.reset_image_cache(); });
}

void spice_qxl_reset_cursor(QXLInstance* instance) {
    with_display("reset_cursor", instance, [](Display& display) { display.reset_cursor(); });
}

void spice_qxl_destroy_surface_wait(QXLInstance* instance, uint32_t surface_id) {
    with_display("destroy_surface_wait", instance,
                 [&](Display& display) { display.destroy_surface(surface_id); });
}

void spice_qxl_destroy_surface_async(QXLInstance* instance, uint32_t surface_id, uint64_t cookie) {
    with_display("destroy_surface_async", instance,
                 [&](Display& display) { display.destroy_surface_async(surface_id, cookie); });
}

void spice_qxl_loadvm_commands(QXLInstance* instance, struct QXLCommandExt* ext, uint32_t count) {
    with_display("loadvm_commands", instance, [&](Display& display) {
        display.load(std::vector<QXLCommandExt>(ext, ext + count));
        instance->st->owner->server.machine_arrived();
    });
}

void spice_qxl_flush_surfaces_async(QXLInstance* instance, uint64_t cookie) {
    with_display("flush_surfaces_async", instance,
                 [&](Display& display) { display.flush_surfaces_async(cookie); });
}

void spice_qxl_monitors_config_async(QXLInstance* instance, QXLPHYSICAL monitors_config,
                                     int group_id, uint64_t cookie) {
    with_display("monitors_config_async", instance, [&](Display& display) {
        display.set_monitors_async(monitors_config, static_cast<std::uint32_t>(group_id), cookie);
    });
}

void spice_qxl_driver_unload(QXLInstance* instance) {
    with_display("driver_unload", instance, [](Display& display) { display.driver_unload(); });
}

void spice_qxl_set_max_monitors(QXLInstance* instance, unsigned int max_monitors) {
    with_display("set_max_monitors", instance,
                 [&](Display& display) { display.set_most_monitors(max_monitors); });
}

// A scanout of a GPU can be shown only by a client on this host; ours get none, and the descriptor
// that was passed is ours to close.
void spice_qxl_gl_scanout(QXLInstance*, int fd, uint32_t, uint32_t, uint32_t, uint32_t, int) {
    if (fd >= 0) ::close(fd);
}

void spice_qxl_gl_draw_async(QXLInstance* instance, uint32_t, uint32_t, uint32_t, uint32_t,
                             uint64_t cookie) {
    with_display("gl_draw_async", instance,
                 [&](Display& display) { display.gl_draw_async(cookie); });
}

void spice_qxl_set_device_info(QXLInstance* instance, const char* device_address,
                               uint32_t device_display_id_start, uint32_t device_display_id_count) {
    with_display("set_device_info", instance, [&](Display& display) {
        display.set_most_monitors(device_display_id_count);
        instance->st->owner->server.set_device_info(
            &display, device_address == nullptr ? "" : device_address, device_display_id_start,
            device_display_id_count);
    });
}

}  // extern "C"
