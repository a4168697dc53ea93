/* A program of a user's, from when ffi/abi/pinfold-0.h was the header. It stays as it is: what it does must
 * go on to work with each later library of the same soname. */
#include <pinfold.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                            \
    do {                                                                            \
        if (!(condition)) {                                                         \
            fprintf(stderr, "%s:%d: not so: %s (%s)\n", __FILE__, __LINE__, #condition, \
                    pinfold_last_message());                                        \
            _Exit(1);                                                               \
        }                                                                           \
    } while (0)

/* Adds its argument and its inputs. */
static int32_t add(pinfold_call *call, void *user)
{
    const void *data;
    void *output;
    size_t len, count, i;
    int64_t sum, one;

    if (user != NULL || pinfold_call_argument(call, &data, &len) != PINFOLD_STATUS_OK || len != sizeof sum)
        return 1;
    memcpy(&sum, data, sizeof sum);
    if (sum < 0) {
        pinfold_call_explain(call, "a negative number");
        return 42;
    }
    if (pinfold_call_input_count(call, &count) != PINFOLD_STATUS_OK)
        return 2;
    for (i = 0; i < count; i++) {
        if (pinfold_call_input(call, i, &data, &len) != PINFOLD_STATUS_OK || len != sizeof one)
            return 3;
        memcpy(&one, data, sizeof one);
        sum += one;
    }
    if (pinfold_call_output(call, sizeof sum, &output) != PINFOLD_STATUS_OK)
        return 4;
    memcpy(output, &sum, sizeof sum);
    return 0;
}

static int32_t crash(pinfold_call *call, void *user)
{
    (void)call;
    (void)user;
    abort();
}

int main(int argc, char **argv)
{
    pinfold_config config = PINFOLD_CONFIG_INIT;
    pinfold_task_settings settings = PINFOLD_TASK_SETTINGS_INIT;
    pinfold_runtime *runtime;
    pinfold_task *adding, *crashing;
    pinfold_handle *two[2], *sum, *failed, *lost;
    const void *data;
    size_t len, cpus = 0;
    int64_t n, result = 0;
    int32_t code = 0;

    CHECK(pinfold_abi_version() == PINFOLD_ABI_VERSION);
    CHECK(pinfold_version() != NULL);
    CHECK(pinfold_allowed_cpus(&cpus) == PINFOLD_STATUS_OK && cpus > 0);
    CHECK(pinfold_allowed_cpus(NULL) == PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK(pinfold_function_register("add", add, NULL) == PINFOLD_STATUS_OK);
    CHECK(pinfold_function_register("crash", crash, NULL) == PINFOLD_STATUS_OK);
    CHECK(pinfold_init(&argc, &argv) == PINFOLD_STATUS_OK);

    config.workers = 2;
    config.queue_capacity = 128;
    settings.name = "then";
    CHECK(pinfold_runtime_new(&config, &runtime) == PINFOLD_STATUS_OK);
    CHECK(pinfold_task_new(runtime, "nothing", NULL, &adding) == PINFOLD_STATUS_UNKNOWN_FUNCTION);
    CHECK(pinfold_task_new(runtime, "add", &settings, &adding) == PINFOLD_STATUS_OK);
    CHECK(pinfold_task_new(runtime, "crash", NULL, &crashing) == PINFOLD_STATUS_OK);

    for (n = 0; n < 2; n++)
        CHECK(pinfold_task_submit(adding, &n, sizeof n, &two[n]) == PINFOLD_STATUS_OK);
    n = 10;
    CHECK(pinfold_task_submit_after(adding, &n, sizeof n, two, 2, &sum) == PINFOLD_STATUS_OK);
    CHECK(pinfold_handle_free(two[0]) == PINFOLD_STATUS_OK);
    CHECK(pinfold_handle_wait(two[1], PINFOLD_FOREVER) == PINFOLD_STATUS_OK);
    CHECK(pinfold_handle_free(two[1]) == PINFOLD_STATUS_OK);
    CHECK(pinfold_handle_join(sum, &result, sizeof result, &len) == PINFOLD_STATUS_OK);
    CHECK(result == 11 && len == sizeof result);
    CHECK(pinfold_handle_free(sum) == PINFOLD_STATUS_BAD_HANDLE);

    n = -1;
    CHECK(pinfold_task_submit(adding, &n, sizeof n, &failed) == PINFOLD_STATUS_OK);
    CHECK(pinfold_handle_result(failed, &data, &len) == PINFOLD_STATUS_TASK_FAILED);
    CHECK(strstr(pinfold_last_message(), "a negative number") != NULL);
    CHECK(pinfold_handle_code(failed, &code) == PINFOLD_STATUS_OK && code == 42);
    CHECK(pinfold_handle_free(failed) == PINFOLD_STATUS_OK);

    CHECK(pinfold_task_submit(crashing, NULL, 0, &lost) == PINFOLD_STATUS_OK);
    CHECK(pinfold_handle_join(lost, NULL, 0, NULL) == PINFOLD_STATUS_WORKER_DIED);

    CHECK(pinfold_task_free(adding) == PINFOLD_STATUS_OK);
    CHECK(pinfold_task_free(crashing) == PINFOLD_STATUS_OK);
    CHECK(pinfold_runtime_free(runtime) == PINFOLD_STATUS_OK);
    return 0;
}
