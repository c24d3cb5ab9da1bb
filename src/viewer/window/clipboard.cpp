// SPDX-License-Identifier: LGPL-2.1-or-later
#include "viewer/window/clipboard.h"

#include <SDL.h>

#include <algorithm>

namespace segue::viewer {
namespace {

using Selection = Clipboard::Selection;

constexpr Selection kSelections[] = {Selection::clipboard, Selection::primary};

std::string user_text(Selection selection) {
    const bool primary = selection == Selection::primary;
    if (!(primary ? SDL_HasPrimarySelectionText() : SDL_HasClipboardText())) return {};
    char* text = primary ? SDL_GetPrimarySelectionText() : SDL_GetClipboardText();
    std::string copy = text ? text : "";
    SDL_free(text);
    if (copy.size() > Clipboard::kMaxText) copy.clear();
    return copy;
}

bool is_ours(Selection selection) {
    return selection == Selection::clipboard || selection == Selection::primary;
}

}  // namespace

void Clipboard::offer(spice::client::Agent& agent, bool again) {
    for (const Selection selection : kSelections) {
        std::string& last = last_[static_cast<std::size_t>(selection)];
        std::string text = user_text(selection);
        if (text.empty() || (text == last && !again)) continue;
        last = std::move(text);
        agent.offer_clipboard(selection, {ClipboardType::utf8_text});
    }
}

void Clipboard::on_guest_offer(spice::client::Agent& agent, Selection selection,
                               const std::vector<ClipboardType>& types) {
    const bool has_text =
        std::find(types.begin(), types.end(), ClipboardType::utf8_text) != types.end();
    if (has_text && is_ours(selection))
        agent.request_clipboard(selection, ClipboardType::utf8_text);
}

void Clipboard::on_guest_request(spice::client::Agent& agent, Selection selection,
                                 ClipboardType type) {
    const std::string text =
        type == ClipboardType::utf8_text && is_ours(selection) ? user_text(selection) : "";
    agent.send_clipboard(selection, text.empty() ? ClipboardType::none : type, as_bytes(text));
}

void Clipboard::on_guest_clipboard(Selection selection, ClipboardType type, ByteView data) {
    if (type != ClipboardType::utf8_text || !is_ours(selection) || data.size() > kMaxText) return;
    std::string& last = last_[static_cast<std::size_t>(selection)];
    last = as_text(data);
    if (selection == Selection::primary)
        SDL_SetPrimarySelectionText(last.c_str());
    else
        SDL_SetClipboardText(last.c_str());
}

}  // namespace segue::viewer
