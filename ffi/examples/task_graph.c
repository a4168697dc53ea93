/* A graph of tasks: eight make a piece each, then pairs are joined, until one has it all. What a
 * task reads of those before it lies where they wrote it, in shared memory: nothing is copied. */
#include <pinfold.h>

#include <stdio.h>
#include <string.h>

enum { PIECES = 8, NUMBERS = 100000 };

/* Its argument says which piece it makes. */
static int32_t make(pinfold_call *call, void *user)
{
    const void *argument;
    void *output;
    size_t len;
    int32_t piece;
    double *numbers;

    (void)user;
    if (pinfold_call_argument(call, &argument, &len) != PINFOLD_STATUS_OK || len != sizeof piece)
        return 1;
    memcpy(&piece, argument, sizeof piece);
    if (pinfold_call_output(call, NUMBERS * sizeof *numbers, &output) != PINFOLD_STATUS_OK)
        return 2;
    numbers = output;
    for (int i = 0; i < NUMBERS; i++)
        numbers[i] = piece * 1000.0 + i;
    return 0;
}

/* Adds its inputs up, number by number. */
static int32_t join(pinfold_call *call, void *user)
{
    const size_t size = NUMBERS * sizeof(double);
    void *output;
    size_t count;
    double *sums;

    (void)user;
    if (pinfold_call_input_count(call, &count) != PINFOLD_STATUS_OK
        || pinfold_call_output(call, size, &output) != PINFOLD_STATUS_OK)
        return 1;
    sums = memset(output, 0, size);
    for (size_t i = 0; i < count; i++) {
        const void *input;
        size_t len;
        if (pinfold_call_input(call, i, &input, &len) != PINFOLD_STATUS_OK || len != size)
            return pinfold_call_explain(call, "an input is no piece"), 2;
        for (int k = 0; k < NUMBERS; k++)
            sums[k] += ((const double *)input)[k];
    }
    return 0;
}

#define TRY(call)                                                   \
    do {                                                            \
        if ((call) != PINFOLD_STATUS_OK) {                          \
            fprintf(stderr, "%s: %s\n", #call, pinfold_last_message()); \
            return 1;                                               \
        }                                                           \
    } while (0)

int main(int argc, char **argv)
{
    pinfold_runtime *runtime;
    pinfold_task *making, *joining;
    pinfold_handle *level[PIECES];
    const void *result;
    size_t len;
    double last;

    TRY(pinfold_function_register("make", make, NULL));
    TRY(pinfold_function_register("join", join, NULL));
    TRY(pinfold_init(&argc, &argv));
    TRY(pinfold_runtime_new(NULL, &runtime));
    TRY(pinfold_task_new(runtime, "make", NULL, &making));
    TRY(pinfold_task_new(runtime, "join", NULL, &joining));

    for (int32_t piece = 0; piece < PIECES; piece++)
        TRY(pinfold_task_submit(making, &piece, sizeof piece, &level[piece]));
    for (size_t width = PIECES / 2; width > 0; width /= 2)
        for (size_t i = 0; i < width; i++) {
            pinfold_handle *pair[2] = {level[2 * i], level[2 * i + 1]};
            TRY(pinfold_task_submit_after(joining, NULL, 0, pair, 2, &level[i]));
            /* They have been submitted after: nobody needs to hear of the two any more. */
            TRY(pinfold_handle_free(pair[0]));
            TRY(pinfold_handle_free(pair[1]));
        }

    TRY(pinfold_handle_result(level[0], &result, &len));
    last = ((const double *)result)[NUMBERS - 1];
    printf("%zu bytes; the last number is %.0f\n", len, last);
    TRY(pinfold_handle_free(level[0]));
    TRY(pinfold_task_free(making));
    TRY(pinfold_task_free(joining));
    TRY(pinfold_runtime_free(runtime));
    return last == 28000.0 + 8.0 * (NUMBERS - 1) ? 0 : 1;
}
