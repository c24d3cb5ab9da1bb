// SPDX-License-Identifier: LGPL-2.1-or-later
// For tests: a certificate authority in a temporary folder, made by the openssl program.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "net/tls.h"

namespace segue::net {

class TestAuthority {
  public:
    TestAuthority() {
        std::string name = (std::filesystem::temp_directory_path() / "segue-ca-XXXXXX").string();
        folder_ = ::mkdtemp(name.data());
        run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
            "-subj /CN=test-authority -keyout cakey.pem -out cacert.pem");
    }
    ~TestAuthority() { std::filesystem::remove_all(folder_); }

    // `names` as OpenSSL writes them: "DNS:host,IP:127.0.0.1".
    TlsFiles issue(const std::string& common_name, const std::string& names) {
        std::ofstream(folder_ / "extension") << "subjectAltName=" << names << "\n";
        run("openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=" +
            common_name + " -keyout " + common_name + ".key -out request.pem");
        run("openssl x509 -req -in request.pem -CA cacert.pem -CAkey cakey.pem -days 2 "
            "-CAcreateserial -extfile extension -out " +
            common_name + ".pem");
        return {path("cacert.pem"), path(common_name + ".pem"), path(common_name + ".key")};
    }
    // The same with a passphrase on its key.
    TlsFiles locked(const TlsFiles& files) {
        run("openssl pkey -aes128 -passout pass:secret -in '" + files.key +
            "' -out passphrase.key");
        return {files.authority, files.certificate, path("passphrase.key")};
    }
    TlsFiles authority_only() const { return {path("cacert.pem"), {}, {}}; }

  private:
    std::string path(const std::string& name) const { return (folder_ / name).string(); }
    void run(const std::string& command) {
        const std::string whole = "cd '" + folder_.string() + "' && " + command + " 2>/dev/null";
        if (std::system(whole.c_str()) != 0) std::abort();
    }

    std::filesystem::path folder_;
};

}  // namespace segue::net
