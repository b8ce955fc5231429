/* What every part of the interface is written with: the standard headers, and what makes one text
 * C11 and C++17. */
#ifndef CHAINRULE_API_H
#define CHAINRULE_API_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* CR_ZERO stands behind the members of options: C++ wants to be told that they are zero.
 * CR_NO_NUMBER is a member of no size, by which C compilers see that a struct is given a plain
 * number; C++ sees it without. */
#ifdef __cplusplus
#include <initializer_list>
#include <type_traits>
#define CR_BEGIN extern "C" {
#define CR_END }
#define CR_ZERO = {}
#define CR_NO_NUMBER
#else
#define CR_BEGIN
#define CR_END
#define CR_ZERO
#define CR_NO_NUMBER __extension__ char no_number[0];
#endif

#if defined(__GNUC__)
#define CR_API __attribute__((visibility("default")))
#ifdef __MINGW32__ /* where printf's formats are not those of C */
#define CR_FORMAT(at, from) __attribute__((format(gnu_printf, at, from)))
#else
#define CR_FORMAT(at, from) __attribute__((format(printf, at, from)))
#endif
#else
#define CR_API
#define CR_FORMAT(at, from)
#endif

#endif
