/* What a call has is its function's alone once that has asked for it: nobody waits for a copy of the call's. */
#include "check.h"

#define LONG (60ull * 1000000000u)

static pinfold_runtime *runtime;

/* Asks twice, frees both, and sees that nobody sends and nobody counts any more. */
static int32_t lets_go(pinfold_call *call, void *user)
{
    pinfold_sender *senders[2];
    pinfold_receiver *receiver;
    pinfold_latch *latch;
    pinfold_message *message;
    void *counts[2], *got;
    int at;

    (void)user;
    for (at = 0; at < 2; at++)
        if (pinfold_call_sender(call, 0, &senders[at]) != PINFOLD_STATUS_OK
            || pinfold_call_object(call, 1, &counts[at]) != PINFOLD_STATUS_OK)
            return 1;
    if (senders[0] == senders[1] || counts[0] == counts[1])
        return 2;
    if (pinfold_call_receiver(call, 0, &receiver) != PINFOLD_STATUS_OK
        || pinfold_call_object(call, 0, &got) != PINFOLD_STATUS_OK)
        return 3;
    latch = got;
    for (at = 0; at < 2; at++)
        if (pinfold_sender_send(senders[at], "", 0, NULL, LONG) != PINFOLD_STATUS_OK
            || pinfold_sender_free(senders[at]) != PINFOLD_STATUS_OK
            || pinfold_countdown_free(counts[at]) != PINFOLD_STATUS_OK)
            return 4;
    if (pinfold_latch_wait(latch, LONG) != PINFOLD_STATUS_MEMBER_GONE)
        return 5;
    for (at = 0; at < 2; at++)
        if (pinfold_receiver_recv(receiver, LONG, &message) != PINFOLD_STATUS_OK
            || pinfold_message_free(message) != PINFOLD_STATUS_OK)
            return 6;
    if (pinfold_receiver_recv(receiver, LONG, &message) != PINFOLD_STATUS_DISCONNECTED)
        return 7;
    if (pinfold_call_sender(call, 0, &senders[0]) != PINFOLD_STATUS_MOVED
        || pinfold_call_object(call, 1, &got) != PINFOLD_STATUS_MOVED
        || pinfold_call_sender(call, 1, &senders[0]) != PINFOLD_STATUS_INVALID_ARGUMENT)
        return 8;
    pinfold_receiver_free(receiver);
    pinfold_latch_free(latch);
    return 0;
}

static void once(uint32_t attempts)
{
    pinfold_task_settings of_task = PINFOLD_TASK_SETTINGS_INIT;
    pinfold_submit_settings settings = PINFOLD_SUBMIT_SETTINGS_INIT;
    pinfold_sender *sender;
    pinfold_receiver *receiver;
    pinfold_latch *latch;
    pinfold_countdown *countdown;
    pinfold_task *task;
    pinfold_handle *handle;
    const void *objects[2];

    CHECK_OK(pinfold_channel_new(runtime, 4, NULL, &sender, &receiver));
    CHECK_OK(pinfold_latch_new(runtime, 1, &latch, &countdown));
    objects[0] = latch;
    objects[1] = countdown;
    of_task.attempts = attempts;
    settings.objects = objects;
    settings.object_count = 2;
    settings.senders = &sender;
    settings.sender_count = 1;
    settings.receivers = &receiver;
    settings.receiver_count = 1;
    CHECK_OK(pinfold_task_new(runtime, "lets_go", &of_task, &task));
    CHECK_OK(pinfold_task_submit_with(task, NULL, 0, &settings, &handle));
    CHECK_OK(pinfold_sender_free(sender));
    CHECK_OK(pinfold_receiver_free(receiver));
    CHECK_OK(pinfold_latch_free(latch));
    CHECK_OK(pinfold_countdown_free(countdown));
    CHECK_OK(pinfold_handle_join(handle, NULL, 0, NULL));
    CHECK_OK(pinfold_task_free(task));
}

int main(int argc, char **argv)
{
    pinfold_config config = PINFOLD_CONFIG_INIT;
    pinfold_audit audit = PINFOLD_AUDIT_INIT;

    CHECK_OK(pinfold_function_register("lets_go", lets_go, NULL));
    CHECK_OK(pinfold_init(&argc, &argv));
    config.workers = 1;
    CHECK_OK(pinfold_runtime_new(&config, &runtime));
    once(1);
    /* One that may be run again waits for nothing that is kept for the next attempt. */
    once(3);
    CHECK_OK(pinfold_runtime_audit(runtime, &audit));
    CHECK(audit.orphans == 0);
    CHECK_OK(pinfold_runtime_free(runtime));
    return 0;
}
