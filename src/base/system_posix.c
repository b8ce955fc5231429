/* The system's part under POSIX. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* sched_getaffinity, madvise */
#endif
#include "system.h"

#ifndef _WIN32

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* ---- threads ---- */

/* Signals are the host's: its handlers run on its threads. Faults stay unblocked, for a
 * host that reports its crashes; they can only be the thread's own. */
static void block_signals(sigset_t *saved)
{
    static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP };
    sigset_t set;
    sigfillset(&set);
    for (int i = 0; i < CR__COUNT(faults); i++)
        sigdelset(&set, faults[i]);
    pthread_sigmask(SIG_SETMASK, &set, saved);
}

static void *thread_main(void *arg)
{
    const cr__thread *thread = arg;
    thread->body(thread->arg);
    return NULL;
}

/* The new thread inherits the mask. */
bool cr__thread_start(cr__thread *thread, void (*body)(void *arg), void *arg,
                      size_t stack_bytes)
{
    sigset_t saved;
    pthread_attr_t attr;
    thread->body = body;
    thread->arg = arg;
    if (pthread_attr_init(&attr) != 0)
        return false;
    pthread_attr_setstacksize(&attr, stack_bytes);
    block_signals(&saved);
    bool started = pthread_create(&thread->id, &attr, thread_main, thread) == 0;
    pthread_sigmask(SIG_SETMASK, &saved, NULL);
    pthread_attr_destroy(&attr);
    return started;
}

void cr__thread_join(cr__thread *thread)
{
    pthread_join(thread->id, NULL);
}

void cr__thread_yield(void)
{
    sched_yield();
}

void cr__lock_init(cr__lock *lock)
{
    pthread_mutex_init(lock, NULL);
}

void cr__lock_close(cr__lock *lock)
{
    pthread_mutex_destroy(lock);
}

void cr__lock_take(cr__lock *lock)
{
    pthread_mutex_lock(lock);
}

void cr__lock_give(cr__lock *lock)
{
    pthread_mutex_unlock(lock);
}

void cr__signal_init(cr__signal *signal)
{
    pthread_cond_init(signal, NULL);
}

void cr__signal_close(cr__signal *signal)
{
    pthread_cond_destroy(signal);
}

void cr__signal_wait(cr__signal *signal, cr__lock *lock)
{
    pthread_cond_wait(signal, lock);
}

void cr__signal_one(cr__signal *signal)
{
    pthread_cond_signal(signal);
}

void cr__signal_all(cr__signal *signal)
{
    pthread_cond_broadcast(signal);
}

/* ---- clock, process, memory ---- */

int64_t cr__nanoseconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int cr__cores(void)
{
#ifdef __linux__
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        return CPU_COUNT(&set);
#endif
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online < 1 ? 1 : online > INT16_MAX ? INT16_MAX : (int)online;
}

/* Counted by the handler of forks: a run asks, and does not call the system. The count is the
 * process's, and only a child that has no other threads yet changes it. */
static pthread_once_t watch_once = PTHREAD_ONCE_INIT;
static bool watched;
static int forks;

static void count_fork(void)
{
    forks++;
}

static void watch_forks(void)
{
    watched = pthread_atfork(NULL, NULL, count_fork) == 0;
}

int cr__process_id(void)
{
    pthread_once(&watch_once, watch_forks);
    return watched ? forks : (int)getpid();
}

#define PAGE ((uintptr_t)4096)

void cr__prefer_huge_pages(void *block, size_t bytes)
{
#ifdef MADV_HUGEPAGE
    uintptr_t begin = ((uintptr_t)block + PAGE - 1) & ~(PAGE - 1);
    uintptr_t end = ((uintptr_t)block + bytes) & ~(PAGE - 1);
    (void)madvise((void *)begin, end - begin, MADV_HUGEPAGE);
#else
    (void)block, (void)bytes;
#endif
}

#endif
