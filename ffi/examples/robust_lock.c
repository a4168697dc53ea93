/* A lock whose holder is killed: the next one gets it, is told, and mends what was half done.
 *
 *     cc robust_lock.c $(pkg-config --cflags --libs pinfold) -o robust_lock && ./robust_lock
 *
 * Two accounts lie in a mutex, and tasks move money from one to the other. One of them is killed between the two
 * steps. No money is lost by that, and nobody waits for the dead.
 */
#include <pinfold.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum { TOTAL = 1000 };
struct accounts { int64_t ours, theirs; };

static void check(pinfold_status status)
{
    if (status == PINFOLD_STATUS_OK)
        return;
    fprintf(stderr, "robust_lock: %s: %s\n", pinfold_status_message(status), pinfold_last_message());
    exit(1);
}

/* Takes the lock; if whoever had it has died, makes the sum right again: what was taken has arrived. */
static struct accounts *lock(pinfold_mutex *mutex)
{
    void *data;
    size_t len;
    int32_t is_half;

    check(pinfold_mutex_lock(mutex, PINFOLD_FOREVER, &data, &len, &is_half));
    struct accounts *accounts = data;
    if (is_half) {
        printf("whoever had the lock has died: %d are missing\n",
               (int)(TOTAL - accounts->ours - accounts->theirs));
        accounts->theirs = TOTAL - accounts->ours;
        check(pinfold_mutex_mend(mutex));
    }
    return accounts;
}

/* Moves 10; the task whose argument is 1 dies in the middle. */
static int32_t transfer(pinfold_call *call, void *user)
{
    const void *argument;
    void *object;
    size_t len;

    (void)user;
    if (pinfold_call_argument(call, &argument, &len) != PINFOLD_STATUS_OK
        || pinfold_call_object(call, 0, &object) != PINFOLD_STATUS_OK)
        return 1;
    pinfold_mutex *mutex = object;
    struct accounts *accounts = lock(mutex);
    accounts->ours -= 10;
    if (*(const char *)argument == 1)
        raise(SIGKILL);
    accounts->theirs += 10;
    pinfold_mutex_unlock(mutex);
    pinfold_mutex_free(mutex);
    return 0;
}

int main(int argc, char **argv)
{
    struct accounts begin = {TOTAL, 0};
    pinfold_submit_settings settings = PINFOLD_SUBMIT_SETTINGS_INIT;
    pinfold_runtime *runtime;
    pinfold_task *task;
    pinfold_mutex *mutex;
    pinfold_handle *handles[5];

    check(pinfold_function_register("transfer", transfer, NULL));
    check(pinfold_init(&argc, &argv));
    check(pinfold_runtime_new(NULL, &runtime));
    check(pinfold_task_new(runtime, "transfer", NULL, &task));
    check(pinfold_mutex_new(runtime, &begin, sizeof begin, &mutex));
    const void *objects[] = {mutex};
    settings.objects = objects;
    settings.object_count = 1;
    for (char at = 0; at < 5; at++)
        check(pinfold_task_submit_with(task, &at, 1, &settings, &handles[(int)at]));
    for (int at = 0; at < 5; at++)
        if (pinfold_handle_join(handles[at], NULL, 0, NULL) != PINFOLD_STATUS_OK)
            printf("task %d: %s\n", at, pinfold_last_message());
    struct accounts end = *lock(mutex);
    check(pinfold_mutex_unlock(mutex));
    printf("%d and %d\n", (int)end.ours, (int)end.theirs);
    pinfold_mutex_free(mutex);
    pinfold_task_free(task);
    pinfold_runtime_free(runtime);
    return end.ours == TOTAL - 50 && end.theirs == 50 ? 0 : 1;
}
