/* A plugin: functions for the workers of a host that is no C program (or does not want to be one of
 * its workers). `plugin_host.c` and `numpy_sum.py` use it.
 *
 *     cc -shared -fPIC plugin.c $(pkg-config --cflags pinfold) -o plugin.so
 */
#include <pinfold.h>

#include <stdlib.h>
#include <string.h>

/* The bytes that the task is about: its buffer, which lies in shared memory, or its argument. */
static pinfold_status input(pinfold_call *call, const void **data, size_t *len)
{
    size_t count = 0;

    pinfold_call_buffer_count(call, &count);
    return count > 0 ? pinfold_call_buffer(call, 0, data, len) : pinfold_call_argument(call, data, len);
}

/* What comes in is what goes out. */
static int32_t echo(pinfold_call *call, void *user)
{
    pinfold_buffer *buffer;
    pinfold_status status;
    const void *data;
    void *output;
    size_t len;

    (void)user;
    if (pinfold_call_buffer_take(call, 0, &buffer) == PINFOLD_STATUS_OK) {
        /* Not copied: the same memory is the output. */
        status = pinfold_call_output_buffer(call, buffer);
        pinfold_buffer_free(buffer);
        return status == PINFOLD_STATUS_OK ? 0 : 1;
    }
    if (pinfold_call_argument(call, &data, &len) != PINFOLD_STATUS_OK)
        return 1;
    if (pinfold_call_output(call, len, &output) != PINFOLD_STATUS_OK)
        return 2;
    memcpy(output, data, len);
    return 0;
}

/* The sum of an array of doubles. */
static int32_t sum(pinfold_call *call, void *user)
{
    const double *values;
    double *total;
    size_t len, i;

    (void)user;
    if (input(call, (const void **)&values, &len) != PINFOLD_STATUS_OK)
        return 1;
    if (len % sizeof *values != 0) {
        pinfold_call_explain(call, "these are no doubles: their length is no multiple of 8");
        return 3;
    }
    if (pinfold_call_output(call, sizeof *total, (void **)&total) != PINFOLD_STATUS_OK)
        return 2;
    *total = 0;
    for (i = 0; i < len / sizeof *values; i++)
        *total += values[i];
    return 0;
}

/* Costs its worker's life, and nothing else. */
static int32_t crash(pinfold_call *call, void *user)
{
    (void)call;
    (void)user;
    abort();
}

/* The one entry: called once, in the process that the workers are forked from. */
PINFOLD_PLUGIN
{
    pinfold_status status = pinfold_function_register("echo", echo, NULL);

    if (status == PINFOLD_STATUS_OK)
        status = pinfold_function_register("sum", sum, NULL);
    if (status == PINFOLD_STATUS_OK)
        status = pinfold_function_register("crash", crash, NULL);
    return status;
}
