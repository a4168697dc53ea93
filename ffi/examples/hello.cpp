// C++: lambdas as tasks, typed; one after two others; an exception that arrives with the handle.
#include <pinfold.hpp>

#include <cstdint>
#include <iostream>

struct Range {
    std::int64_t from, to;
};

int main(int argc, char **argv)
try {
    // First of all: the worker processes come by here too, and go no further than `init`.
    const auto sum_of = pinfold::define("sum_of", [](const Range &range) {
        if (range.from > range.to)
            throw std::invalid_argument("the range ends before it begins");
        std::int64_t sum = 0;
        for (std::int64_t n = range.from; n < range.to; n++)
            sum += n;
        return sum;
    });
    const auto add = pinfold::define("add", [](pinfold::call &call) {
        std::int64_t sum = 0;
        for (std::size_t i = 0; i < call.input_count(); i++)
            sum += call.input<std::int64_t>(i);
        return sum;
    });
    pinfold::init(argc, argv);

    pinfold_config config = PINFOLD_CONFIG_INIT;
    config.workers = 2;
    const pinfold::runtime runtime(config);
    const auto summing = runtime.task(sum_of);
    const auto adding = runtime.task(add);

    auto low = summing.submit(Range{0, 1000});
    auto high = summing.submit(Range{1000, 2000});
    // It reads the results of both where they are.
    auto all = adding.submit_after({low, high});
    const std::int64_t total = all.join();
    std::cout << "0 + 1 + ... + 1999 = " << total << '\n';

    auto backwards = summing.submit(Range{5, 1});
    try {
        backwards.join();
        return 1;
    } catch (const pinfold::error &failed) {
        std::cout << "the task failed: " << failed.what() << '\n';
        return failed.status() == PINFOLD_STATUS_TASK_FAILED && total == 1999000 ? 0 : 1;
    }
} catch (const std::exception &failed) {
    std::cerr << failed.what() << '\n';
    return 1;
}
