/* A plugin for the tests: what the example has no need of. */
#include <pinfold.h>

#include <string.h>
#include <unistd.h>

/* Runs until it is killed. */
static int32_t forever(pinfold_call *call, void *user)
{
    (void)call;
    (void)user;
    for (;;)
        pause();
    return 0;
}

/* What comes in is what goes out. */
static int32_t back(pinfold_call *call, void *user)
{
    const void *data;
    void *output;
    size_t len;

    (void)user;
    if (pinfold_call_argument(call, &data, &len) != PINFOLD_STATUS_OK
        || pinfold_call_output(call, len, &output) != PINFOLD_STATUS_OK)
        return 1;
    memcpy(output, data, len);
    return 0;
}

/* All inputs, one after the other. */
static int32_t together(pinfold_call *call, void *user)
{
    const void *input;
    char *output;
    size_t count, len, total = 0, i;

    (void)user;
    if (pinfold_call_input_count(call, &count) != PINFOLD_STATUS_OK)
        return 1;
    for (i = 0; i < count; i++) {
        if (pinfold_call_input(call, i, &input, &len) != PINFOLD_STATUS_OK)
            return 1;
        total += len;
    }
    if (pinfold_call_output(call, total, (void **)&output) != PINFOLD_STATUS_OK)
        return 2;
    for (i = 0; i < count; i++) {
        if (pinfold_call_input(call, i, &input, &len) != PINFOLD_STATUS_OK)
            return 1;
        memcpy(output, input, len);
        output += len;
    }
    return 0;
}

PINFOLD_PLUGIN
{
    pinfold_status status = pinfold_function_register("forever", forever, NULL);

    if (status == PINFOLD_STATUS_OK)
        status = pinfold_function_register("back", back, NULL);
    if (status == PINFOLD_STATUS_OK)
        status = pinfold_function_register("together", together, NULL);
    return status;
}
