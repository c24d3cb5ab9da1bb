// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rpc/connection_calls.h"

#include "rpc/connection_features.h"
#include "rpc/remote.schema.h"
#include "rpc/session.h"

namespace segue::rpc {
namespace {

Result<remote::NumberReply> supports_feature(Session& session, std::int32_t feature) {
    switch (feature) {
        case kFeatureKeepAlive: session.start_keepalive(); return remote::NumberReply{1};
        case kFeatureFdPassing:
        case kFeatureTypedParameterStrings:
        case kFeatureEventCallbacks:
        case kFeatureCloseCallback: return remote::NumberReply{1};
        default: break;
    }
    const auto& has_feature = session.options().has_feature;
    return remote::NumberReply{has_feature && has_feature(feature) ? 1 : 0};
}

Result<> open(Session& session, const remote::ConnectOpenCall& call) {
    if (session.options().open) TRY(session.options().open(call.name));
    if ((call.flags & kOpenReadOnly) != 0) session.set_read_only();
    return {};
}

}  // namespace

void add_connection_calls(Dispatcher& calls) {
    calls.answer<remote::AuthList>([](Session&, const Nothing&) -> Result<remote::AuthListReply> {
        return remote::AuthListReply{{remote::AuthType::none}};
    });
    calls.answer<remote::ConnectSupportsFeature>(
        [](Session& session, const remote::NumberCall& call) {
            return supports_feature(session, call.value);
        });
    calls.answer<remote::ConnectOpen>(&open);
    // The client closes its end once it has the reply.
    calls.answer<remote::ConnectClose>([](Session&, const Nothing&) { return Result<>(); });
    calls.answer<remote::ConnectRegisterCloseCallback>([](Session& session, const Nothing&) {
        session.set_wants_close_notice(true);
        return Result<>();
    });
    calls.answer<remote::ConnectUnregisterCloseCallback>([](Session& session, const Nothing&) {
        session.set_wants_close_notice(false);
        return Result<>();
    });
}

}  // namespace segue::rpc
