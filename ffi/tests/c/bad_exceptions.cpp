/* A C++ exception that leaves a task's function through the library: told, and the next task runs. */
#include "check.h"

#include <stdexcept>
#include <string>

static int32_t throws(pinfold_call *call, void *)
{
    const void *argument;
    size_t len;
    if (pinfold_call_argument(call, &argument, &len) != PINFOLD_STATUS_OK)
        return 1;
    if (len == 1)
        throw std::runtime_error("out of cheese");
    if (len == 2)
        throw 42;
    try {
        throw std::string("caught at home");
    } catch (const std::string &) {
        return 0;
    }
}

int main(int argc, char **argv)
{
    pinfold_config config = PINFOLD_CONFIG_INIT;
    pinfold_runtime *runtime;
    pinfold_task *task;

    CHECK_OK(pinfold_function_register("throws", throws, nullptr));
    CHECK_OK(pinfold_init(&argc, &argv));
    config.workers = 1;
    CHECK_OK(pinfold_runtime_new(&config, &runtime));
    CHECK_OK(pinfold_task_new(runtime, "throws", nullptr, &task));
    for (size_t len = 0; len < 3; len++) {
        pinfold_handle *handle;
        CHECK_OK(pinfold_task_submit(task, "abc", len, &handle));
        int32_t status = (int32_t)pinfold_handle_join(handle, nullptr, 0, nullptr);
        if (len == 0) {
            CHECK_OK(status);
        } else {
            fprintf(stderr, "%d: %s\n", (int)status, pinfold_last_message());
            CHECK(status == PINFOLD_STATUS_WORKER_DIED || status == PINFOLD_STATUS_TASK_PANICKED);
            CHECK_SAID("throws");
        }
        CHECK_OK(pinfold_task_submit(task, nullptr, 0, &handle));
        CHECK_OK(pinfold_handle_join(handle, nullptr, 0, nullptr));
    }
    CHECK_OK(pinfold_task_free(task));
    CHECK_OK(pinfold_runtime_free(runtime));
    return 0;
}
