/* The least that a fan-out costs: PORT COUNT BYTES. Accepts COUNT connections, then writes BYTES of
 * the same buffer to each, all at once, and ends. Nothing is parsed, encoded or kept. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CHUNK = 26 * 1024, EVENTS = 512 };
static char buffer[CHUNK];

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    int port = atoi(argv[1]), count = atoi(argv[2]), one = 1, left = count;
    long bytes = atol(argv[3]);
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    memset(buffer, 'x', sizeof buffer);
    int listener = socket(AF_INET, SOCK_STREAM, 0), poll = epoll_create1(0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 4096))
        fail("listen");
    int *sockets = calloc((size_t)count, sizeof *sockets);
    long *owed = calloc((size_t)count, sizeof *owed);
    puts("ready");
    fflush(stdout);
    for (int i = 0; i < count; i++) {
        if ((sockets[i] = accept(listener, NULL, NULL)) < 0)
            fail("accept");
        fcntl(sockets[i], F_SETFL, O_NONBLOCK);
        owed[i] = bytes;
    }
    for (int i = 0; i < count; i++) {
        struct epoll_event event = {.events = EPOLLOUT, .data.u32 = (unsigned)i};
        epoll_ctl(poll, EPOLL_CTL_ADD, sockets[i], &event);
    }
    if (getchar() == EOF) /* The word to begin. */
        return 1;
    struct epoll_event events[EVENTS];
    while (left > 0) {
        int ready = epoll_wait(poll, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            unsigned at = events[i].data.u32;
            size_t size = owed[at] < CHUNK ? (size_t)owed[at] : CHUNK;
            ssize_t sent = send(sockets[at], buffer, size, MSG_NOSIGNAL);
            if (sent < 0 && errno != EAGAIN)
                fail("send");
            if (sent > 0 && (owed[at] -= sent) <= 0) {
                epoll_ctl(poll, EPOLL_CTL_DEL, sockets[at], NULL);
                left--;
            }
        }
    }
    getchar();
    return 0;
}
