/* Holds the namespaces of a pod, and ends when told to. */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static void end(int number) { _exit(number == SIGTERM ? 0 : 1); }

int main(void) {
    signal(SIGTERM, end);
    signal(SIGINT, end);
    signal(SIGCHLD, SIG_IGN); /* With a shared process namespace it inherits orphans. */
    for (;;) pause();
}
