// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/certificates.h"

namespace segue {

net::TlsFiles tls_files(const Settings& settings, net::TlsSide side) {
    const std::string& pki = settings.tls_directory;
    const std::string own = pki + (side == net::TlsSide::server ? "/server" : "/client");
    return {pki + "/ca-cert.pem", own + "-cert.pem", own + "-key.pem"};
}

Result<std::shared_ptr<net::TlsContext>> tls_context(const Settings& settings, net::TlsSide side) {
    return net::TlsContext::make(side, tls_files(settings, side), true);
}

Result<std::unique_ptr<net::ByteFilter>> dial_filter(const Settings& settings,
                                                     const std::string& tls_name) {
    if (tls_name.empty()) return nullptr;
    const auto context = TRY(tls_context(settings, net::TlsSide::client));
    return context->make_filter(tls_name);
}

}  // namespace segue
