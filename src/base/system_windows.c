/* The system's part under Windows. A lock and a condition are a pointer each, zero when
 * they are new, and need no closing. */
#include "system.h"

#ifdef _WIN32

#define WIN32_LEAN_AND_MEAN
#include <windows.h>

_Static_assert(sizeof(cr__lock) == sizeof(SRWLOCK), "a lock");
_Static_assert(sizeof(cr__signal) == sizeof(CONDITION_VARIABLE), "a condition");

/* ---- threads ---- */

static DWORD WINAPI thread_main(void *arg)
{
    const cr__thread *thread = arg;
    thread->body(thread->arg);
    return 0;
}

bool cr__thread_start(cr__thread *thread, void (*body)(void *arg), void *arg,
                      size_t stack_bytes)
{
    thread->body = body;
    thread->arg = arg;
    thread->id = CreateThread(NULL, stack_bytes, thread_main, thread,
                              STACK_SIZE_PARAM_IS_A_RESERVATION, NULL);
    return thread->id != NULL;
}

void cr__thread_join(cr__thread *thread)
{
    WaitForSingleObject(thread->id, INFINITE);
    CloseHandle(thread->id);
}

void cr__thread_yield(void)
{
    SwitchToThread();
}

void cr__lock_init(cr__lock *lock)
{
    InitializeSRWLock((SRWLOCK *)lock);
}

void cr__lock_close(cr__lock *lock)
{
    (void)lock;
}

void cr__lock_take(cr__lock *lock)
{
    AcquireSRWLockExclusive((SRWLOCK *)lock);
}

void cr__lock_give(cr__lock *lock)
{
    ReleaseSRWLockExclusive((SRWLOCK *)lock);
}

void cr__signal_init(cr__signal *signal)
{
    InitializeConditionVariable((CONDITION_VARIABLE *)signal);
}

void cr__signal_close(cr__signal *signal)
{
    (void)signal;
}

void cr__signal_wait(cr__signal *signal, cr__lock *lock)
{
    SleepConditionVariableSRW((CONDITION_VARIABLE *)signal, (SRWLOCK *)lock, INFINITE, 0);
}

void cr__signal_one(cr__signal *signal)
{
    WakeConditionVariable((CONDITION_VARIABLE *)signal);
}

void cr__signal_all(cr__signal *signal)
{
    WakeAllConditionVariable((CONDITION_VARIABLE *)signal);
}

/* ---- clock, process, memory ---- */

int64_t cr__nanoseconds(void)
{
    LARGE_INTEGER now, second;
    QueryPerformanceCounter(&now);
    QueryPerformanceFrequency(&second);
    return now.QuadPart / second.QuadPart * 1000000000 +
           now.QuadPart % second.QuadPart * 1000000000 / second.QuadPart;
}

int cr__cores(void)
{
    DWORD_PTR own, all;
    int cores = 0;
    if (GetProcessAffinityMask(GetCurrentProcess(), &own, &all))
        for (; own; own &= own - 1)
            cores++;
    return cores ? cores : 1;
}

/* There are no forks. */
int cr__process_id(void)
{
    return 1;
}

void cr__prefer_huge_pages(void *block, size_t bytes)
{
    (void)block, (void)bytes;
}

#endif
