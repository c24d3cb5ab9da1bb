// SPDX-License-Identifier: LGPL-2.1-or-later
// spice_server_add_interface and remove_interface, and the calls of the smaller devices.
#include <algorithm>
#include <cstring>

#include "spice/abi/adapters.h"
#include "spice/abi/guard.h"
#include "spice/abi/handles.h"

using segue::ErrorCode;
using segue::fail;
using segue::Result;
using segue::spice::abi::guarded;
using segue::spice::abi::guarded_value;

namespace {

namespace abi = segue::spice::abi;

Result<> check_version(const SpiceBaseInterface& offered, std::uint32_t major,
                       std::uint32_t most_minor) {
    if (offered.major_version == major && offered.minor_version <= most_minor) return {};
    return fail(ErrorCode::no_support, "interface '{}' of version {}.{}: {}.0 to {}.{} are known",
                offered.type, offered.major_version, offered.minor_version, major, major,
                most_minor);
}

template <class Instance>
Instance& instance_of(SpiceBaseInstance* base) {
    return *reinterpret_cast<Instance*>(base);
}

// Makes the state object that the instance points to while it is attached.
template <class Instance>
auto& attach(SpiceServer* server, Instance& instance) {
    using State = std::remove_pointer_t<decltype(instance.st)>;
    const auto state = std::make_shared<State>();
    state->owner = server;
    server->attached[state.get()] = state;
    instance.st = state.get();
    return *state;
}

template <class Instance>
void detach(Instance& instance) {
    auto* state = std::exchange(instance.st, nullptr);
    state->owner->attached.erase(state);
}

Result<> add_qxl(SpiceServer* server, SpiceBaseInstance* base) {
    TRY(check_version(*base->sif, SPICE_INTERFACE_QXL_MAJOR, SPICE_INTERFACE_QXL_MINOR));
    auto& instance = instance_of<QXLInstance>(base);
    auto* display = TRY(server->server.add_display(std::make_unique<abi::QxlAdapter>(instance)));
    attach(server, instance).display = display;
    const auto& table = *reinterpret_cast<const QXLInterface*>(base->sif);
    // From here on the device may call us, and some do so at once.
    if (table.attached_worker != nullptr) table.attached_worker(&instance);
    if (table.set_compression_level != nullptr) table.set_compression_level(&instance, 0);
    return {};
}

Result<> add(SpiceServer* server, SpiceBaseInstance* base) {
    const std::string type = base->sif->type;
    if (type == SPICE_INTERFACE_QXL) return add_qxl(server, base);
    if (type == SPICE_INTERFACE_KEYBOARD) {
        TRY(check_version(*base->sif, SPICE_INTERFACE_KEYBOARD_MAJOR,
                          SPICE_INTERFACE_KEYBOARD_MINOR));
        auto& instance = instance_of<SpiceKbdInstance>(base);
        TRY(server->server.set_keyboard(std::make_unique<abi::KeyboardAdapter>(instance)));
        attach(server, instance);
    } else if (type == SPICE_INTERFACE_MOUSE) {
        TRY(check_version(*base->sif, SPICE_INTERFACE_MOUSE_MAJOR, SPICE_INTERFACE_MOUSE_MINOR));
        auto& instance = instance_of<SpiceMouseInstance>(base);
        TRY(server->server.set_mouse(std::make_unique<abi::MouseAdapter>(instance)));
        attach(server, instance);
    } else if (type == SPICE_INTERFACE_TABLET) {
        TRY(check_version(*base->sif, SPICE_INTERFACE_TABLET_MAJOR, SPICE_INTERFACE_TABLET_MINOR));
        auto& instance = instance_of<SpiceTabletInstance>(base);
        TRY(server->server.set_tablet(std::make_unique<abi::TabletAdapter>(instance)));
        attach(server, instance);
    } else if (type == SPICE_INTERFACE_MIGRATION) {
        auto& instance = instance_of<SpiceMigrateInstance>(base);
        server->server.set_migration_observer(std::make_unique<abi::MigrationAdapter>(instance));
        attach(server, instance);
    } else if (type == SPICE_INTERFACE_CHAR_DEVICE) {
        TRY(check_version(*base->sif, SPICE_INTERFACE_CHAR_DEVICE_MAJOR,
                          SPICE_INTERFACE_CHAR_DEVICE_MINOR));
        auto& instance = instance_of<SpiceCharDeviceInstance>(base);
        // The device may wake us from inside: by then it has its state.
        attach(server, instance);
        auto added = server->server.add_char_device(std::make_unique<abi::CharAdapter>(instance));
        if (!added) {
            detach(instance);
            return tl::make_unexpected(added.error());
        }
        instance.st->handle = *added;
    } else if (type == SPICE_INTERFACE_PLAYBACK) {
        TRY(check_version(*base->sif, SPICE_INTERFACE_PLAYBACK_MAJOR,
                          SPICE_INTERFACE_PLAYBACK_MINOR));
        auto* device = TRY(server->server.add_playback());
        attach(server, instance_of<SpicePlaybackInstance>(base)).device = device;
    } else if (type == SPICE_INTERFACE_RECORD) {
        TRY(check_version(*base->sif, SPICE_INTERFACE_RECORD_MAJOR, SPICE_INTERFACE_RECORD_MINOR));
        auto* device = TRY(server->server.add_record());
        attach(server, instance_of<SpiceRecordInstance>(base)).device = device;
    } else {
        return fail(ErrorCode::no_support, "interface '{}' is not known", type);
    }
    return {};
}

template <class Instance>
void remove_sound(Instance& instance) {
    if (instance.st == nullptr) return;
    instance.st->owner->server.remove_sound(instance.st->device);
    detach(instance);
}

int remove(SpiceBaseInstance* base) {
    const std::string type = base->sif->type;
    if (type == SPICE_INTERFACE_QXL) {
        auto& instance = instance_of<QXLInstance>(base);
        if (instance.st == nullptr) return -1;
        instance.st->owner->server.remove_display(instance.st->display);
        detach(instance);
    } else if (type == SPICE_INTERFACE_TABLET) {
        auto& instance = instance_of<SpiceTabletInstance>(base);
        if (instance.st == nullptr) return -1;
        [[maybe_unused]] const auto gone = instance.st->owner->server.set_tablet(nullptr);
        detach(instance);
    } else if (type == SPICE_INTERFACE_CHAR_DEVICE) {
        auto& instance = instance_of<SpiceCharDeviceInstance>(base);
        if (instance.st == nullptr) return -1;
        instance.st->owner->server.remove_char_device(instance.st->handle);
        detach(instance);
    } else if (type == SPICE_INTERFACE_PLAYBACK) {
        remove_sound(instance_of<SpicePlaybackInstance>(base));
    } else if (type == SPICE_INTERFACE_RECORD) {
        remove_sound(instance_of<SpiceRecordInstance>(base));
    } else {
        segue::log_warning("spice", "interface '{}' cannot be removed", type);
        return -1;
    }
    return 0;
}

}  // namespace

extern "C" {

int spice_server_add_interface(SpiceServer* s, SpiceBaseInstance* sin) {
    return guarded_value("add_interface", -1, [&] {
        const Result<> done = add(s, sin);
        if (!done) segue::log_warning("spice", "add_interface: {}", done.error().message);
        return done ? 0 : -1;
    });
}

int spice_server_remove_interface(SpiceBaseInstance* sin) {
    return guarded_value("remove_interface", -1, [&] { return remove(sin); });
}

int spice_server_kbd_leds(SpiceKbdInstance* sin, int leds) {
    return guarded_value("kbd_leds", -1, [&] {
        if (sin->st != nullptr)
            sin->st->owner->server.leds_changed(static_cast<std::uint8_t>(leds));
        return 0;
    });
}

// --- Character devices --------------------------------------------------------------------------

void spice_server_char_device_wakeup(SpiceCharDeviceInstance* sin) {
    guarded("char_device_wakeup", [&] {
        if (sin->st != nullptr && sin->st->handle != nullptr) sin->st->handle->wakeup();
    });
}

void spice_server_port_event(SpiceCharDeviceInstance* sin, uint8_t event) {
    guarded("port_event", [&] {
        if (sin->st != nullptr && sin->st->handle != nullptr) sin->st->handle->port_event(event);
    });
}

const char** spice_server_char_device_recognized_subtypes(void) {
    static const char* const kSubtypes[] = {"vdagent", "smartcard", "usbredir", "port", nullptr};
    return const_cast<const char**>(kSubtypes);
}

}  // extern "C"
