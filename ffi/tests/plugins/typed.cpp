// A plugin in C++, and with -DHOST the host that uses it: both know the functions by the same types.
#include <pinfold.hpp>

#include <iostream>

namespace {
const pinfold::function<double, pinfold::span<const double>> sum("sum");
} // namespace

#ifndef HOST
PINFOLD_PLUGIN
{
    return pinfold::registers([] {
        pinfold::define(sum.name().c_str(), [](pinfold::span<const double> numbers) {
            double total = 0;
            for (const double number : numbers)
                total += number;
            return total;
        });
#ifdef TWICE
        pinfold::define(sum.name().c_str(), [] { return 0.0; });
#endif
    });
}
#else
int main(int, char **argv)
try {
    pinfold_config config = PINFOLD_CONFIG_INIT;
    config.workers = 1;
    config.plugin = argv[1];
    const pinfold::runtime runtime(config);
    std::cout << runtime.task(sum).submit(std::vector<double>{1.5, 2.5}).join() << '\n';
    return 0;
} catch (const pinfold::error &failed) {
    std::cout << failed.status() << ' ' << failed.what() << '\n';
    return 1;
}
#endif
