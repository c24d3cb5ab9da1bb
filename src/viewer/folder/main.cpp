// SPDX-License-Identifier: LGPL-2.1-or-later
// segue-view-folder FOLDER: serves it to the guest behind standard input, which is a socket that
// segue-view holds. A process of its own: what the guest asks for reaches nothing else of the
// viewer.
#include <unistd.h>

#include <cstdio>

#include "base/log.h"
#include "viewer/folder/folder_server.h"

int main(int argument_count, char** arguments) {
    using namespace segue;
    if (argument_count != 2) {
        std::fputs("usage: segue-view-folder FOLDER (started by segue-view)\n", stderr);
        return 2;
    }
    auto server = viewer::FolderServer::make(arguments[1]);
    if (!server) {
        log_error("viewer", "{}", server.error().message);
        return 1;
    }
    (*server)->serve(STDIN_FILENO);
    return 0;
}
