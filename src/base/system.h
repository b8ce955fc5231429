/* What the operating system has under different names: threads, locks, the clock, the
 * process. system_posix.c and system_windows.c, of which one is empty. */
#ifndef CR_BASE_SYSTEM_H
#define CR_BASE_SYSTEM_H

#include "compiler.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef _WIN32
typedef struct cr__lock {
    void *srw;
} cr__lock;
typedef struct cr__signal {
    void *condition;
} cr__signal;
typedef void *cr__thread_id;
#else
#include <pthread.h>
typedef pthread_mutex_t cr__lock;
typedef pthread_cond_t cr__signal;
typedef pthread_t cr__thread_id;
#endif

/* Its memory stays where it is while the thread runs. */
typedef struct cr__thread {
    cr__thread_id id;
    void (*body)(void *arg);
    void *arg;
} cr__thread;

/* Where the system has signals, those of the host are not delivered to the thread; faults
 * are. False if there is no thread to be had. */
bool cr__thread_start(cr__thread *thread, void (*body)(void *arg), void *arg,
                      size_t stack_bytes);
void cr__thread_join(cr__thread *thread);
void cr__thread_yield(void);

void cr__lock_init(cr__lock *lock);
void cr__lock_close(cr__lock *lock);
void cr__lock_take(cr__lock *lock);
void cr__lock_give(cr__lock *lock);

void cr__signal_init(cr__signal *signal);
void cr__signal_close(cr__signal *signal);
void cr__signal_wait(cr__signal *signal, cr__lock *lock);
void cr__signal_one(cr__signal *signal);
void cr__signal_all(cr__signal *signal);

int64_t cr__nanoseconds(void); /* from any start, never backwards */

/* The processor's counter, of constant speed, where there is one: a third of the clock's cost. */
CR__INLINE uint64_t cr__ticks(void)
{
#if defined(__x86_64__) || defined(__i386__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    uint64_t ticks;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
#else
    return (uint64_t)cr__nanoseconds();
#endif
}

int cr__cores(void);      /* that this process may use; at least 1 */
int cr__process_id(void); /* another number in a forked child; no system call */

/* Advice only. */
void cr__prefer_huge_pages(void *block, size_t bytes);

#endif
