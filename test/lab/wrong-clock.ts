// A program whose clock is wrong: the machine's own cannot be set for one program alone, so what a program asks the C library
// for is answered late or early. Made at need with the C compiler that the linker of native/ uses.

import { spawnSync } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Place } from './lab.ts'

const SOURCE = `
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static time_t shift(void) { const char *text = getenv("CLOCK_SHIFT_SECONDS"); return text ? atol(text) : 0; }

int clock_gettime(clockid_t id, struct timespec *at) {
  int status = syscall(SYS_clock_gettime, id, at);
  if (status == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) at->tv_sec += shift();
  return status;
}

int gettimeofday(struct timeval *at, void *zone) {
  int status = syscall(SYS_gettimeofday, at, zone);
  if (status == 0) at->tv_sec += shift();
  return status;
}

time_t time(time_t *at) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (at) *at = now.tv_sec;
  return now.tv_sec;
}
`

export function wrongClockUnavailable(): string | undefined {
  return spawnSync('cc', ['--version'], { stdio: 'ignore' }).error ? 'there is no C compiler' : undefined
}

/** The environment of a program whose clock is off by so many seconds. */
export function wrongClock(place: Place, seconds: number): Record<string, string> {
  const library = join(place.dir, 'wrong-clock.so')
  if (!existsSync(library)) {
    const source = join(place.dir, 'wrong-clock.c')
    writeFileSync(source, SOURCE)
    const made = spawnSync('cc', ['-shared', '-fPIC', '-O1', '-o', library, source], { encoding: 'utf8' })
    if (made.status !== 0) throw new Error(`the wrong clock: ${made.stderr}`)
  }
  return { LD_PRELOAD: library, CLOCK_SHIFT_SECONDS: String(seconds) }
}
