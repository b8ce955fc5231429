/* A test harness that prints TAP (testanything.org):
 *
 *     int main(void)
 *     {
 *         ok(n == 3, "three elements, not %d", n);
 *         is_near(cr_item(y), 52.1711, 1e-4, "the tiny graph");
 *         return done_testing();
 *     }
 *
 * Checks count from one thread. Each says whether it passed, so that a loop can stop
 * early.
 */
#ifndef TESTS_SUPPORT_TAP_H
#define TESTS_SUPPORT_TAP_H

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TAP_FORMAT(at, from) __attribute__((format(printf, at, from)))

/* A comment in the output. */
TAP_FORMAT(1, 2) void diag(const char *format, ...);

TAP_FORMAT(4, 5)
bool tap_ok(bool passed, const char *file, int line, const char *format, ...);

/* Equal infinities are near each other, and so are NaNs. */
TAP_FORMAT(6, 7)
bool tap_near(double got, double want, double tolerance, const char *file, int line,
              const char *format, ...);

TAP_FORMAT(5, 6)
bool tap_int(int64_t got, int64_t want, const char *file, int line, const char *format,
             ...);

TAP_FORMAT(5, 6)
bool tap_text(const char *got, const char *want, const char *file, int line,
              const char *format, ...);

/* Each takes a printf format and its arguments last: the name of the check. */
#define ok(condition, ...) tap_ok(!!(condition), __FILE__, __LINE__, __VA_ARGS__)

#define is_near(got, want, tolerance, ...) \
    tap_near(got, want, tolerance, __FILE__, __LINE__, __VA_ARGS__)
#define is_int(got, want, ...)  tap_int(got, want, __FILE__, __LINE__, __VA_ARGS__)
#define is_text(got, want, ...) tap_text(got, want, __FILE__, __LINE__, __VA_ARGS__)

/* How many of n cases that are alike (random ones, steps of a loop) are tried: at least one, and all
 * but for the environment's TEST_SHARE=k, one of k, and check mode, which looks for uses of what is
 * gone only: a third. make test tries all; .ci/run wants shares of builds that are slow and look
 * for what any case shows. tap_parts() is that k, for loops that go in strides. */
int tap_share(int n);
int tap_parts(void);

/* n checks that cannot be made here. */
void skip(int n, const char *why);

/* Runs body(arg) in a child process. True if the child returned true: it neither failed
 * nor was killed. What the child checks is not counted here. */
bool tap_child(bool (*body)(void *arg), void *arg);

/* Prints the plan; the exit status of main. No check at all is a failure. */
int done_testing(void);

#ifdef __cplusplus
} /* extern "C" */
#endif
#endif
