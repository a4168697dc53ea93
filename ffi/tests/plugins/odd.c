/* Plugins that are not as they should be: which one, is said by the compiler's -D. */
#define _GNU_SOURCE
#include <pinfold.h>

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

/* How often the entry ran in the process that this one was forked from, and which process that was. */
static int32_t entries[2];

static int32_t where(pinfold_call *call, void *user)
{
    void *output;

    (void)user;
    if (pinfold_call_output(call, sizeof entries, &output) != PINFOLD_STATUS_OK)
        return 1;
    ((int32_t *)output)[0] = entries[0];
    ((int32_t *)output)[1] = entries[1];
    return 0;
}

static int32_t die(pinfold_call *call, void *user)
{
    (void)call;
    (void)user;
    abort();
}

/* Ends the process that workers are forked from, and all workers with it. */
static int32_t end_parent(pinfold_call *call, void *user)
{
    (void)call;
    (void)user;
    kill(entries[1], SIGKILL);
    pause();
    return 0;
}

#if defined(OTHER_VERSION)
extern const uint32_t pinfold_plugin_abi_version;
const uint32_t pinfold_plugin_abi_version = 999;
extern pinfold_status pinfold_plugin_register(void);
pinfold_status pinfold_plugin_register(void)
#elif defined(NO_ENTRY)
extern pinfold_status some_other_name(void);
pinfold_status some_other_name(void)
#else
PINFOLD_PLUGIN
#endif
{
    pinfold_status status = PINFOLD_STATUS_OK;

    entries[0]++;
    entries[1] = getpid();
#if defined(OTHER_VERSION)
    abort(); /* it is never called */
#elif defined(CRASH)
    *(volatile int *)0 = 1;
#elif defined(EXIT)
    exit(3);
#elif defined(HANG)
    for (;;)
        pause();
#elif defined(FAIL)
    return PINFOLD_STATUS_SYSTEM;
#elif defined(NOTHING)
    return status;
#elif defined(TWICE)
    /* It does not look at what it is told. */
    pinfold_function_register("where", where, NULL);
    pinfold_function_register("where", die, NULL);
#endif
    if (status == PINFOLD_STATUS_OK)
        status = pinfold_function_register("where", where, NULL);
    if (status == PINFOLD_STATUS_OK)
        status = pinfold_function_register("die", die, NULL);
    if (status == PINFOLD_STATUS_OK)
        status = pinfold_function_register("end_parent", end_parent, NULL);
    return status;
}
