/* life PLUGIN OTHER: what a plugin's functions do for a host that has none, and what deaths leave of it. */
#include "../c/check.h"

#include <unistd.h>

static pinfold_status ask(pinfold_task *task, int32_t *answer)
{
    pinfold_handle *handle;

    CHECK_OK(pinfold_task_submit(task, NULL, 0, &handle));
    return pinfold_handle_join(handle, answer, answer == NULL ? 0 : 2 * sizeof *answer, NULL);
}

int main(int argc, char **argv)
{
    pinfold_config config = PINFOLD_CONFIG_INIT;
    pinfold_runtime *runtime;
    pinfold_task *where, *die, *end_parent, *none = NULL;
    int32_t first[2], next[2];
    pinfold_status status;
    char names[64];
    size_t len;

    CHECK(argc == 3);

    config.worker_program = "/nowhere/pinfold-worker";
    CHECK_STATUS(pinfold_runtime_new(&config, &runtime), PINFOLD_STATUS_INVALID_ARGUMENT);
    config.plugin = argv[1];
    CHECK_STATUS(pinfold_runtime_new(&config, &runtime), PINFOLD_STATUS_START_FAILED);
    CHECK_SAID("/nowhere/pinfold-worker");
    config.worker_program = NULL;
    config.workers = 2;
    CHECK_OK(pinfold_runtime_new(&config, &runtime));

    /* The names are those of the plugin; this program has none. */
    CHECK_STATUS(pinfold_task_new(runtime, "nothing", NULL, &none), PINFOLD_STATUS_UNKNOWN_FUNCTION);
    CHECK_SAID("there are: die, end_parent, where");
    CHECK(none == NULL);
    CHECK_STATUS(pinfold_runtime_functions(runtime, NULL, 0, &len), PINFOLD_STATUS_BUFFER_TOO_SMALL);
    CHECK(len == strlen("die\nend_parent\nwhere\n"));
    CHECK_STATUS(pinfold_runtime_functions(runtime, names, len, &len), PINFOLD_STATUS_BUFFER_TOO_SMALL);
    CHECK_STATUS(pinfold_runtime_functions(runtime, NULL, 9, &len), PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_OK(pinfold_runtime_functions(runtime, names, len + 1, NULL));
    CHECK(strcmp(names, "die\nend_parent\nwhere\n") == 0);

    CHECK_OK(pinfold_task_new(runtime, "where", NULL, &where));
    CHECK_OK(pinfold_task_new(runtime, "die", NULL, &die));
    CHECK_OK(pinfold_task_new(runtime, "end_parent", NULL, &end_parent));

    /* The entry was called once, in another process. */
    CHECK_OK(ask(where, first));
    CHECK(first[0] == 1 && first[1] != getpid());

    /* A worker in the place of one that has died is forked from the same. */
    CHECK_STATUS(ask(die, NULL), PINFOLD_STATUS_WORKER_DIED);
    CHECK_OK(ask(where, next));
    CHECK(next[0] == 1 && next[1] == first[1]);

    /* A process in the place of that one loads the plugin again. */
    CHECK_STATUS(ask(end_parent, NULL), PINFOLD_STATUS_WORKER_DIED);
    do
        status = ask(where, next);
    while (status == PINFOLD_STATUS_WORKER_DIED);
    CHECK_STATUS(status, PINFOLD_STATUS_OK);
    CHECK(next[0] == 1 && next[1] != first[1]);

    /* But not another plugin that has taken its file's place. */
    CHECK(rename(argv[2], argv[1]) == 0);
    CHECK_STATUS(ask(end_parent, NULL), PINFOLD_STATUS_WORKER_DIED);
    do
        status = ask(where, next);
    while (status == PINFOLD_STATUS_WORKER_DIED);
    CHECK_STATUS(status, PINFOLD_STATUS_NO_WORKERS);
    CHECK_SAID("was changed");

    pinfold_task_free(where);
    pinfold_task_free(die);
    pinfold_task_free(end_parent);
    CHECK_OK(pinfold_runtime_free(runtime));
    return 0;
}
