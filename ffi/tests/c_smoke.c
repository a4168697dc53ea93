/* Every function of pinfold.h, called as a C program calls it. Doubles as the shortest example. */
#include <pinfold.h>

#include <stdio.h>
#include <string.h>

#define CHECK(condition)                                                        \
    do {                                                                        \
        if (!(condition)) {                                                     \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            return 1;                                                           \
        }                                                                       \
    } while (0)

int main(void)
{
    size_t cpus = 0;
    pinfold_status status;

    /* A program compiled with one header may meet another library at run time. */
    CHECK(pinfold_abi_version() == PINFOLD_ABI_VERSION);
    CHECK(pinfold_version() != NULL && strchr(pinfold_version(), '.') != NULL);

    status = pinfold_allowed_cpus(&cpus);
    if (status != PINFOLD_STATUS_OK) {
        fprintf(stderr, "pinfold: %s\n", pinfold_status_message(status));
        return 1;
    }
    CHECK(cpus >= 1);

    CHECK(pinfold_allowed_cpus(NULL) == PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK(strstr(pinfold_status_message(PINFOLD_STATUS_NULL_ARGUMENT), "null") != NULL);
    CHECK(strcmp(pinfold_status_message(12345), "unknown status code") == 0);

    printf("pinfold %s, %zu CPUs\n", pinfold_version(), cpus);
    return 0;
}
