/* Workers and their threads make state before their first task; tasks find it, and know where
 * they run. One that cannot be made is an error with its reason; in order it is taken back. */
#include "check.h"

#include <stdatomic.h>
#include <unistd.h>

struct model {
    int32_t factor;
    size_t worker;
    char path[4200];
};

static int user_of_state;

static int32_t make_model(pinfold_call *call, void *user, void **out_state)
{
    pinfold_task_info info = PINFOLD_TASK_INFO_INIT;
    struct model *model = malloc(sizeof *model);
    const void *argument;
    void *none;
    size_t len;

    CHECK(user == &user_of_state);
    CHECK_OK(pinfold_call_argument(call, &argument, &len));
    CHECK_OK(pinfold_call_info(call, &info));
    CHECK(info.worker < info.worker_count && info.worker_count == 2);
    CHECK(info.name == NULL && info.tag_count == 0 && info.function[0] == '\0');
    CHECK_STATUS(pinfold_call_worker_state(call, &none), PINFOLD_STATUS_INVALID_ARGUMENT);
    if (len == 0) {
        free(model);
        pinfold_call_explain(call, "no model here");
        return 3;
    }
    CHECK(len <= sizeof model->path);
    memcpy(model->path, argument, len);
    model->factor = 6;
    model->worker = info.worker;
    *out_state = model;
    return 0;
}

static void drop_model(void *state, void *user)
{
    struct model *model = state;
    FILE *file = fopen(model->path, "a");

    CHECK(user == &user_of_state && file != NULL);
    fputc('m', file);
    fclose(file);
    free(model);
}

/* Counts the tasks of its thread. */
static int32_t make_counter(pinfold_call *call, void *user, void **out_state)
{
    void *model;

    (void)user;
    CHECK_OK(pinfold_call_worker_state(call, &model));
    CHECK(((struct model *)model)->factor == 6);
    *out_state = calloc(1, sizeof(int32_t));
    return 0;
}

static int32_t multiply(pinfold_call *call, void *user)
{
    pinfold_task_info info = PINFOLD_TASK_INFO_INIT;
    const void *argument;
    void *state, *output;
    struct model *model;
    size_t len;

    (void)user;
    CHECK_OK(pinfold_call_info(call, &info));
    CHECK_OK(pinfold_call_argument(call, &argument, &len));
    CHECK_OK(pinfold_call_worker_state(call, &state));
    CHECK_STATUS(pinfold_call_worker_state(call, NULL), PINFOLD_STATUS_NULL_ARGUMENT);
    model = state;
    CHECK(info.worker == model->worker && info.worker_count == 2);
    CHECK(info.executor / 2 == info.worker);
    CHECK(strcmp(info.function, "multiply") == 0);
    CHECK(strcmp(info.name, "nightly") == 0 && info.traceparent == NULL);
    CHECK(info.tag_count == 2 && strcmp(info.tags[1].key, "shard") == 0 &&
          strcmp(info.tags[1].value, "a") == 0);
    CHECK_OK(pinfold_call_executor_state(call, &state));
    ++*(int32_t *)state;
    CHECK_OK(pinfold_call_output(call, 2 * sizeof(int32_t), &output));
    ((int32_t *)output)[0] = *(const int32_t *)argument * model->factor;
    ((int32_t *)output)[1] = *(int32_t *)state;
    return 0;
}

/* In a runtime whose workers make no state. */
static int32_t finds_none(pinfold_call *call, void *user)
{
    pinfold_task_info info = PINFOLD_TASK_INFO_INIT;
    void *state = &info;

    (void)user;
    CHECK_STATUS(pinfold_call_worker_state(call, &state), PINFOLD_STATUS_INVALID_ARGUMENT);
    CHECK_SAID("pinfold_config.worker_state");
    CHECK_STATUS(pinfold_call_executor_state(call, &state), PINFOLD_STATUS_INVALID_ARGUMENT);
    CHECK(state == &info);
    CHECK_STATUS(pinfold_call_info(call, NULL), PINFOLD_STATUS_NULL_ARGUMENT);
    info.size = 3;
    CHECK_STATUS(pinfold_call_info(call, &info), PINFOLD_STATUS_INVALID_ARGUMENT);
    info.size = offsetof(pinfold_task_info, worker_count);
    info.worker_count = 77;
    CHECK_OK(pinfold_call_info(call, &info));
    CHECK(info.worker == 0 && info.worker_count == 77);
    CHECK(info.size == offsetof(pinfold_task_info, worker_count));
    return 0;
}

static void used(const char *path)
{
    static const pinfold_tag tags[] = {{"user", "7"}, {"shard", "a"}};
    pinfold_config config = PINFOLD_CONFIG_INIT;
    pinfold_task_settings settings = PINFOLD_TASK_SETTINGS_INIT;
    pinfold_runtime *runtime;
    pinfold_task *task;
    pinfold_handle *handles[20];
    int32_t n, result[2], most = 0;
    FILE *file;

    config.workers = 2;
    config.threads_per_worker = 2;
    config.worker_state = "model";
    config.executor_state = "counter";
    config.state_argument = path;
    config.state_argument_len = strlen(path) + 1;
    config.start_checked = PINFOLD_CHOICE_YES;
    CHECK_OK(pinfold_runtime_new(&config, &runtime));
    settings.name = "nightly";
    settings.tags = tags;
    settings.tag_count = 2;
    CHECK_OK(pinfold_task_new(runtime, "multiply", &settings, &task));
    for (n = 0; n < 20; n++)
        CHECK_OK(pinfold_task_submit(task, &n, sizeof n, &handles[n]));
    for (n = 0; n < 20; n++) {
        CHECK_OK(pinfold_handle_join(handles[n], result, sizeof result, NULL));
        CHECK(result[0] == 6 * n);
        most = result[1] > most ? result[1] : most;
    }
    CHECK(most >= 5); /* of four threads one has run so many at least */
    CHECK_OK(pinfold_task_free(task));
    CHECK_OK(pinfold_runtime_free(runtime));
    file = fopen(path, "r");
    CHECK(file != NULL && fgetc(file) == 'm' && fgetc(file) == 'm' && fgetc(file) == EOF);
    fclose(file);
    unlink(path);
}

static void not_made(void)
{
    pinfold_config config = PINFOLD_CONFIG_INIT;
    pinfold_runtime *runtime;
    pinfold_task *task;
    pinfold_handle *handle;

    config.workers = 2;
    config.worker_state = "model"; /* which needs an argument */
    config.start_checked = PINFOLD_CHOICE_YES;
    CHECK_STATUS(pinfold_runtime_new(&config, &runtime), PINFOLD_STATUS_START_FAILED);
    CHECK_SAID("no model here");
    CHECK_SAID("state `model`");
    config.start_checked = PINFOLD_CHOICE_NO;
    config.start_attempts = 1;
    CHECK_OK(pinfold_runtime_new(&config, &runtime));
    CHECK_OK(pinfold_task_new(runtime, "multiply", NULL, &task));
    CHECK_OK(pinfold_task_submit(task, NULL, 0, &handle));
    CHECK_STATUS(pinfold_handle_join(handle, NULL, 0, NULL), PINFOLD_STATUS_NO_WORKERS);
    CHECK_SAID("no model here");
    CHECK_OK(pinfold_task_free(task));
    CHECK_OK(pinfold_runtime_free(runtime));

    config.executor_state = "another";
    CHECK_STATUS(pinfold_runtime_new(&config, &runtime), PINFOLD_STATUS_UNKNOWN_FUNCTION);
    CHECK_SAID("`another`");
    config.executor_state = NULL;
    config.state_argument_len = 1;
    CHECK_STATUS(pinfold_runtime_new(&config, &runtime), PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_SAID("`config->state_argument` is null");
}

static void none(void)
{
    pinfold_config config = PINFOLD_CONFIG_INIT;
    pinfold_runtime *runtime;
    pinfold_task *task;
    pinfold_handle *handle;

    config.workers = 1;
    CHECK_OK(pinfold_runtime_new(&config, &runtime));
    CHECK_OK(pinfold_task_new(runtime, "finds_none", NULL, &task));
    CHECK_OK(pinfold_task_submit(task, NULL, 0, &handle));
    CHECK_OK(pinfold_handle_join(handle, NULL, 0, NULL));
    CHECK_OK(pinfold_task_free(task));
    CHECK_OK(pinfold_runtime_free(runtime));
}

int main(int argc, char **argv)
{
    char path[4200];
    void *state;
    pinfold_task_info info = PINFOLD_TASK_INFO_INIT;

    CHECK_OK(pinfold_function_register("multiply", multiply, NULL));
    CHECK_OK(pinfold_function_register("finds_none", finds_none, NULL));
    CHECK_OK(pinfold_state_register("model", make_model, drop_model, &user_of_state));
    CHECK_OK(pinfold_state_register("model", make_model, drop_model, &user_of_state));
    CHECK_OK(pinfold_state_register("counter", make_counter, NULL, NULL));
    CHECK_STATUS(pinfold_state_register("counter", make_model, NULL, NULL),
                 PINFOLD_STATUS_INVALID_ARGUMENT);
    CHECK_STATUS(pinfold_state_register(NULL, make_model, NULL, NULL),
                 PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_STATUS(pinfold_state_register("x", NULL, NULL, NULL), PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_STATUS(pinfold_state_register("", make_model, NULL, NULL),
                 PINFOLD_STATUS_INVALID_ARGUMENT);
    CHECK_OK(pinfold_init(&argc, &argv));
    CHECK_STATUS(pinfold_state_register("late", make_model, NULL, NULL), PINFOLD_STATUS_TOO_LATE);

    CHECK_STATUS(pinfold_call_worker_state((pinfold_call *)8, &state), PINFOLD_STATUS_NOT_IN_TASK);
    CHECK_STATUS(pinfold_call_info((pinfold_call *)8, &info), PINFOLD_STATUS_NOT_IN_TASK);
    CHECK_STATUS(pinfold_call_executor_state(NULL, &state), PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK(getcwd(path, 4096) != NULL);
    strcat(path, "/dropped");
    unlink(path);
    used(path);
    not_made();
    none();
    return 0;
}
