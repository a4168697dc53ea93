/* A task may be submitted after others that have ended, been waited for and looked at; short
 * outputs and long ones. */
#include "check.h"

static int32_t make(pinfold_call *call, void *user)
{
    const void *argument;
    void *output;
    size_t len, size;

    (void)user;
    if (pinfold_call_argument(call, &argument, &len) != PINFOLD_STATUS_OK || len != sizeof size)
        return 1;
    memcpy(&size, argument, sizeof size);
    if (pinfold_call_output(call, size, &output) != PINFOLD_STATUS_OK)
        return 2;
    memset(output, 7, size);
    return size == 13 ? 13 : 0;
}

static int32_t sum(pinfold_call *call, void *user)
{
    size_t count, len, i, k;
    uint64_t total = 0;
    void *output;

    (void)user;
    if (pinfold_call_input_count(call, &count) != PINFOLD_STATUS_OK)
        return 1;
    for (i = 0; i < count; i++) {
        const void *input;
        if (pinfold_call_input(call, i, &input, &len) != PINFOLD_STATUS_OK)
            return 2;
        for (k = 0; k < len; k++)
            total += ((const unsigned char *)input)[k];
    }
    if (pinfold_call_output(call, sizeof total, &output) != PINFOLD_STATUS_OK)
        return 3;
    memcpy(output, &total, sizeof total);
    return 0;
}

int main(int argc, char **argv)
{
    static const size_t sizes[] = {1, 20, 100, 1000, 1000000};
    enum { COUNT = sizeof sizes / sizeof *sizes };
    pinfold_config config = PINFOLD_CONFIG_INIT;
    pinfold_runtime *runtime;
    pinfold_task *making, *summing;
    pinfold_handle *made[COUNT], *total, *failed;
    const void *data;
    size_t i, len, thirteen = 13;
    uint64_t result;
    int round;

    CHECK_OK(pinfold_function_register("make", make, NULL));
    CHECK_OK(pinfold_function_register("sum", sum, NULL));
    CHECK_OK(pinfold_init(&argc, &argv));
    config.workers = 2;
    CHECK_OK(pinfold_runtime_new(&config, &runtime));
    CHECK_OK(pinfold_task_new(runtime, "make", NULL, &making));
    CHECK_OK(pinfold_task_new(runtime, "sum", NULL, &summing));

    for (i = 0; i < COUNT; i++)
        CHECK_OK(pinfold_task_submit(making, &sizes[i], sizeof sizes[i], &made[i]));
    for (i = 0; i < COUNT; i++)
        CHECK_OK(pinfold_handle_wait(made[i], PINFOLD_FOREVER));
    for (round = 0; round < 3; round++) {
        CHECK_OK(pinfold_task_submit_after(summing, NULL, 0, made, COUNT, &total));
        CHECK_OK(pinfold_handle_join(total, &result, sizeof result, &len));
        CHECK(len == sizeof result && result == 7 * 1001121);
        for (i = 0; i < COUNT; i++) {
            CHECK_OK(pinfold_handle_result(made[i], &data, &len));
            CHECK(len == sizes[i] && ((const char *)data)[len - 1] == 7);
        }
    }
    /* What has failed, and was seen to, is no input. */
    CHECK_OK(pinfold_task_submit(making, &thirteen, sizeof thirteen, &failed));
    CHECK_STATUS(pinfold_handle_result(failed, &data, &len), PINFOLD_STATUS_TASK_FAILED);
    CHECK_OK(pinfold_task_submit_after(summing, NULL, 0, &failed, 1, &total));
    CHECK_STATUS(pinfold_handle_join(total, NULL, 0, NULL), PINFOLD_STATUS_DEPENDENCY_FAILED);
    CHECK_OK(pinfold_handle_free(failed));

    for (i = 0; i < COUNT; i++)
        CHECK_OK(pinfold_handle_free(made[i]));
    CHECK_OK(pinfold_task_free(making));
    CHECK_OK(pinfold_task_free(summing));
    CHECK_OK(pinfold_runtime_free(runtime));
    return 0;
}
