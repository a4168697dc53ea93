/* Submitting what may be refused: the call does not wait, or only so long. */
#include "check.h"

#include <unistd.h>

static int32_t waits(pinfold_call *call, void *user)
{
    const void *path;
    size_t len;

    (void)user;
    if (pinfold_call_argument(call, &path, &len) != PINFOLD_STATUS_OK)
        return 1;
    while (access(path, F_OK) != 0)
        usleep(1000);
    return 0;
}

int main(int argc, char **argv)
{
    pinfold_config config = PINFOLD_CONFIG_INIT;
    pinfold_runtime *runtime;
    pinfold_task *task;
    pinfold_handle *first, *second, *other = (pinfold_handle *)1;
    pinfold_submit_settings settings = PINFOLD_SUBMIT_SETTINGS_INIT;
    pinfold_handle *after;
    pinfold_group *group;
    pinfold_buffer *buffer;
    void *memory;
    char path[4200];
    FILE *file;
    static char large[1 << 20];

    CHECK_OK(pinfold_function_register("waits", waits, NULL));
    CHECK_OK(pinfold_init(&argc, &argv));
    CHECK(getcwd(path, 4096) != NULL);
    strcat(path, "/gate");
    unlink(path);
    config.workers = 1;
    config.queue_capacity = 2;
    config.memory_cap = 1 << 20;
    CHECK_OK(pinfold_runtime_new(&config, &runtime));
    CHECK_OK(pinfold_task_new(runtime, "waits", NULL, &task));

    CHECK_OK(pinfold_task_try_submit(task, path, sizeof path, &first));
    memcpy(large, path, sizeof path);
    CHECK_STATUS(pinfold_task_try_submit(task, large, sizeof large - 4096, &other),
                 PINFOLD_STATUS_NO_MEMORY);
    CHECK_OK(pinfold_task_submit_timeout(task, path, sizeof path, 0, &second));
    CHECK_STATUS(pinfold_task_try_submit(task, path, sizeof path, &other), PINFOLD_STATUS_FULL);
    CHECK_SAID("queue_capacity");
    CHECK_STATUS(pinfold_task_submit_timeout(task, path, sizeof path, 1000000, &other),
                 PINFOLD_STATUS_TIMED_OUT);
    CHECK_STATUS(pinfold_task_try_submit(task, path, sizeof path, NULL),
                 PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_STATUS(pinfold_task_try_submit(task, NULL, 1, &other), PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_STATUS(pinfold_task_submit_timeout(task, path, SIZE_MAX, 0, &other),
                 PINFOLD_STATUS_INVALID_ARGUMENT);
    CHECK_STATUS(pinfold_task_submit_timeout((pinfold_task *)first, path, 1, 0, &other),
                 PINFOLD_STATUS_BAD_HANDLE);
    CHECK(other == (pinfold_handle *)1);

    /* The same with buffers: one that was to be moved is there again. */
    CHECK_OK(pinfold_buffer_new(runtime, 100, &buffer));
    settings.buffers = &buffer;
    settings.buffer_count = 1;
    settings.move_buffers = 1;
    CHECK_STATUS(pinfold_task_submit_with_timeout(task, path, sizeof path, &settings, 0, &other),
                 PINFOLD_STATUS_FULL);
    CHECK_STATUS(pinfold_task_submit_with_timeout(task, path, sizeof path, &settings, 1000000, &other),
                 PINFOLD_STATUS_TIMED_OUT);
    CHECK_STATUS(pinfold_task_submit_with_timeout(task, path, sizeof path, NULL, 0, &other),
                 PINFOLD_STATUS_FULL);
    CHECK_STATUS(pinfold_task_submit_with_timeout(task, path, sizeof path, NULL, 0, NULL),
                 PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK(other == (pinfold_handle *)1);
    CHECK_OK(pinfold_buffer_data(buffer, &memory));
    /* One that is after others needs no room yet. */
    settings.after = &first;
    settings.after_count = 1;
    CHECK_OK(pinfold_task_submit_with_timeout(task, path, sizeof path, &settings, 0, &after));
    CHECK_STATUS(pinfold_buffer_data(buffer, &memory), PINFOLD_STATUS_MOVED);
    CHECK_OK(pinfold_buffer_free(buffer));
    CHECK_OK(pinfold_group_new(&group));
    CHECK_STATUS(pinfold_group_submit_timeout(group, task, path, sizeof path, NULL, 0), PINFOLD_STATUS_FULL);
    CHECK_STATUS(pinfold_group_submit_timeout(group, task, path, sizeof path, NULL, 1000000),
                 PINFOLD_STATUS_TIMED_OUT);
    CHECK_OK(pinfold_group_wait(group, 0));

    file = fopen(path, "w");
    CHECK(file != NULL);
    fclose(file);
    CHECK_OK(pinfold_handle_join(first, NULL, 0, NULL));
    CHECK_OK(pinfold_handle_join(second, NULL, 0, NULL));
    CHECK_OK(pinfold_handle_join(after, NULL, 0, NULL));
    CHECK_OK(pinfold_group_submit_timeout(group, task, path, sizeof path, NULL, PINFOLD_FOREVER));
    CHECK_OK(pinfold_group_wait(group, PINFOLD_FOREVER));
    CHECK_OK(pinfold_group_free(group));
    unlink(path);
    CHECK_OK(pinfold_runtime_free(runtime));
    CHECK_STATUS(pinfold_task_try_submit(task, path, sizeof path, &other),
                 PINFOLD_STATUS_SHUTDOWN);
    CHECK_STATUS(pinfold_task_submit_timeout(task, path, sizeof path, 0, &other),
                 PINFOLD_STATUS_SHUTDOWN);
    CHECK_OK(pinfold_task_free(task));
    return 0;
}
