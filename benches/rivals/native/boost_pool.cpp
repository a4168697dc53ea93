// build: g++ -O2 -std=c++17 -pthread -lrt
// debian: g++ libboost-dev
//
// Boost.Interprocess: blocks from a segment that processes share.
//   same SIZE COUNT     nanoseconds to allocate and to free a block, in one process
//   across SIZE COUNT   the same, allocated here and freed by a forked process

#include <boost/interprocess/anonymous_shared_memory.hpp>
#include <boost/interprocess/managed_external_buffer.hpp>
#include <boost/interprocess/mapped_region.hpp>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <new>
#include <sched.h>
#include <sys/prctl.h>
#include <csignal>
#include <sys/wait.h>
#include <unistd.h>

namespace bi = boost::interprocess;
// With its mutex of the family for processes, and its default allocation by best fit.
using Segment = bi::basic_managed_external_buffer<
    char, bi::rbtree_best_fit<bi::mutex_family>, bi::iset_index>;

static constexpr std::uint64_t SLOTS = 1024;
static constexpr std::size_t BYTES = 64 << 20;
static constexpr std::uint64_t BATCH = 32;

struct Ring {
    alignas(128) std::atomic<std::uint64_t> tail;
    alignas(128) std::atomic<std::uint64_t> head;
    alignas(128) std::uint64_t offsets[SLOTS];
};

static double now() {
    auto time = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration<double, std::nano>(time).count();
}

static void pin(int number) {
    cpu_set_t all, one;
    sched_getaffinity(0, sizeof all, &all);
    int seen = 0, last = 0;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &all)) continue;
        last = cpu;
        if (seen++ == number) break;
    }
    CPU_ZERO(&one);
    CPU_SET(last, &one);
    sched_setaffinity(0, sizeof one, &one);
}

static double same(std::size_t size, std::uint64_t count) {
    bi::mapped_region region(bi::anonymous_shared_memory(BYTES));
    Segment segment(bi::create_only, region.get_address(), BYTES);
    void *blocks[BATCH];
    double start = now();
    for (std::uint64_t done = 0; done < count; done += BATCH) {
        for (auto &block : blocks) {
            block = segment.allocate(size);
            *static_cast<volatile std::uint64_t *>(block) = done;
        }
        for (auto &block : blocks) segment.deallocate(block);
    }
    return (now() - start) / count;
}

static double across(std::size_t size, std::uint64_t count) {
    bi::mapped_region region(bi::anonymous_shared_memory(BYTES));
    Segment segment(bi::create_only, region.get_address(), BYTES);
    bi::mapped_region ring_region(bi::anonymous_shared_memory(sizeof(Ring)));
    auto *ring = new (ring_region.get_address()) Ring();
    auto *base = static_cast<char *>(region.get_address());
    cpu_set_t before;
    sched_getaffinity(0, sizeof before, &before);
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        alarm(25);
        pin(1);
        std::uint64_t head = 0, sum = 0;
        while (head < count) {
            std::uint64_t tail = ring->tail.load(std::memory_order_acquire);
            if (tail == head) __builtin_ia32_pause();
            for (; head < tail; head++) {
                char *block = base + ring->offsets[head % SLOTS];
                sum += *reinterpret_cast<std::uint64_t *>(block);
                segment.deallocate(block);
            }
            ring->head.store(head, std::memory_order_release);
        }
        _exit(sum == count * (count - 1) / 2 ? 0 : 1);
    }
    alarm(30);
    pin(0);
    double start = now();
    for (std::uint64_t tail = 0; tail < count; tail++) {
        while (tail - ring->head.load(std::memory_order_acquire) >= SLOTS) __builtin_ia32_pause();
        char *block = static_cast<char *>(segment.allocate(size));
        *reinterpret_cast<std::uint64_t *>(block) = tail;
        ring->offsets[tail % SLOTS] = block - base;
        if ((tail + 1) % BATCH == 0) ring->tail.store(tail + 1, std::memory_order_release);
    }
    ring->tail.store(count, std::memory_order_release);
    int status = 1;
    waitpid(child, &status, 0);
    double time = (now() - start) / count;
    alarm(0);
    sched_setaffinity(0, sizeof before, &before);
    return status == 0 ? time : -1;
}

int main() {
    char line[256], what[64];
    while (std::fgets(line, sizeof line, stdin)) {
        unsigned long size, count;
        if (std::sscanf(line, "%63s %lu %lu", what, &size, &count) != 3) {
            std::puts("! not understood");
        } else {
            double time = std::strcmp(what, "same") == 0 ? same(size, count) : across(size, count);
            if (time < 0) std::puts("! not every block arrived whole");
            else std::printf("%f\n", time);
        }
        std::fflush(stdout);
    }
}
