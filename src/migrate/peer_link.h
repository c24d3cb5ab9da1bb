// SPDX-License-Identifier: LGPL-2.1-or-later
// One end of a peer link: bytes in, messages out, and back. Whatever breaks the rules ends the
// link, and the link only.
#pragma once

#include <optional>
#include <vector>

#include "base/bytes.h"
#include "migrate/destination.h"
#include "migrate/source.h"

namespace segue::migrate {

namespace peer {
enum class Kind : std::int32_t;
}

struct LinkedChannel {
    std::uint32_t type = 0;  // SPICE's numbers
    std::uint32_t id = 0;

    friend bool operator==(const LinkedChannel&, const LinkedChannel&) = default;
};

// A piece of what the viewers have (spice/control/state.schema), or that it was taken.
struct ScreenPiece {
    bool last = false;
    bool more = false;
    Bytes data;
};

struct PeerMessage {
    peer::Kind kind{};
    // hello and gives: the migration and its key
    GivenRight right;
    LinkedChannel channel;  // linked
    ScreenPiece screen;     // screen, screen_taken

    // What the machine of this end is fed; none for hello, ready, linked and the screen's.
    std::optional<SourceEvent> source_event() const;
    std::optional<DestinationEvent> destination_event() const;
};

class PeerLink {
  public:
    // The source's end. output() has the hello at once; a `ready` must come before all else.
    static PeerLink dialled(const Uuid& migration, const PeerKey& key);
    // The destination's end. The first message is a hello: find the machine by its id and ask
    // key_fits(). Then accept(); or, where there is no such machine, refuse() and close; or, with a
    // wrong key, close without a word.
    static PeerLink accepted();

    // The messages that these bytes complete. After an error the connection is to be closed.
    Result<std::vector<PeerMessage>> receive(ByteView bytes);

    void accept();  // the destination answers `ready`
    void refuse();  // the destination answers `unknown` instead
    void send(peer::Kind kind);
    void give(const GivenRight& right);
    void tell_linked(LinkedChannel channel);
    // In as many frames as it takes.
    void send_screen(bool last, ByteView state);
    void tell_taken(bool last);

    bool ready() const { return ready_; }
    // Bytes to send, taken out.
    Bytes output() { return std::exchange(output_, {}); }

  private:
    PeerLink(Role role) : role_(role) {}
    Result<PeerMessage> parse(ByteView frame) const;
    Result<> check_order(const PeerMessage& message);
    // How many bytes input_ must have for the next step to be known; the whole frame, in the end.
    Result<std::size_t> wanted() const;
    template <class Body>
    void frame(peer::Kind kind, const Body& body);

    Role role_;
    bool greeted_ = false;
    bool ready_ = false;
    Bytes input_;
    Bytes output_;
};

}  // namespace segue::migrate
