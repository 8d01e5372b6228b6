/* A wall clock that is CLOCK_AHEAD seconds ahead, for a program that is started with this library preloaded. The clocks
   that nobody sets stay as they are. */
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *time)
{
    int result = (int)syscall(SYS_clock_gettime, clock, time);
    const char *ahead = getenv("CLOCK_AHEAD");
    if (result == 0 && clock == CLOCK_REALTIME && ahead != NULL)
        time->tv_sec += atol(ahead);
    return result;
}
