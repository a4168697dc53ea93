/* The header alone, twice, and all that is in it besides declarations. Read as C and as C++. */
#include <pinfold.h>
/* A second time it has nothing to say. */
#include <pinfold.h>

#if PINFOLD_ABI_VERSION < 1
#error "the number of the interface can be compared by the preprocessor"
#endif

int main(void)
{
    pinfold_config config = PINFOLD_CONFIG_INIT;
    pinfold_task_settings settings = PINFOLD_TASK_SETTINGS_INIT;
    uint64_t forever = PINFOLD_FOREVER;
    pinfold_status ok = PINFOLD_STATUS_OK;

    if (config.size != sizeof config || settings.size != sizeof settings)
        return 1;
    return ok != PINFOLD_STATUS_OK || forever != UINT64_MAX;
}
