/* Holds a pod's namespaces until it is asked to end; reaps what becomes its child. */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static void end(int signal) {
    (void)signal;
    exit(0);
}

int main(void) {
    signal(SIGTERM, end);
    signal(SIGINT, end);
    signal(SIGCHLD, SIG_IGN);
    for (;;) pause();
}
