// oneTBB: empty tasks, one at a time, in a task_group, nested; and one task's latency.
// build: g++ -O3 -std=c++17 -ltbb
// debian: g++ libtbb-dev
//
// Two threads run tasks, as two workers do for pinfold. Each line of the input is an
// order, each line of the output its numbers; meanwhile it sleeps.

#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/parallel_invoke.h>
#include <oneapi/tbb/task_arena.h>
#include <oneapi/tbb/task_group.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

using Clock = std::chrono::steady_clock;

static double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

struct Result {
    std::atomic<uint64_t> value{0};
};

static uint64_t inc(uint64_t n) { return n + 1; }

static void pause_once() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

static uint64_t wait_for(Result &result) {
    uint64_t value;
    for (unsigned spins = 0; (value = result.value.load(std::memory_order_acquire)) == 0; spins++) {
        // Where CPUs are few, a waiter that only spins holds up those it waits for.
        if (spins % 1000 == 999) std::this_thread::yield();
        pause_once();
    }
    return value;
}

// A submitter that runs no tasks, and a bounded number of results that are awaited.
static double one_at_a_time(oneapi::tbb::task_arena &workers, uint64_t tasks, size_t window) {
    auto results = std::make_unique<Result[]>(window);
    auto start = Clock::now();
    uint64_t sum = 0;
    for (uint64_t n = 0; n < tasks; n++) {
        Result *result = &results[n % window];
        if (n >= window) {
            sum += wait_for(*result);
            result->value.store(0, std::memory_order_relaxed);
        }
        workers.enqueue([n, result] { result->value.store(inc(n), std::memory_order_release); });
    }
    for (uint64_t n = tasks - std::min<uint64_t>(window, tasks); n < tasks; n++)
        sum += wait_for(results[n % window]);
    double rate = tasks / seconds_since(start) / 1e6;
    return sum == tasks * (tasks + 1) / 2 ? rate : -1;
}

static double in_a_group(oneapi::tbb::task_arena &two, uint64_t tasks) {
    std::vector<uint64_t> results(tasks);
    auto start = Clock::now();
    two.execute([&] {
        oneapi::tbb::task_group group;
        for (uint64_t n = 0; n < tasks; n++)
            group.run([n, &results] { results[n] = inc(n); });
        group.wait();
    });
    uint64_t sum = 0;
    for (uint64_t value : results) sum += value;
    double rate = tasks / seconds_since(start) / 1e6;
    return sum == tasks * (tasks + 1) / 2 ? rate : -1;
}

// The same, but each batch ends before the next one begins.
static double in_batches(oneapi::tbb::task_arena &two, uint64_t tasks, uint64_t batch) {
    std::vector<uint64_t> results(batch);
    uint64_t sum = 0;
    auto start = Clock::now();
    for (uint64_t first = 0; first < tasks; first += batch) {
        two.execute([&] {
            oneapi::tbb::task_group group;
            for (uint64_t n = 0; n < batch; n++)
                group.run([n, first, &results] { results[n] = inc(first + n); });
            group.wait();
        });
        for (uint64_t value : results) sum += value;
    }
    double rate = tasks / seconds_since(start) / 1e6;
    return sum == tasks * (tasks + 1) / 2 ? rate : -1;
}

static uint64_t fib_group(unsigned n) {
    if (n < 2) return n;
    uint64_t a, b;
    oneapi::tbb::task_group group;
    group.run([&a, n] { a = fib_group(n - 1); });
    b = fib_group(n - 2);
    group.wait();
    return a + b;
}

static uint64_t fib_invoke(unsigned n) {
    if (n < 2) return n;
    uint64_t a, b;
    oneapi::tbb::parallel_invoke([&a, n] { a = fib_invoke(n - 1); },
                                 [&b, n] { b = fib_invoke(n - 2); });
    return a + b;
}

static double seconds_of_fib(oneapi::tbb::task_arena &two, uint64_t (*fib)(unsigned), unsigned n,
                             uint64_t expected) {
    auto start = Clock::now();
    uint64_t value = 0;
    two.execute([&] { value = fib(n); });
    return value == expected ? seconds_since(start) : -1;
}

// µs of each of many round trips, each after a pause.
static void latencies(oneapi::tbb::task_arena &workers, size_t count, unsigned idle_us,
                      std::vector<double> &times) {
    Result result;
    for (size_t i = 0; i < count; i++) {
        if (idle_us > 0) std::this_thread::sleep_for(std::chrono::microseconds(idle_us));
        result.value.store(0, std::memory_order_relaxed);
        auto start = Clock::now();
        workers.enqueue([&result] { result.value.store(inc(1), std::memory_order_release); });
        wait_for(result);
        times.push_back(seconds_since(start) * 1e6);
    }
}

// So many steps of work that needs a CPU and nothing else.
static uint64_t burn(uint64_t steps) {
    volatile uint64_t seed = 0x9e3779b97f4a7c15;
    uint64_t x = seed;
    for (uint64_t step = 0; step < steps; step++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
    }
    return x | 1;
}

// Tasks that work, a bounded number in flight: thousands per second, and the 99th percentile of their
// times in µs.
static void steady(oneapi::tbb::task_arena &workers, size_t tasks, size_t window, uint64_t steps) {
    auto results = std::make_unique<Result[]>(window);
    std::vector<Clock::time_point> begun(tasks);
    std::vector<double> times;
    auto take = [&](size_t n) {
        wait_for(results[n % window]);
        times.push_back(seconds_since(begun[n]) * 1e6);
    };
    auto start = Clock::now();
    for (size_t n = 0; n < tasks; n++) {
        Result *result = &results[n % window];
        if (n >= window) take(n - window);
        result->value.store(0, std::memory_order_relaxed);
        begun[n] = Clock::now();
        workers.enqueue([steps, result] {
            result->value.store(burn(steps), std::memory_order_release);
        });
    }
    for (size_t n = tasks - std::min(window, tasks); n < tasks; n++) take(n);
    double rate = tasks / seconds_since(start) / 1e3;
    std::sort(times.begin(), times.end());
    std::cout << rate << ' ' << times[times.size() * 99 / 100] << std::endl;
}

// Several submitters, each with results of its own.
static double submitters(oneapi::tbb::task_arena &workers, unsigned threads, uint64_t tasks,
                         size_t window) {
    std::vector<std::thread> all;
    auto start = Clock::now();
    for (unsigned thread = 0; thread < threads; thread++)
        all.emplace_back([&] { one_at_a_time(workers, tasks, window); });
    for (auto &thread : all) thread.join();
    return threads * tasks / seconds_since(start) / 1e6;
}

// The 99th percentile of several submitters' round trips, in µs.
static double submitters_p99(oneapi::tbb::task_arena &workers, unsigned threads, size_t calls) {
    std::vector<std::vector<double>> times(threads);
    std::vector<std::thread> all;
    for (auto &own : times) all.emplace_back([&] { latencies(workers, calls, 0, own); });
    for (auto &thread : all) thread.join();
    std::vector<double> sorted;
    for (auto &own : times) sorted.insert(sorted.end(), own.begin(), own.end());
    std::sort(sorted.begin(), sorted.end());
    return sorted[sorted.size() * 99 / 100];
}

int main() {
    // The caller of enqueue is a third thread, as it is for pinfold.
    oneapi::tbb::global_control three(oneapi::tbb::global_control::max_allowed_parallelism, 3);
    oneapi::tbb::task_arena workers(2, 0), two(2, 1);
    std::string order;
    while (std::cin >> order) {
        if (order == "single") {
            uint64_t tasks, window;
            std::cin >> tasks >> window;
            std::cout << one_at_a_time(workers, tasks, window) << std::endl;
        } else if (order == "batch") {
            uint64_t tasks;
            std::cin >> tasks;
            std::cout << in_a_group(two, tasks) << std::endl;
        } else if (order == "batches") {
            uint64_t tasks, batch;
            std::cin >> tasks >> batch;
            std::cout << in_batches(two, tasks, batch) << std::endl;
        } else if (order == "group" || order == "invoke") {
            unsigned n;
            uint64_t expected;
            std::cin >> n >> expected;
            auto fib = order == "group" ? fib_group : fib_invoke;
            std::cout << seconds_of_fib(two, fib, n, expected) << std::endl;
        } else if (order == "steady") {
            size_t tasks, window;
            uint64_t steps;
            std::cin >> tasks >> window >> steps;
            steady(workers, tasks, window, steps);
        } else if (order == "submitters") {
            unsigned threads;
            uint64_t tasks;
            size_t window;
            std::cin >> threads >> tasks >> window;
            std::cout << submitters(workers, threads, tasks, window) << std::endl;
        } else if (order == "submitters_p99") {
            unsigned threads;
            size_t calls;
            std::cin >> threads >> calls;
            std::cout << submitters_p99(workers, threads, calls) << std::endl;
        } else if (order == "latency") {
            size_t count;
            unsigned idle_us;
            std::cin >> count >> idle_us;
            std::vector<double> times;
            latencies(workers, count, idle_us, times);
            for (double time : times) std::cout << time << ' ';
            std::cout << std::endl;
        } else {
            std::cout << "! unknown order " << order << std::endl;
        }
    }
}
