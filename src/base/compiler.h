/* The compiler's extensions, all in one place: attributes, prediction, floating point
 * rules. Every file that computes includes this first. */
#ifndef CR_BASE_COMPILER_H
#define CR_BASE_COMPILER_H

/* MinGW: the formats of C, not those of Windows. Before any header. */
#ifdef _WIN32
#ifndef __USE_MINGW_ANSI_STDIO
#define __USE_MINGW_ANSI_STDIO 1
#endif
#endif

#if !defined(__GNUC__)
#error "chainrule needs GCC or Clang"
#endif
/* What of this cannot be seen here is found when a context opens (kernel/sound.c). */
#if defined(__FAST_MATH__) || __FINITE_MATH_ONLY__ || defined(__ASSOCIATIVE_MATH__) || \
    defined(__RECIPROCAL_MATH__) || defined(__NO_SIGNED_ZEROS__)
#error \
    "chainrule's results are defined to the bit: do not compile it with -ffast-math, \
-funsafe-math-optimizations or a part of them"
#endif

/* Results of the x87 unit have more bits than their type, here and there. */
#if defined(__i386__) && !defined(__SSE2_MATH__)
#if defined(__clang__)
#error "chainrule needs SSE2: compile it with -msse2 -mfpmath=sse"
#else
#pragma GCC target("sse2,fpmath=sse")
#endif
#endif

/* a*b + c must not become a fused multiply-add unless the code says so. */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#else
#pragma GCC optimize("fp-contract=off")
#endif

#define CR__INLINE       static inline __attribute__((always_inline, unused))
#define CR__COLD         __attribute__((cold))
#define CR__NOINLINE     __attribute__((noinline))
#define CR__UNLIKELY(x)  __builtin_expect(!!(x), 0)
#define CR__LIKELY(x)    __builtin_expect(!!(x), 1)
#define CR__RESTRICT     __restrict__
#define CR__ALIGNED(n)   __attribute__((aligned(n)))
#define CR__COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

/* A function whose loops become loops of vectors, which GCC leaves as they are at -O2, and in what only
 * cold code calls. */
#if defined(__clang__)
#define CR__VECTORIZED
#else
#define CR__VECTORIZED \
    __attribute__((hot, optimize("tree-vectorize", "vect-cost-model=dynamic")))
#endif

/* A variable of a loop that is to be counted as it is written, and not made of others. */
#define CR__STEADY(x) __asm__("" : "+r"(x))
/* One for which a busy loop has no register: compilers keep it in one of vectors otherwise, and moving it
 * from there takes the place of arithmetic. */
#define CR__IN_MEMORY(x) __asm__("" : "+m"(x))

#define CR__JOIN_(a, b) a##b
#define CR__JOIN(a, b)  CR__JOIN_(a, b)

/* The line of memory that *p is in, to be written: what the compiler makes of such a prefetch, when
 * it is not told of the instruction, waits for the line twice. Every x86-64 knows or ignores it. */
#if defined(__x86_64__)
#define CR__FETCH_TO_WRITE(p) __asm__ volatile("prefetchw %0" : : "m"(*(const char *)(p)))
#else
#define CR__FETCH_TO_WRITE(p) __builtin_prefetch((p), 1)
#endif

/* A vector that is to be loaded once, and not by each instruction that takes it. */
#if defined(__x86_64__)
#define CR__LOADED(x) __asm__("" : "+x"(x))
#else
#define CR__LOADED(x) ((void)(x))
#endif

/* Sanitizers look at every access: unrolled code then takes minutes to compile. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CR__SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(undefined_behavior_sanitizer)
#define CR__SANITIZED 1
#endif
#endif

/* Broken invariants stop debug builds only. */
#ifdef CR_DEBUG
#include <assert.h>
#define CR__ASSERT(x) assert(x)
#else
#define CR__ASSERT(x) ((void)sizeof(!!(x)))
#endif

#endif
