/* What each test program here includes: says on stderr what does not hold, and ends with 1. */
#ifndef CHECK_H
#define CHECK_H

#include <pinfold.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of the whole process, and at once: other threads of a failed test have nothing to finish. */
#define CHECK(condition)                                                            \
    do {                                                                            \
        if (!(condition)) {                                                         \
            fprintf(stderr, "%s:%d: not so: %s\n  the last message: %s\n",          \
                    __FILE__, __LINE__, #condition, pinfold_last_message());        \
            _Exit(1);                                                               \
        }                                                                           \
    } while (0)

/* The call has this status. */
#define CHECK_STATUS(call, expected)                                                \
    do {                                                                            \
        int32_t check_got = (int32_t)(call), check_wanted = (int32_t)(expected);    \
        if (check_got != check_wanted) {                                            \
            fprintf(stderr, "%s:%d: %s\n  is %d (%s), not %d\n  the last message: %s\n", \
                    __FILE__, __LINE__, #call, (int)check_got,                      \
                    pinfold_status_message(check_got), (int)check_wanted,           \
                    pinfold_last_message());                                        \
            _Exit(1);                                                               \
        }                                                                           \
    } while (0)

#define CHECK_OK(call) CHECK_STATUS(call, PINFOLD_STATUS_OK)

/* The last message contains this text. */
#define CHECK_SAID(text)                                                            \
    do {                                                                            \
        if (strstr(pinfold_last_message(), (text)) == NULL) {                       \
            fprintf(stderr, "%s:%d: `%s` is not in the last message: %s\n",         \
                    __FILE__, __LINE__, (text), pinfold_last_message());            \
            _Exit(1);                                                               \
        }                                                                           \
    } while (0)

#endif
