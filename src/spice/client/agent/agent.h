// SPDX-License-Identifier: LGPL-2.1-or-later
// What a client says to the agent in the guest, and what the agent asks of it: clipboard, monitors,
// look of the desktop, files. No I/O: bytes go out through `send`, and the owner answers questions.
#pragma once

#include <array>
#include <functional>
#include <optional>

#include "spice/client/agent/agent_stream.h"
#include "spice/client/agent/file_transfers.h"
#include "spice/wire/capabilities.h"

namespace segue::spice::client {

class AgentListener : public FileListener {
  public:
    // The agent has said what it can; it may be used now. False: it is gone.
    virtual void on_agent_ready(bool ready) { (void)ready; }
    // Somebody in the guest offers this; ask for it with request_clipboard(). No types: withdrawn.
    virtual void on_guest_offer(wire::agent::Selection selection,
                                const std::vector<wire::agent::ClipboardType>& types) {
        (void)selection, (void)types;
    }
    // Somebody in the guest wants what was offered: answer with send_clipboard(), with type `none`
    // if there is nothing any more.
    virtual void on_guest_request(wire::agent::Selection selection,
                                  wire::agent::ClipboardType type) {
        (void)selection, (void)type;
    }
    // The answer to request_clipboard(). Text is UTF-8 with LF at the ends of lines.
    virtual void on_guest_clipboard(wire::agent::Selection selection,
                                    wire::agent::ClipboardType type, ByteView data) {
        (void)selection, (void)type, (void)data;
    }
    // The guest's own volume; every channel 0..65535.
    virtual void on_guest_volume(const wire::agent::AudioVolumeSync& volume) { (void)volume; }
};

class Agent {
  public:
    using Send = std::function<Result<>(ByteView)>;
    using Selection = wire::agent::Selection;
    using ClipboardType = wire::agent::ClipboardType;

    // `send` takes bytes of the agent's stream; the main channel cuts them into chunks.
    Agent(Send send, AgentListener& listener);

    // From the main channel.
    void on_connected(bool connected);
    void on_data(ByteView chunk);
    // All that was sent has left: more of a file may follow.
    void on_drained() { files_.pump(); }

    bool is_ready() const { return ready_; }
    bool can(wire::agent::Capability one) const { return theirs_.has(one); }

    // The clipboard of the user. Without an agent, or where it cannot, these do nothing.
    void offer_clipboard(Selection selection, const std::vector<ClipboardType>& types);
    void withdraw_clipboard(Selection selection);
    void request_clipboard(Selection selection, ClipboardType type);
    void send_clipboard(Selection selection, ClipboardType type, ByteView data);

    // The wish is kept, and told again to each agent that comes.
    void set_monitors(std::vector<wire::agent::Monitor> monitors);
    void set_display(wire::agent::DisplayConfig config);
    // Longer contents are neither given nor taken; agents that can are told.
    void limit_clipboard(std::uint32_t bytes) { max_clipboard_ = bytes; }

    FileTransfers& files() { return files_; }

  private:
    void handle(const AgentStream::Message& message);
    void on(const wire::agent::AnnounceCapabilities& message);
    void on(const wire::agent::MonitorsConfig&) {}
    void on(const wire::agent::Reply&) {}
    void on(const wire::agent::Clipboard& message);
    void on(const wire::agent::DisplayConfig&) {}
    void on(const wire::agent::ClipboardGrab& message);
    void on(const wire::agent::ClipboardRequest& message);
    void on(const wire::agent::ClipboardRelease& message);
    void on(const wire::agent::FileXferStart&) {}
    void on(const wire::agent::FileXferStatus& message);
    void on(const wire::agent::FileXferData&) {}
    void on(const wire::agent::MaxClipboard&) {}
    void on(const wire::agent::AudioVolumeSync& message);

    bool has_clipboard(Selection selection) const;
    void announce(bool request);
    void tell_wishes();
    bool is_too_long(std::size_t bytes) const;
    template <class Message>
    Result<> say(const Message& message, ByteView prefix = {});
    Bytes prefix_of(Selection selection) const;

    Send send_;
    AgentListener& listener_;
    AgentStream stream_;
    FileTransfers files_;
    wire::Capabilities theirs_;
    bool connected_ = false;
    bool ready_ = false;
    bool broken_ = false;
    // Of the clipboard message that is being handled.
    Selection selection_{};
    std::uint32_t grab_serial_ = 0;
    // The next number of a grab, per selection: older ones have lost a race.
    std::array<std::uint32_t, 3> serials_{};
    std::vector<wire::agent::Monitor> monitors_;
    std::optional<wire::agent::DisplayConfig> display_;
    std::optional<std::uint32_t> max_clipboard_;
};

}  // namespace segue::spice::client
