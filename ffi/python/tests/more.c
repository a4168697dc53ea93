/* A plugin for the tests: what the example has no need of. */
#include <pinfold.h>

#include <string.h>
#include <unistd.h>

/* Runs until it is killed. */
static int32_t forever(pinfold_call *call, void *user)
{
    (void)call;
    (void)user;
    for (;;)
        pause();
    return 0;
}

/* What comes in is what goes out. */
static int32_t back(pinfold_call *call, void *user)
{
    const void *data;
    void *output;
    size_t len;

    (void)user;
    if (pinfold_call_argument(call, &data, &len) != PINFOLD_STATUS_OK
        || pinfold_call_output(call, len, &output) != PINFOLD_STATUS_OK)
        return 1;
    memcpy(output, data, len);
    return 0;
}

/* All inputs, one after the other. */
static int32_t together(pinfold_call *call, void *user)
{
    const void *input;
    char *output;
    size_t count, len, total = 0, i;

    (void)user;
    if (pinfold_call_input_count(call, &count) != PINFOLD_STATUS_OK)
        return 1;
    for (i = 0; i < count; i++) {
        if (pinfold_call_input(call, i, &input, &len) != PINFOLD_STATUS_OK)
            return 1;
        total += len;
    }
    if (pinfold_call_output(call, total, (void **)&output) != PINFOLD_STATUS_OK)
        return 2;
    for (i = 0; i < count; i++) {
        if (pinfold_call_input(call, i, &input, &len) != PINFOLD_STATUS_OK)
            return 1;
        memcpy(output, input, len);
        output += len;
    }
    return 0;
}

/* Sends back what it receives, with its buffers, until nobody sends any more: to the sender that is in the message, or
 * to its own. */
static int32_t serve(pinfold_call *call, void *user)
{
    pinfold_submit_settings with = PINFOLD_SUBMIT_SETTINGS_INIT;
    pinfold_receiver *requests;
    pinfold_sender *own = NULL, *reply;
    pinfold_message *message;
    pinfold_buffer *buffer;
    const void *data;
    size_t len, count;

    (void)user;
    if (pinfold_call_receiver(call, 0, &requests) != PINFOLD_STATUS_OK)
        return 1;
    pinfold_call_sender(call, 0, &own);
    while (pinfold_receiver_recv(requests, PINFOLD_FOREVER, &message) == PINFOLD_STATUS_OK) {
        if (pinfold_message_data(message, &data, &len) != PINFOLD_STATUS_OK
            || pinfold_message_buffer_count(message, &count) != PINFOLD_STATUS_OK)
            return 2;
        buffer = NULL;
        if (count > 0 && pinfold_message_buffer(message, 0, &buffer) != PINFOLD_STATUS_OK)
            return 3;
        with.buffers = &buffer;
        with.buffer_count = count > 0;
        reply = NULL;
        pinfold_message_sender(message, 0, &reply);
        if (pinfold_sender_send(reply ? reply : own, data, len, &with, PINFOLD_FOREVER) != PINFOLD_STATUS_OK)
            return 4;
        pinfold_buffer_free(buffer);
        pinfold_sender_free(reply);
        pinfold_message_free(message);
    }
    pinfold_receiver_free(requests);
    pinfold_sender_free(own);
    return 0;
}

/* What is done with objects, by the argument: "lock" adds 1 to the first byte of a mutex and counts, "die" dies with it,
 * "sum" adds up the bytes of a subscription, "member" adds 1 to the sum of a group, "wait" comes to a barrier. */
static int32_t objects(pinfold_call *call, void *user)
{
    const void *argument, *bytes;
    void *object, *second, *data;
    pinfold_message *message;
    size_t len;
    uint64_t sum = 0;
    int32_t half;

    (void)user;
    if (pinfold_call_argument(call, &argument, &len) != PINFOLD_STATUS_OK
        || pinfold_call_object(call, 0, &object) != PINFOLD_STATUS_OK)
        return 1;
    if (memcmp(argument, "lock", 4) == 0 || memcmp(argument, "die", 3) == 0) {
        if (pinfold_mutex_lock(object, PINFOLD_FOREVER, &data, &len, &half) != PINFOLD_STATUS_OK)
            return 2;
        ++*(unsigned char *)data;
        if (*(const char *)argument == 'd')
            _exit(1);
        if (pinfold_mutex_unlock(object) != PINFOLD_STATUS_OK || pinfold_mutex_free(object) != PINFOLD_STATUS_OK)
            return 3;
        if (pinfold_call_object(call, 1, &second) != PINFOLD_STATUS_OK
            || pinfold_countdown_count(second, &half) != PINFOLD_STATUS_OK)
            return 4;
        pinfold_countdown_free(second);
        return 0;
    }
    if (memcmp(argument, "sum", 3) == 0) {
        while (pinfold_subscriber_recv(object, PINFOLD_FOREVER, &message, NULL) == PINFOLD_STATUS_OK) {
            if (pinfold_message_data(message, &bytes, &len) == PINFOLD_STATUS_OK && len == 1)
                sum += *(const unsigned char *)bytes;
            pinfold_message_free(message);
        }
        pinfold_subscriber_free(object);
    } else if (memcmp(argument, "member", 6) == 0) {
        sum = 1;
        if (pinfold_member_all_reduce(object, &sum, 1, PINFOLD_NUMBER_U64, PINFOLD_OPERATION_SUM, PINFOLD_FOREVER, NULL)
                != PINFOLD_STATUS_OK
            || pinfold_member_broadcast(object, 0, NULL, 0, NULL, PINFOLD_FOREVER, &message, NULL) != PINFOLD_STATUS_OK)
            return 5;
        pinfold_message_free(message);
        pinfold_member_free(object);
    } else {
        if (pinfold_barrier_wait(object, PINFOLD_FOREVER, NULL) != PINFOLD_STATUS_OK)
            return 6;
        pinfold_barrier_free(object);
    }
    if (pinfold_call_output(call, sizeof sum, &data) != PINFOLD_STATUS_OK)
        return 7;
    memcpy(data, &sum, sizeof sum);
    return 0;
}

PINFOLD_PLUGIN
{
    pinfold_status status = pinfold_function_register("forever", forever, NULL);

    if (status == PINFOLD_STATUS_OK)
        status = pinfold_function_register("back", back, NULL);
    if (status == PINFOLD_STATUS_OK)
        status = pinfold_function_register("together", together, NULL);
    if (status == PINFOLD_STATUS_OK)
        status = pinfold_function_register("serve", serve, NULL);
    if (status == PINFOLD_STATUS_OK)
        status = pinfold_function_register("objects", objects, NULL);
    return status;
}
