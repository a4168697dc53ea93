/* state: a plugin whose workers make a state; with HOST, the host that uses it. */
#include "../c/check.h"

#ifdef HOST

int main(int argc, char **argv)
{
    pinfold_config config = PINFOLD_CONFIG_INIT;
    pinfold_runtime *runtime;
    pinfold_task *task;
    pinfold_handle *handle;
    int32_t n = 7;

    CHECK(argc == 2);
    config.plugin = argv[1];
    config.workers = 1;
    config.worker_state = "nothing";
    config.start_checked = PINFOLD_CHOICE_YES;
    CHECK_STATUS(pinfold_runtime_new(&config, &runtime), PINFOLD_STATUS_START_FAILED);
    CHECK_SAID("knows no state `nothing`");
    config.worker_state = "factor";
    config.state_argument = &n;
    config.state_argument_len = sizeof n;
    CHECK_OK(pinfold_runtime_new(&config, &runtime));
    CHECK_OK(pinfold_task_new(runtime, "factor", NULL, &task));
    CHECK_OK(pinfold_task_submit(task, NULL, 0, &handle));
    n = 0;
    CHECK_OK(pinfold_handle_join(handle, &n, sizeof n, NULL));
    CHECK(n == 14);
    CHECK_OK(pinfold_task_free(task));
    CHECK_OK(pinfold_runtime_free(runtime));
    return 0;
}

#else

static int32_t make(pinfold_call *call, void *user, void **out_state)
{
    static int32_t factor;
    const void *argument;
    size_t len;

    (void)user;
    CHECK_OK(pinfold_call_argument(call, &argument, &len));
    if (len != sizeof factor)
        return 1;
    memcpy(&factor, argument, len);
    factor *= 2;
    *out_state = &factor;
    return 0;
}

static int32_t factor(pinfold_call *call, void *user)
{
    void *state, *output;

    (void)user;
    CHECK_OK(pinfold_call_worker_state(call, &state));
    CHECK_OK(pinfold_call_output(call, sizeof(int32_t), &output));
    memcpy(output, state, sizeof(int32_t));
    return 0;
}

PINFOLD_PLUGIN
{
    pinfold_status status = pinfold_state_register("factor", make, NULL, NULL);

    return status != PINFOLD_STATUS_OK ? status : pinfold_function_register("factor", factor, NULL);
}

#endif
