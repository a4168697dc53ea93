/* What goes wrong in a first program is told by the names that C has, with what to do. */
#include "check.h"

static int32_t work(pinfold_call *call, void *user)
{
    (void)call;
    (void)user;
    return 0;
}

int main(int argc, char **argv)
{
    pinfold_config config = PINFOLD_CONFIG_INIT;
    pinfold_runtime *runtime = NULL;
    pinfold_task *task = NULL;
    pinfold_handle *handle = NULL;
    const char *mistake = getenv("FIRST_STEPS_MISTAKE");

    /* In the program that is started once more, where the host had none of it yet. */
    if (mistake != NULL && strcmp(mistake, "ends") == 0)
        return argc == 1 ? 3 : 4;
    if (mistake != NULL && strcmp(mistake, "crashes") == 0)
        return *(volatile int *)NULL;
    CHECK_OK(pinfold_function_register("work", work, NULL));
    if (mistake == NULL) {
        CHECK_STATUS(pinfold_runtime_new(NULL, &runtime), PINFOLD_STATUS_NOT_INITIALIZED);
        CHECK_SAID("call `pinfold_init` first thing in `main`");
        CHECK(strstr(pinfold_last_message(), "::") == NULL);
    }
    CHECK_OK(pinfold_init(&argc, &argv));
    CHECK_STATUS(pinfold_function_register("late", work, NULL), PINFOLD_STATUS_TOO_LATE);
    CHECK_SAID("before `pinfold_init`");

    config.workers = 1;
    CHECK(setenv("FIRST_STEPS_MISTAKE", "ends", 1) == 0);
    CHECK_STATUS(pinfold_runtime_new(&config, &runtime), PINFOLD_STATUS_START_FAILED);
    CHECK_SAID("exited with status 3 without coming to `pinfold_init`");
    CHECK_SAID("is `pinfold_init` the first thing that `main` does? (It is started without arguments)");
    CHECK(setenv("FIRST_STEPS_MISTAKE", "crashes", 1) == 0);
    CHECK_STATUS(pinfold_runtime_new(&config, &runtime), PINFOLD_STATUS_START_FAILED);
    CHECK_SAID("signal 11 (SIGSEGV) before it came to `pinfold_init`: what `main` does before that is done there too");
    CHECK(setenv("FIRST_STEPS_MISTAKE", "none", 1) == 0);

    /* Nobody has looked at the status. */
    CHECK_STATUS(pinfold_task_new(runtime, "work", NULL, &task), PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_SAID("has the call that was to make it failed?");
    CHECK_OK(pinfold_runtime_new(&config, &runtime));
    CHECK_STATUS(pinfold_task_new(runtime, "wrok", NULL, &task), PINFOLD_STATUS_UNKNOWN_FUNCTION);
    CHECK_SAID("there are: work");
    CHECK_OK(pinfold_task_new(runtime, "work", NULL, &task));
    CHECK_OK(pinfold_task_submit(task, NULL, 0, &handle));
    CHECK_OK(pinfold_handle_join(handle, NULL, 0, NULL));
    CHECK_STATUS(pinfold_handle_free(handle), PINFOLD_STATUS_BAD_HANDLE);
    CHECK_SAID("perhaps by `pinfold_handle_join`");

    /* Whether a task has ended, or the call has done nothing. */
    CHECK(!pinfold_status_ends_task(PINFOLD_STATUS_OK));
    CHECK(!pinfold_status_ends_task(PINFOLD_STATUS_BAD_HANDLE));
    CHECK(!pinfold_status_ends_task(PINFOLD_STATUS_TIMED_OUT));
    CHECK(!pinfold_status_ends_task(PINFOLD_STATUS_BUFFER_TOO_SMALL));
    CHECK(!pinfold_status_ends_task(-1));
    CHECK(pinfold_status_ends_task(PINFOLD_STATUS_TASK_FAILED));
    CHECK(pinfold_status_ends_task(999));
    CHECK_OK(pinfold_runtime_shutdown(runtime, PINFOLD_SHUTDOWN_DRAIN, 0, 0));
    CHECK_OK(pinfold_task_submit(task, NULL, 0, &handle));
    CHECK_STATUS(pinfold_handle_status(handle), PINFOLD_STATUS_SHUTDOWN);
    CHECK(pinfold_status_ends_task(pinfold_handle_status(handle)));
    CHECK(pinfold_status_ends_task(pinfold_handle_join(handle, NULL, 0, NULL)));
    CHECK_OK(pinfold_task_free(task));
    CHECK_OK(pinfold_runtime_free(runtime));
    return 0;
}
