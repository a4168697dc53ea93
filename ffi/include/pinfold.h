/* pinfold: a shared-memory multi-process runtime for Linux servers. The C face.
 *
 * Written by cbindgen from ffi/src: change it there, then run scripts/header.
 * docs/ABI.md says what is promised. Link with -lpinfold_c.
 */

#ifndef PINFOLD_H
#define PINFOLD_H

#include <stddef.h>
#include <stdint.h>

/**
 * Counts the incompatible changes of this interface. Compare it with what
 * `pinfold_abi_version()` returns before the first other call.
 */
#define PINFOLD_ABI_VERSION 1

/**
 * What a call came to. Zero is success.
 *
 * A number keeps its meaning for ever; a retired one is never used again. New numbers
 * may be added without a new ABI version: treat one that you do not know as a failure.
 */
enum pinfold_status
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * The call did what it says.
   */
  PINFOLD_STATUS_OK = 0,
  /**
   * An argument that must not be null is null.
   */
  PINFOLD_STATUS_NULL_ARGUMENT = 1,
  /**
   * The operating system refused something that the call needs.
   */
  PINFOLD_STATUS_SYSTEM = 2,
  /**
   * A defect in the library; its message and place went to the standard error stream.
   */
  PINFOLD_STATUS_PANIC = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum pinfold_status pinfold_status;
#else
typedef int32_t pinfold_status;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The library's version, for people and log lines, like "0.1.0".
 *
 * Never null; lives as long as the library is loaded; not to be freed.
 */
const char *pinfold_version(void);

/**
 * The value that `PINFOLD_ABI_VERSION` had when the library was built.
 *
 * Zero, which is no version, if the library is broken.
 */
uint32_t pinfold_abi_version(void);

/**
 * One English sentence about a status code, for people and log lines.
 *
 * Any number is allowed: one that is not a status code is said to be unknown.
 * Never null; lives as long as the library is loaded; not to be freed.
 */
const char *pinfold_status_message(int32_t code);

/**
 * How many CPUs this process may use: by its affinity mask and by its control
 * group's CPU limit, whichever is smaller. At least 1.
 *
 * Writes the number to `*out_count`, and only when it returns `PINFOLD_STATUS_OK`.
 * Fails with `PINFOLD_STATUS_NULL_ARGUMENT`, or with `PINFOLD_STATUS_SYSTEM` when the
 * system does not tell.
 *
 * # Safety
 *
 * `out_count` is null, or points to a `size_t` that nobody else touches during the call.
 */
pinfold_status pinfold_allowed_cpus(size_t *out_count);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* PINFOLD_H */
