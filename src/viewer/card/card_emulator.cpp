// SPDX-License-Identifier: LGPL-2.1-or-later
#include "viewer/card/card_emulator.h"

extern "C" {
#include <libcacard.h>
}

#include "base/log.h"

namespace segue::viewer {
namespace {

constexpr std::uint32_t kNoReader = 0xffffffff;
constexpr std::size_t kMaxAtr = 40;
// An extended response and its status word (ISO 7816-4).
constexpr std::size_t kMaxResponse = 65538;

bool can_stand_in_options(const std::string& text) {
    return text.find_first_of("\",()\n") == std::string::npos;
}

}  // namespace

Result<std::string> card_options(const CardChoice& choice) {
    std::string text;
    const auto check = [](const std::string& part) -> Result<> {
        if (can_stand_in_options(part)) return {};
        return fail(ErrorCode::invalid_argument,
                    "smartcard: '{}' has a character that libcacard cannot take (\",())", part);
    };
    if (!choice.database.empty()) {
        TRY(check(choice.database));
        text = fmt::format("db=\"{}\" ", choice.database);
    }
    if (choice.certificates.empty()) return text + "use_hw=yes";
    if (choice.certificates.size() != 3) {
        return fail(ErrorCode::invalid_argument, "smartcard: a card has three certificates, not {}",
                    choice.certificates.size());
    }
    text += "use_hw=no soft=(,Segue,CAC,";
    for (const std::string& name : choice.certificates) {
        TRY(check(name));
        text += "," + name;
    }
    return text + ")";
}

Result<> CardEmulator::start(const CardChoice& choice) {
    const std::string text = TRY(card_options(choice));
    VCardEmulOptions* options = vcard_emul_options(text.c_str());
    if (options == nullptr || vcard_emul_init(options) != VCARD_EMUL_OK) {
        return fail(ErrorCode::operation_failed,
                    "smartcard: libcacard does not start with '{}'; see its words above", text);
    }
    return {};
}

void CardEmulator::say(VscType type, std::uint32_t reader_id, ByteView data, Asked asked) {
    if (type != VscType::apdu) asked_.push_back(asked);
    say_({type, reader_id, data});
}

void CardEmulator::say_atr(void* reader) {
    auto* of = static_cast<VReader*>(reader);
    unsigned char atr[kMaxAtr];
    int size = sizeof atr;
    if (vreader_power_on(of, atr, &size) != VREADER_OK || size < 0) return;
    say(VscType::atr, vreader_get_id(of), {atr, static_cast<std::size_t>(size)}, Asked::other);
}

void CardEmulator::watch() {
    while (VEvent* event = vevent_wait_next_vevent()) {
        {
            const std::lock_guard lock(mutex_);
            const std::uint32_t id = vreader_get_id(event->reader);
            const char* name = vreader_get_name(event->reader);
            switch (event->type) {
                case VEVENT_READER_INSERT: {
                    unnumbered_.push_back(vreader_reference(event->reader));
                    const std::string text = std::string(name ? name : "reader") + '\0';
                    say(VscType::reader_add, kNoReader, as_bytes(text), Asked::reader);
                    break;
                }
                case VEVENT_READER_REMOVE:
                    if (id != kNoReader) say(VscType::reader_remove, id, {}, Asked::other);
                    break;
                case VEVENT_CARD_INSERT:
                    // Without a number it is told of when the number comes.
                    if (id != kNoReader) say_atr(event->reader);
                    break;
                case VEVENT_CARD_REMOVE:
                    if (id != kNoReader) say(VscType::card_remove, id, {}, Asked::other);
                    break;
                default: break;
            }
        }
        vevent_delete(event);
    }
}

void CardEmulator::on_frame(const CardFrame& frame) {
    const std::lock_guard lock(mutex_);
    switch (frame.type) {
        case VscType::error: return on_answer(frame.reader_id, frame.data);
        case VscType::apdu: return on_apdu(frame.reader_id, frame.data);
        case VscType::atr: return move_cards(true);
        case VscType::card_remove: return move_cards(false);
        default:
            log_debug("viewer", "smartcard: message {} of the guest is not for us",
                      name_of(frame.type));
    }
}

void CardEmulator::on_answer(std::uint32_t reader_id, ByteView code) {
    if (asked_.empty()) return;
    const Asked asked = asked_.front();
    asked_.pop_front();
    if (asked != Asked::reader) return;
    auto* reader = static_cast<VReader*>(unnumbered_.front());
    unnumbered_.pop_front();
    LittleReader words(code);
    if (words.u32() == 0 && vreader_set_id(reader, reader_id) == VREADER_OK) {
        if (vreader_card_is_present(reader) == VREADER_OK) say_atr(reader);
    } else {
        log_warning("viewer", "smartcard: the guest takes no reader '{}'",
                    vreader_get_name(reader));
    }
    vreader_free(reader);
}

// What follows from it comes as events. Real readers have hands of their own, and take no notice.
void CardEmulator::move_cards(bool in) {
    VReaderList* readers = vreader_get_reader_list();
    if (readers == nullptr) return;
    for (auto* entry = vreader_list_get_first(readers); entry != nullptr;
         entry = vreader_list_get_next(entry)) {
        VReader* reader = vreader_list_get_reader(entry);
        if (in) {
            vcard_emul_force_card_insert(reader);
        } else {
            vcard_emul_force_card_remove(reader);
        }
        vreader_free(reader);
    }
    vreader_list_delete(readers);
}

void CardEmulator::on_apdu(std::uint32_t reader_id, ByteView apdu) {
    static const std::uint8_t kNoDiagnosis[] = {0x6f, 0x00};
    VReader* reader = vreader_get_reader_by_id(reader_id);
    Bytes command(apdu.begin(), apdu.end());
    Bytes response(kMaxResponse);
    int size = static_cast<int>(response.size());
    const bool good = reader != nullptr &&
                      vreader_xfr_bytes(reader, command.data(), static_cast<int>(command.size()),
                                        response.data(), &size) == VREADER_OK;
    if (reader != nullptr) vreader_free(reader);
    // The guest waits for an answer, whatever it is.
    const ByteView answer = good && size >= 0 ? ByteView(response).first(static_cast<size_t>(size))
                                              : ByteView(kNoDiagnosis);
    say(VscType::apdu, reader_id, answer, Asked::other);
}

}  // namespace segue::viewer
