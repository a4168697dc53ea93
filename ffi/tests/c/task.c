/* One task, from its registration to its result; and one that fails. */
#include "check.h"

static int32_t triple(pinfold_call *call, void *user)
{
    const void *argument;
    void *output;
    size_t len;
    int32_t n;

    (void)user;
    if (pinfold_call_argument(call, &argument, &len) != PINFOLD_STATUS_OK || len != sizeof n)
        return 1;
    memcpy(&n, argument, sizeof n);
    if (n < 0) {
        pinfold_call_explain(call, "a negative number");
        return 7;
    }
    if (pinfold_call_output(call, sizeof n, &output) != PINFOLD_STATUS_OK)
        return 2;
    n *= 3;
    memcpy(output, &n, sizeof n);
    return 0;
}

int main(int argc, char **argv)
{
    pinfold_config config = PINFOLD_CONFIG_INIT;
    pinfold_runtime *runtime;
    pinfold_task *task;
    pinfold_handle *handle;
    int32_t n = 14, result = 0, code = 0;
    size_t len = 0;

    CHECK_OK(pinfold_function_register("triple", triple, NULL));
    CHECK_OK(pinfold_init(&argc, &argv));
    config.workers = 1;
    CHECK_OK(pinfold_runtime_new(&config, &runtime));
    CHECK_OK(pinfold_task_new(runtime, "triple", NULL, &task));

    CHECK_OK(pinfold_task_submit(task, &n, sizeof n, &handle));
    CHECK_OK(pinfold_handle_join(handle, &result, sizeof result, &len));
    CHECK(result == 42 && len == sizeof result);

    n = -1;
    CHECK_OK(pinfold_task_submit(task, &n, sizeof n, &handle));
    CHECK_STATUS(pinfold_handle_result(handle, &(const void *){NULL}, &len), PINFOLD_STATUS_TASK_FAILED);
    CHECK_SAID("a negative number");
    CHECK_OK(pinfold_handle_code(handle, &code));
    CHECK(code == 7);
    CHECK_OK(pinfold_handle_free(handle));

    CHECK_OK(pinfold_task_free(task));
    CHECK_OK(pinfold_runtime_free(runtime));
    return 0;
}
