// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/abi/adapters.h"

namespace segue::spice::abi {
namespace {

// The table that an instance points to begins with the base of all interfaces.
template <class Interface>
const Interface& table_of(const SpiceBaseInstance& base) {
    return *reinterpret_cast<const Interface*>(base.sif);
}

}  // namespace

QxlAdapter::QxlAdapter(QXLInstance& instance)
    : instance_(instance), interface_(table_of<QXLInterface>(instance.base)) {}

server::DisplayGeometry QxlAdapter::geometry() {
    QXLDevInitInfo info{};
    interface_.get_init_info(&instance_, &info);
    server::DisplayGeometry made;
    made.slot_groups = info.num_memslots_groups;
    made.slots = info.num_memslots;
    made.generation_bits = info.memslot_gen_bits;
    made.slot_id_bits = info.memslot_id_bits;
    made.surfaces = info.n_surfaces;
    return made;
}

bool QxlAdapter::next_command(QXLCommandExt& command) {
    return interface_.get_command(&instance_, &command) != 0;
}
bool QxlAdapter::next_cursor_command(QXLCommandExt& command) {
    return interface_.get_cursor_command(&instance_, &command) != 0;
}
bool QxlAdapter::request_command_notice() {
    return interface_.req_cmd_notification(&instance_) != 0;
}
bool QxlAdapter::request_cursor_notice() {
    return interface_.req_cursor_notification(&instance_) != 0;
}
void QxlAdapter::release(QXLReleaseInfoExt info) {
    interface_.release_resource(&instance_, info);
}
void QxlAdapter::flush_released() {
    interface_.flush_resources(&instance_);
}
void QxlAdapter::complete(std::uint64_t cookie) {
    if (interface_.async_complete != nullptr) interface_.async_complete(&instance_, cookie);
}
void QxlAdapter::updated(std::uint32_t surface, std::vector<QXLRect> rectangles) {
    if (interface_.update_area_complete == nullptr) return;
    interface_.update_area_complete(&instance_, surface, rectangles.data(),
                                    static_cast<std::uint32_t>(rectangles.size()));
}
void QxlAdapter::set_client_capabilities(bool present, std::span<std::uint8_t, 58> caps) {
    const bool has = interface_.base.major_version > 3 || interface_.base.minor_version >= 2;
    if (has && interface_.set_client_capabilities != nullptr)
        interface_.set_client_capabilities(&instance_, present ? 1 : 0, caps.data());
}
bool QxlAdapter::client_monitors_config(VDAgentMonitorsConfig* config) {
    const bool has = interface_.base.major_version > 3 || interface_.base.minor_version >= 3;
    return has && interface_.client_monitors_config != nullptr &&
           interface_.client_monitors_config(&instance_, config) != 0;
}

void KeyboardAdapter::push_scancode(std::uint8_t byte) {
    table_of<SpiceKbdInterface>(instance_.base).push_scan_freg(&instance_, byte);
}
std::uint8_t KeyboardAdapter::leds() {
    return table_of<SpiceKbdInterface>(instance_.base).get_leds(&instance_);
}

void MouseAdapter::motion(int dx, int dy, int dz, std::uint32_t buttons) {
    table_of<SpiceMouseInterface>(instance_.base).motion(&instance_, dx, dy, dz, buttons);
}
void MouseAdapter::buttons(std::uint32_t buttons) {
    table_of<SpiceMouseInterface>(instance_.base).buttons(&instance_, buttons);
}

void TabletAdapter::set_logical_size(int width, int height) {
    table_of<SpiceTabletInterface>(instance_.base).set_logical_size(&instance_, width, height);
}
void TabletAdapter::position(int x, int y, std::uint32_t buttons) {
    table_of<SpiceTabletInterface>(instance_.base).position(&instance_, x, y, buttons);
}
void TabletAdapter::wheel(int motion, std::uint32_t buttons) {
    table_of<SpiceTabletInterface>(instance_.base).wheel(&instance_, motion, buttons);
}
void TabletAdapter::buttons(std::uint32_t buttons) {
    table_of<SpiceTabletInterface>(instance_.base).buttons(&instance_, buttons);
}

CharAdapter::CharAdapter(SpiceCharDeviceInstance& instance)
    : instance_(instance), interface_(table_of<SpiceCharDeviceInterface>(instance.base)) {}

std::string CharAdapter::subtype() const {
    return instance_.subtype == nullptr ? "" : instance_.subtype;
}
std::string CharAdapter::port_name() const {
    return instance_.portname == nullptr ? "" : instance_.portname;
}
void CharAdapter::set_connected(bool connected) {
    if (interface_.state != nullptr) interface_.state(&instance_, connected ? 1 : 0);
}
int CharAdapter::write(ByteView bytes) {
    return interface_.write(&instance_, bytes.data(), static_cast<int>(bytes.size()));
}
int CharAdapter::read(std::span<std::uint8_t> into) {
    return interface_.read(&instance_, into.data(), static_cast<int>(into.size()));
}
void CharAdapter::event(std::uint8_t event) {
    if (interface_.base.minor_version >= 2 && interface_.event != nullptr)
        interface_.event(&instance_, event);
}
bool CharAdapter::notifies_writable() const {
    return interface_.base.minor_version >= 3 &&
           (interface_.flags & SPICE_CHAR_DEVICE_NOTIFY_WRITABLE) != 0;
}

void MigrationAdapter::connect_complete() {
    const auto& table = table_of<SpiceMigrateInterface>(instance_.base);
    if (table.migrate_connect_complete != nullptr) table.migrate_connect_complete(&instance_);
}
void MigrationAdapter::end_complete() {
    const auto& table = table_of<SpiceMigrateInterface>(instance_.base);
    if (table.migrate_end_complete != nullptr) table.migrate_end_complete(&instance_);
}

}  // namespace segue::spice::abi
