// C++: many tasks at once, with settings; numbers that tasks read in place; a task that submits
// others; and progress, heard while the program goes on.
#include <pinfold.hpp>

#include <atomic>
#include <iostream>
#include <memory>
#include <numeric>

using namespace std::chrono_literals;

// Named here, for tasks that submit it, too.
const pinfold::function<double, pinfold::span<const double>> sum("sum");

// Has others add up the halves of what it was given: any worker may.
static double halves(pinfold::call &call, pinfold::span<const double> numbers)
{
    const std::size_t half = numbers.size() / 2;
    auto first = call.submit(sum, pinfold::span<const double>(numbers.data(), half));
    auto second = call.submit(sum, pinfold::span<const double>(numbers.data() + half, numbers.size() - half));
    return first.join() + second.join();
}

int main(int argc, char **argv)
try {
    const auto length = pinfold::define("length", [](const std::string &word) { return word.size(); });
    const auto by_halves = pinfold::define("by_halves", halves);
    const auto steps = pinfold::define("steps", [](pinfold::call &call, int count) {
        for (int step = 1; step <= count && !call.is_cancelled(); step++)
            call.report_progress(double(step) / count, "step " + std::to_string(step));
        return count;
    });
    pinfold::define(sum.name().c_str(), [](pinfold::span<const double> numbers) {
        return std::accumulate(numbers.begin(), numbers.end(), 0.0);
    });
    pinfold::init(argc, argv); // in a worker process it does not return

    pinfold_config config = PINFOLD_CONFIG_INIT;
    config.workers = 2;
    const pinfold::runtime runtime(config);

    // At most four at a time; each may run for a second, and is tried again if its worker dies.
    const pinfold::limit four(4);
    const auto counting = runtime.task(
        length, pinfold::settings().name("count").limited(four).run_limit(1s).safe_to_repeat(3));
    const std::vector<std::string> words = {"shared", "memory", "and", "processes"};
    for (const std::size_t count : counting.map(words))
        std::cout << count << ' ';
    std::cout << "letters\n";

    const std::vector<double> numbers(100000, 0.25);
    const double total = runtime.task(by_halves).submit(numbers).join();
    std::cout << "the sum is " << total << '\n';

    // Another thread calls it, perhaps once more when this function has ended: it owns what it uses.
    const auto far = std::make_shared<std::atomic<double>>(0.0);
    auto running = runtime.task(steps).submit(1000);
    running.on_progress([far](const pinfold::progress &now) { *far = now.fraction; });
    while (!running.wait_for(50ms))
        std::cout << "at " << 100 * *far << " %\n";
    std::cout << running.join() << " steps\n";
    return total == 25000 ? 0 : 1;
} catch (const std::exception &failed) {
    std::cerr << failed.what() << '\n';
    return 1;
}
