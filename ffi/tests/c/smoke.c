/* What needs no runtime: versions, statuses, the machine's CPUs. */
#include "check.h"

int main(void)
{
    size_t cpus = 0;

    /* A program compiled with one header may meet another library at run time. */
    CHECK(pinfold_abi_version() == PINFOLD_ABI_VERSION);
    CHECK(pinfold_version() != NULL && strchr(pinfold_version(), '.') != NULL);

    CHECK_OK(pinfold_allowed_cpus(&cpus));
    CHECK(cpus >= 1);

    CHECK_STATUS(pinfold_allowed_cpus(NULL), PINFOLD_STATUS_NULL_ARGUMENT);
    CHECK_SAID("out_count");
    CHECK(strstr(pinfold_status_message(PINFOLD_STATUS_NULL_ARGUMENT), "null") != NULL);
    CHECK(strcmp(pinfold_status_message(12345), "unknown status code") == 0);
    return 0;
}
