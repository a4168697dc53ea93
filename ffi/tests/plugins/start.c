/* start PLUGIN: starts a runtime with it; prints the status, and the last message. */
#include "../c/check.h"

int main(int argc, char **argv)
{
    pinfold_config config = PINFOLD_CONFIG_INIT;
    pinfold_runtime *runtime = NULL;
    pinfold_status status;

    CHECK(argc == 2);
    config.plugin = argv[1];
    config.workers = 1;
    status = pinfold_runtime_new(&config, &runtime);
    printf("%d %s\n", (int)status, status == PINFOLD_STATUS_OK ? "" : pinfold_last_message());
    pinfold_runtime_free(runtime);
    return 0;
}
