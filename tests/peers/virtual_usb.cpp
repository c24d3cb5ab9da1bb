// SPDX-License-Identifier: LGPL-2.1-or-later
// A libusb-1.0.so.0 without USB: one device, at 1:5, while the file that SEGUE_TEST_USB names is
// there: a drive with that disc. So much of the interface as usbredirhost and segue-view-usb call;
// whoever finds this library first is tested without hardware.
#pragma GCC visibility push(default)
#include <libusb.h>
#pragma GCC visibility pop
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "viewer/usb/disc_device.h"

using segue::viewer::DiscDevice;
using segue::viewer::ScsiDisc;

struct libusb_device {};

struct libusb_context {
    int wake = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    libusb_device device;
    std::unique_ptr<DiscDevice> disc;
    std::vector<libusb_transfer*> waiting;   // submitted
    std::vector<libusb_transfer*> finished;  // their callbacks are due
};

struct libusb_device_handle {
    libusb_context* context;
};

namespace {

libusb_context* the_context = nullptr;

void finish(libusb_transfer* transfer, libusb_transfer_status status, std::size_t length) {
    transfer->status = status;
    transfer->actual_length = static_cast<int>(length);
    the_context->finished.push_back(transfer);
}

void finish_control(libusb_transfer* transfer) {
    segue::LittleReader in({transfer->buffer, LIBUSB_CONTROL_SETUP_SIZE});
    segue::viewer::UsbSetup setup;
    setup.request_type = in.u8();
    setup.request = in.u8();
    setup.value = in.u16();
    setup.index = in.u16();
    setup.length = in.u16();
    const auto data = the_context->disc->control(setup);
    if (!data) return finish(transfer, LIBUSB_TRANSFER_STALL, 0);
    std::copy(data->begin(), data->end(), transfer->buffer + LIBUSB_CONTROL_SETUP_SIZE);
    finish(transfer, LIBUSB_TRANSFER_COMPLETED, data->size());
}

// Whether the transfer is over; a read waits until there is something.
bool try_transfer(libusb_transfer* transfer) {
    const auto length = static_cast<std::size_t>(transfer->length);
    if (transfer->type == LIBUSB_TRANSFER_TYPE_CONTROL) {
        finish_control(transfer);
    } else if (transfer->endpoint == DiscDevice::kBulkOut) {
        const bool taken = the_context->disc->bulk_out({transfer->buffer, length});
        finish(transfer, taken ? LIBUSB_TRANSFER_COMPLETED : LIBUSB_TRANSFER_STALL,
               taken ? length : 0);
    } else {
        const auto data = the_context->disc->bulk_in(length);
        if (!data) return false;
        std::copy(data->begin(), data->end(), transfer->buffer);
        finish(transfer, LIBUSB_TRANSFER_COMPLETED, data->size());
    }
    return true;
}

void go_on() {
    auto& waiting = the_context->waiting;
    for (bool moved = true; moved;) {
        const auto done = std::find_if(waiting.begin(), waiting.end(), try_transfer);
        moved = done != waiting.end();
        if (moved) waiting.erase(done);
    }
    if (!the_context->finished.empty()) ::eventfd_write(the_context->wake, 1);
}

const libusb_endpoint_descriptor kEndpoints[] = {
    {7, LIBUSB_DT_ENDPOINT, DiscDevice::kBulkIn, 2, DiscDevice::kPacket, 0, 0, 0, nullptr, 0},
    {7, LIBUSB_DT_ENDPOINT, DiscDevice::kBulkOut, 2, DiscDevice::kPacket, 0, 0, 0, nullptr, 0}};
const libusb_interface_descriptor kInterface = {
    9, LIBUSB_DT_INTERFACE,   0, 0,          2,       DiscDevice::kMassStorage,
    6, DiscDevice::kBulkOnly, 0, kEndpoints, nullptr, 0};
const libusb_interface kInterfaces[] = {{&kInterface, 1}};
libusb_config_descriptor configuration = {
    9, LIBUSB_DT_CONFIG, 32, 1, DiscDevice::kConfiguration, 0, 0xc0, 0, kInterfaces, nullptr, 0};

}  // namespace

extern "C" {

int libusb_init(libusb_context** context) {
    *context = the_context = new libusb_context;
    return 0;
}
void libusb_exit(libusb_context* context) {
    ::close(context->wake);
    delete context;
}
int libusb_set_option(libusb_context*, libusb_option, ...) {
    return 0;
}
const char* libusb_error_name(int) {
    return "an error of the virtual device";
}

// --- The device ----------------------------------------------------------------------------------

ssize_t libusb_get_device_list(libusb_context* context, libusb_device*** list) {
    const char* image = std::getenv("SEGUE_TEST_USB");
    const bool there = image != nullptr && ::access(image, R_OK) == 0;
    *list = new libusb_device* [2] { there ? &context->device : nullptr, nullptr };
    return there ? 1 : 0;
}
void libusb_free_device_list(libusb_device** list, int) {
    delete[] list;
}
uint8_t libusb_get_bus_number(libusb_device*) {
    return 1;
}
uint8_t libusb_get_device_address(libusb_device*) {
    return 5;
}
int libusb_get_device_speed(libusb_device*) {
    return LIBUSB_SPEED_HIGH;
}
int libusb_get_device_descriptor(libusb_device*, libusb_device_descriptor* descriptor) {
    const segue::Bytes bytes = DiscDevice::device_descriptor();
    std::memcpy(descriptor, bytes.data(), bytes.size());
    return 0;
}
int libusb_get_active_config_descriptor(libusb_device*, libusb_config_descriptor** result) {
    *result = &configuration;
    return 0;
}
int libusb_get_config_descriptor(libusb_device*, uint8_t, libusb_config_descriptor** result) {
    *result = &configuration;
    return 0;
}
void libusb_free_config_descriptor(libusb_config_descriptor*) {}
int libusb_get_ss_endpoint_companion_descriptor(libusb_context*, const libusb_endpoint_descriptor*,
                                                libusb_ss_endpoint_companion_descriptor**) {
    return LIBUSB_ERROR_NOT_FOUND;
}
void libusb_free_ss_endpoint_companion_descriptor(libusb_ss_endpoint_companion_descriptor*) {}

int libusb_open(libusb_device*, libusb_device_handle** handle) {
    auto disc = ScsiDisc::open(std::getenv("SEGUE_TEST_USB"));
    if (!disc) return LIBUSB_ERROR_IO;
    the_context->disc = std::make_unique<DiscDevice>(std::move(*disc));
    *handle = new libusb_device_handle{the_context};
    return 0;
}
void libusb_close(libusb_device_handle* handle) {
    delete handle;
}
libusb_device* libusb_get_device(libusb_device_handle* handle) {
    return &handle->context->device;
}
int libusb_set_configuration(libusb_device_handle*, int) {
    return 0;
}
int libusb_claim_interface(libusb_device_handle*, int) {
    return 0;
}
int libusb_release_interface(libusb_device_handle*, int) {
    return 0;
}
int libusb_set_interface_alt_setting(libusb_device_handle*, int, int) {
    return 0;
}
int libusb_set_auto_detach_kernel_driver(libusb_device_handle*, int) {
    return 0;
}
int libusb_attach_kernel_driver(libusb_device_handle*, int) {
    return 0;
}
int libusb_clear_halt(libusb_device_handle*, unsigned char) {
    return 0;
}
int libusb_reset_device(libusb_device_handle* handle) {
    handle->context->disc->reset();
    return 0;
}
int libusb_alloc_streams(libusb_device_handle*, uint32_t, unsigned char*, int) {
    return LIBUSB_ERROR_NOT_SUPPORTED;
}
int libusb_free_streams(libusb_device_handle*, unsigned char*, int) {
    return LIBUSB_ERROR_NOT_SUPPORTED;
}

// --- Transfers -----------------------------------------------------------------------------------

libusb_transfer* libusb_alloc_transfer(int) {
    return static_cast<libusb_transfer*>(std::calloc(1, sizeof(libusb_transfer)));
}
void libusb_free_transfer(libusb_transfer* transfer) {
    if (transfer != nullptr && (transfer->flags & LIBUSB_TRANSFER_FREE_BUFFER) != 0)
        std::free(transfer->buffer);
    std::free(transfer);
}
void libusb_transfer_set_stream_id(libusb_transfer*, uint32_t) {}
int libusb_submit_transfer(libusb_transfer* transfer) {
    the_context->waiting.push_back(transfer);
    go_on();
    return 0;
}
int libusb_cancel_transfer(libusb_transfer* transfer) {
    auto& waiting = the_context->waiting;
    const auto found = std::find(waiting.begin(), waiting.end(), transfer);
    if (found == waiting.end()) return LIBUSB_ERROR_NOT_FOUND;
    waiting.erase(found);
    finish(transfer, LIBUSB_TRANSFER_CANCELLED, 0);
    ::eventfd_write(the_context->wake, 1);
    return 0;
}
int libusb_handle_events_timeout(libusb_context* context, timeval* timeout) {
    pollfd ready{context->wake, POLLIN, 0};
    ::poll(&ready, 1, static_cast<int>(timeout->tv_sec * 1000 + timeout->tv_usec / 1000));
    eventfd_t count = 0;
    ::eventfd_read(context->wake, &count);
    for (libusb_transfer* transfer : std::exchange(context->finished, {}))
        transfer->callback(transfer);
    return 0;
}
const libusb_pollfd** libusb_get_pollfds(libusb_context* context) {
    auto** list = new const libusb_pollfd* [2] {};
    list[0] = new libusb_pollfd{context->wake, POLLIN};
    return list;
}
void libusb_free_pollfds(const libusb_pollfd** list) {
    delete list[0];
    delete[] list;
}
int libusb_get_next_timeout(libusb_context*, timeval*) {
    return 0;
}
}
