// SPDX-License-Identifier: LGPL-2.1-or-later
// Cards of the user as a guest's readers see them: libcacard, with cards made of certificates in an
// NSS database, or those in readers of this machine. The only place that knows of libcacard.
#pragma once

#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "viewer/card/card_frame.h"

namespace segue::viewer {

struct CardChoice {
    std::string database;                   // of NSS; empty: the system's
    std::vector<std::string> certificates;  // three nicknames; none: cards in real readers
};

// The text that libcacard reads the choice from. Errors: invalid_argument for another number of
// certificates than three, and for characters that the text cannot hold.
Result<std::string> card_options(const CardChoice& choice);

class CardEmulator {
  public:
    using Say = std::function<void(const CardFrame&)>;

    // `say` is called on the thread of either function below, one call at a time.
    explicit CardEmulator(Say say) : say_(std::move(say)) {}

    // Once in a process.
    Result<> start(const CardChoice& choice);
    // Waits for readers and cards that come and go, for ever: a thread of its own.
    void watch();
    // What the guest says.
    void on_frame(const CardFrame& frame);

  private:
    enum class Asked { reader, other };
    void say(VscType type, std::uint32_t reader_id, ByteView data, Asked asked);
    void say_atr(void* reader);
    void on_answer(std::uint32_t reader_id, ByteView code);
    void on_apdu(std::uint32_t reader_id, ByteView apdu);
    static void move_cards(bool in);

    const Say say_;
    std::mutex mutex_;
    // What waits for the guest's answer, oldest first; the readers among it have no number yet.
    std::deque<Asked> asked_;
    std::deque<void*> unnumbered_;
};

}  // namespace segue::viewer
