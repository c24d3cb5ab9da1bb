/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* listen: records for good from the first sound card, and says of each half second what it heard:
 * "level N heard HERTZ": the loudest sample, and the waves a second. By the kernel's own interface
 * (sound/asound.h): no library of ALSA's is linked in here. */
#include <errno.h>
#include <fcntl.h>
#include <sound/asound.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "load.h"

enum { RATE = 48000, CHANNELS = 2, PERIOD = 1024, WINDOW = RATE / 2, LOUD = 500 };

static struct snd_interval* interval(struct snd_pcm_hw_params* params, int what) {
    return &params->intervals[what - SNDRV_PCM_HW_PARAM_FIRST_INTERVAL];
}

static void set_interval(struct snd_pcm_hw_params* params, int what, unsigned value) {
    interval(params, what)->min = interval(params, what)->max = value;
    interval(params, what)->integer = 1;
}

static void set_mask(struct snd_pcm_hw_params* params, int what, unsigned bit) {
    struct snd_mask* mask = &params->masks[what - SNDRV_PCM_HW_PARAM_FIRST_MASK];
    memset(mask, 0, sizeof *mask);
    mask->bits[bit / 32] = 1u << bit % 32;
}

static int open_microphone(void) {
    struct snd_pcm_hw_params params;
    int card = -1;
    /* Its driver looks for what the card can do for a while. */
    for (int tries = 0; card < 0 && tries < 600; ++tries) {
        card = open("/dev/snd/pcmC0D0c", O_RDONLY);
        if (card < 0) usleep(100000);
    }
    if (card < 0) load_die("listen: /dev/snd/pcmC0D0c");
    memset(&params, 0, sizeof params);
    memset(params.masks, 0xff, sizeof params.masks);
    for (int what = SNDRV_PCM_HW_PARAM_FIRST_INTERVAL; what <= SNDRV_PCM_HW_PARAM_LAST_INTERVAL;
         ++what)
        interval(&params, what)->max = ~0u;
    params.rmask = ~0u;
    params.info = ~0u;
    set_mask(&params, SNDRV_PCM_HW_PARAM_ACCESS, SNDRV_PCM_ACCESS_RW_INTERLEAVED);
    set_mask(&params, SNDRV_PCM_HW_PARAM_FORMAT, SNDRV_PCM_FORMAT_S16_LE);
    set_interval(&params, SNDRV_PCM_HW_PARAM_CHANNELS, CHANNELS);
    set_interval(&params, SNDRV_PCM_HW_PARAM_RATE, RATE);
    set_interval(&params, SNDRV_PCM_HW_PARAM_PERIOD_SIZE, PERIOD);
    if (ioctl(card, SNDRV_PCM_IOCTL_HW_PARAMS, &params) != 0) load_die("listen: hw_params");
    if (ioctl(card, SNDRV_PCM_IOCTL_PREPARE) != 0) load_die("listen: prepare");
    return card;
}

int load_listen(int count, char** words) {
    (void)count;
    (void)words;
    const int card = open_microphone();
    int frames = 0, waves = 0, level = 0, is_up = 0;
    load_print("listen ready\n");
    for (;;) {
        short samples[PERIOD * CHANNELS];
        struct snd_xferi part = {.buf = samples, .frames = PERIOD};
        if (ioctl(card, SNDRV_PCM_IOCTL_READI_FRAMES, &part) != 0) {
            /* It was not fetched in time: what comes now is what counts. */
            if (errno != EPIPE || ioctl(card, SNDRV_PCM_IOCTL_PREPARE) != 0)
                load_die("listen: read");
            frames = waves = level = is_up = 0;
            continue;
        }
        for (long at = 0; at < part.result; ++at) {
            const int left = samples[at * CHANNELS];
            if (abs(left) > level) level = abs(left);
            if (!is_up && left > LOUD) ++waves, is_up = 1;
            if (left < -LOUD) is_up = 0;
        }
        frames += part.result;
        if (frames < WINDOW) continue;
        load_print("level %d heard %d\n", level, (int)((long)waves * RATE / frames));
        frames = waves = level = 0;
    }
}
