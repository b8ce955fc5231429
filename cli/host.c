/* The system: POSIX and Windows meet the program here alone. */
#define _DEFAULT_SOURCE /* fileno, ioctl, readlink */
#include "host.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#ifdef _WIN32
#include <io.h>
#else
#include <pthread.h>
#include <unistd.h>
/* glibc takes it from the kernel's headers, which are not there for every machine. */
#if !defined(__GLIBC__) || __has_include(<asm/ioctls.h>)
#include <sys/ioctl.h>
#endif
#endif

/* ---- the terminal ---- */

static bool is_terminal(FILE *file)
{
#ifdef _WIN32
    return _isatty(_fileno(file)) != 0;
#else
    return isatty(fileno(file)) != 0;
#endif
}

int host_columns(FILE *file)
{
    const char *told = getenv("COLUMNS");
    const int columns = told ? atoi(told) : 0;
    if (columns > 0)
        return columns;
#ifdef TIOCGWINSZ
    struct winsize size;
    if (ioctl(fileno(file), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
#else
    (void)file;
#endif
    return 80;
}

bool host_colours(FILE *file)
{
    const char *none = getenv("NO_COLOR"), *terminal = getenv("TERM");
    if ((none && *none) || (terminal && strcmp(terminal, "dumb") == 0))
        return false;
    return is_terminal(file);
}

void host_progress(const char *what, double share, void *unused)
{
    enum { BAR = 24 };
    static double last;
    const double now = host_seconds();
    (void)unused;
    if (!is_terminal(stderr))
        return;
    if (share >= 1) {
        fputs("\r\033[K", stderr);
        last = 0;
        return;
    }
    if (now - last < 0.05)
        return;
    last = now;
    const int room = host_columns(stderr) - BAR - 10;
    fputs("\r", stderr);
    for (int i = 0; i < BAR; i++)
        fputs(i < share * BAR ? "█" : "░", stderr);
    fprintf(stderr, " %3.0f%%  %.*s\033[K", 100 * share, room > 0 ? room : 0, what);
    fflush(stderr);
}

/* ---- time and place ---- */

double host_seconds(void)
{
#ifdef _WIN32 /* where clock() counts the time that passes, not the processor's */
    return (double)clock() / CLOCKS_PER_SEC;
#else
    struct timespec now;
    timespec_get(&now, TIME_UTC);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
#endif
}

int host_processors(void)
{
#ifdef _SC_NPROCESSORS_ONLN
    const long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (int)n : 1;
#else
    return 1;
#endif
}

bool host_program_folder(char *path, size_t capacity)
{
#ifdef __linux__
    const ssize_t length = readlink("/proc/self/exe", path, capacity - 1);
    if (length <= 0)
        return false;
    path[length] = 0;
    char *slash = strrchr(path, '/');
    if (slash)
        *slash = 0;
    return slash != NULL;
#else
    (void)path, (void)capacity;
    return false;
#endif
}

/* ---- threads ---- */

#ifdef _WIN32

void host_parallel(int threads, int n, void (*body)(void *arg, int i), void *arg)
{
    (void)threads;
    for (int i = 0; i < n; i++)
        body(arg, i);
}

void host_lock(void)
{
}

void host_unlock(void)
{
}

#else

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void host_lock(void)
{
    pthread_mutex_lock(&lock);
}

void host_unlock(void)
{
    pthread_mutex_unlock(&lock);
}

/* Work that threads take piece by piece. */
typedef struct queue {
    pthread_mutex_t lock;
    int next, n;
    void (*body)(void *arg, int i);
    void *arg;
} queue;

static void *work(void *arg)
{
    queue *q = arg;
    for (;;) {
        pthread_mutex_lock(&q->lock);
        const int i = q->next < q->n ? q->next++ : -1;
        pthread_mutex_unlock(&q->lock);
        if (i < 0)
            return NULL;
        q->body(q->arg, i);
    }
}

/* Threads that cannot be had are done without. */
void host_parallel(int threads, int n, void (*body)(void *arg, int i), void *arg)
{
    enum { MOST = 64 };
    pthread_t others[MOST];
    queue q = { .n = n, .body = body, .arg = arg };
    int started = 0;
    pthread_mutex_init(&q.lock, NULL);
    while (started < MOST && started + 1 < threads &&
           pthread_create(&others[started], NULL, work, &q) == 0)
        started++;
    work(&q);
    for (int i = 0; i < started; i++)
        pthread_join(others[i], NULL);
    pthread_mutex_destroy(&q.lock);
}

#endif
