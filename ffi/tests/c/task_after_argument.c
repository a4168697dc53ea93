/* The argument of a task that waits for others is the library's when the call returns, however long it is:
 * it may be encoded when they have ended, and the caller may write over it meanwhile. */
#include "check.h"
#include <unistd.h>

enum { LONG = 1000000 };

static int32_t make(pinfold_call *call, void *user)
{
    void *output;

    (void)user;
    usleep(20000);
    if (pinfold_call_output(call, LONG, &output) != PINFOLD_STATUS_OK)
        return 1;
    memset(output, 1, LONG);
    return 0;
}

/* Whether all bytes of the argument are alike, and how many there are. */
static int32_t look(pinfold_call *call, void *user)
{
    const void *argument;
    void *output;
    uint64_t alike = 0;
    size_t len;

    (void)user;
    if (pinfold_call_argument(call, &argument, &len) != PINFOLD_STATUS_OK)
        return 1;
    while (alike < len && ((const unsigned char *)argument)[alike] == 5)
        alike++;
    if (pinfold_call_output(call, sizeof alike, &output) != PINFOLD_STATUS_OK)
        return 2;
    memcpy(output, &alike, sizeof alike);
    return 0;
}

int main(int argc, char **argv)
{
    static const size_t sizes[] = {0, 7, 8, 9, 20, 64, 65, 300, 100000};
    pinfold_config config = PINFOLD_CONFIG_INIT;
    pinfold_runtime *runtime;
    pinfold_task *making, *looking;
    pinfold_handle *made, *looked;
    size_t i;

    CHECK_OK(pinfold_function_register("make", make, NULL));
    CHECK_OK(pinfold_function_register("look", look, NULL));
    CHECK_OK(pinfold_init(&argc, &argv));
    config.workers = 2;
    CHECK_OK(pinfold_runtime_new(&config, &runtime));
    CHECK_OK(pinfold_task_new(runtime, "make", NULL, &making));
    CHECK_OK(pinfold_task_new(runtime, "look", NULL, &looking));
    for (i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned char *argument = malloc(sizes[i] + 1);
        uint64_t alike;

        CHECK(argument);
        memset(argument, 5, sizes[i]);
        CHECK_OK(pinfold_task_submit(making, NULL, 0, &made));
        CHECK_OK(pinfold_task_submit_after(looking, argument, sizes[i], &made, 1, &looked));
        memset(argument, 6, sizes[i]);
        free(argument);
        CHECK_OK(pinfold_handle_join(looked, &alike, sizeof alike, NULL));
        CHECK(alike == sizes[i]);
        CHECK_OK(pinfold_handle_free(made));
    }
    CHECK_OK(pinfold_runtime_free(runtime));
    return 0;
}
