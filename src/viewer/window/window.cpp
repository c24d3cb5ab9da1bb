// SPDX-License-Identifier: LGPL-2.1-or-later
#include "viewer/window/window.h"

#include <SDL.h>

#include "viewer/window/application.h"

namespace segue::viewer {

int run_window(RunLoop& loop, const Options& options) {
    int code = 1;
    {
        Application application(loop, options);
        if (application.open()) code = application.run();
    }
    SDL_Quit();
    return code;
}

}  // namespace segue::viewer
