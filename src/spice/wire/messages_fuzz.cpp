// SPDX-License-Identifier: LGPL-2.1-or-later
// Every message of every channel, from both sides. First byte: channel; second: direction; then the
// number and the body. What is read must be written again and read as the same.
#include <cstdlib>

#include "spice/wire/agent.schema.h"
#include "spice/wire/common.schema.h"
#include "spice/wire/cursor.schema.h"
#include "spice/wire/display.schema.h"
#include "spice/wire/inputs.schema.h"
#include "spice/wire/main.schema.h"
#include "spice/wire/migration.schema.h"
#include "spice/wire/playback.schema.h"
#include "spice/wire/port.schema.h"
#include "spice/wire/record.schema.h"
#include "spice/wire/smartcard.schema.h"
#include "spice/wire/spicevmc.schema.h"

using namespace segue;
using namespace segue::spice::wire;

namespace {

template <class Message>
void check(const Message& message) {
    const EncodedMessage encoded = encode(0, message);
    if (encoded.broken_field != nullptr) std::abort();
    const Bytes body = encoded.body();
    const auto again = parse<Message>(SharedBytes::borrow(body));
    if (!again || !(*again == message)) std::abort();
}

template <class Message>
void check_blob(const SharedBytes& body) {
    const auto blob = parse<Message>(body);
    if (blob) check(*blob);
}

const auto kHandler = [](const auto& message) -> Result<> {
    check(message);
    return {};
};

Result<> from_server(unsigned channel, std::uint16_t number, const SharedBytes& body) {
    switch (channel) {
        case 0: return common::dispatch_from_server(number, body, kHandler);
        case 1: return main::dispatch_from_server(number, body, kHandler);
        case 2: return display::dispatch_from_server(number, body, kHandler);
        case 3: return inputs::dispatch_from_server(number, body, kHandler);
        case 4: return cursor::dispatch_from_server(number, body, kHandler);
        case 5: return playback::dispatch_from_server(number, body, kHandler);
        case 6: return record::dispatch_from_server(number, body, kHandler);
        case 7: return smartcard::dispatch_from_server(number, body, kHandler);
        case 8: return spicevmc::dispatch_from_server(number, body, kHandler);
        case 9: return agent::dispatch_from_server(number, body, kHandler);
        default: return port::dispatch_from_server(number, body, kHandler);
    }
}

Result<> from_client(unsigned channel, std::uint16_t number, const SharedBytes& body) {
    switch (channel) {
        case 0: return common::dispatch_from_client(number, body, kHandler);
        case 1: return main::dispatch_from_client(number, body, kHandler);
        case 2: return display::dispatch_from_client(number, body, kHandler);
        case 3: return inputs::dispatch_from_client(number, body, kHandler);
        case 6: return record::dispatch_from_client(number, body, kHandler);
        case 7: return smartcard::dispatch_from_client(number, body, kHandler);
        case 8: return spicevmc::dispatch_from_client(number, body, kHandler);
        default: return port::dispatch_from_client(number, body, kHandler);
    }
}

void blobs(unsigned kind, const SharedBytes& body) {
    switch (kind % 6) {
        case 0: return check_blob<migration::Main>(body);
        case 1: return check_blob<migration::Display>(body);
        case 2: return check_blob<migration::LossyDisplay>(body);
        case 3: return check_blob<migration::Inputs>(body);
        case 4: return check_blob<migration::Smartcard>(body);
        default: return check_blob<migration::SpiceVmc>(body);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 4) return 0;
    const SharedBytes body = SharedBytes::borrow(ByteView(data + 4, size - 4));
    const auto number = load<ByteOrder::little, std::uint16_t>(data + 2);
    switch (data[1] % 3) {
        case 0: static_cast<void>(from_server(data[0] % 11, number, body).has_value()); break;
        case 1: static_cast<void>(from_client(data[0] % 10, number, body).has_value()); break;
        default: blobs(data[0], body);
    }
    return 0;
}
