// MPI: barrier and all-reduce of a word, again and again, on any number of ranks.
// build: mpicc -O3
// debian: gcc libopenmpi-dev openmpi-bin
//
// Started by mpirun -np N. Given "barrier COUNT" or "all_reduce COUNT" it answers with the
// nanoseconds of each. Between orders all ranks but the first sleep on a socket each: MPI's own
// waiting would take a CPU from whoever is measured then.

#include <mpi.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

typedef struct {
    int64_t count;
    int is_barrier;
} Order;

// An abstract name, which all ranks of this mpirun know.
static socklen_t name_of(int rank, struct sockaddr_un *name) {
    memset(name, 0, sizeof *name);
    name->sun_family = AF_UNIX;
    int written = snprintf(name->sun_path + 1, sizeof name->sun_path - 1, "collectives-%d-%d",
                           getppid(), rank);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)written);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static int read_order(Order *order) {
    char operation[16];
    long count;
    if (scanf("%15s %ld", operation, &count) != 2) return 0;
    order->is_barrier = strcmp(operation, "barrier") == 0;
    order->count = count;
    return 1;
}

static int run(const Order *order, int ranks) {
    int is_right = 1;
    for (int64_t round = 0; round < order->count; round++) {
        if (order->is_barrier) {
            MPI_Barrier(MPI_COMM_WORLD);
        } else {
            int64_t sum = 0;
            MPI_Allreduce(&round, &sum, 1, MPI_INT64_T, MPI_SUM, MPI_COMM_WORLD);
            is_right &= sum == round * ranks;
        }
    }
    return is_right;
}

int main(int count, char **arguments) {
    int rank, ranks;
    struct sockaddr_un name;
    MPI_Init(&count, &arguments);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    int socket_of = socket(AF_UNIX, SOCK_DGRAM, 0);
    socklen_t length = name_of(rank, &name);
    if (rank > 0) bind(socket_of, (struct sockaddr *)&name, length);
    MPI_Barrier(MPI_COMM_WORLD);
    for (;;) {
        Order order = {0, 0};
        if (rank == 0) {
            if (!read_order(&order)) order.count = 0;
            for (int other = 1; other < ranks; other++) {
                length = name_of(other, &name);
                sendto(socket_of, &order, sizeof order, 0, (struct sockaddr *)&name, length);
            }
        } else if (recv(socket_of, &order, sizeof order, 0) <= 0) {
            order.count = 0;
        }
        if (order.count == 0) break;
        Order warm = {order.count / 10, 1};
        run(&warm, ranks);
        double start = now();
        int is_right = run(&order, ranks);
        double each = (now() - start) / (double)order.count, longest = 0;
        MPI_Reduce(&each, &longest, 1, MPI_DOUBLE, MPI_MAX, 0, MPI_COMM_WORLD);
        if (rank == 0) {
            if (is_right) printf("%.3f\n", longest);
            else printf("! a sum is wrong\n");
            fflush(stdout);
        }
    }
    MPI_Finalize();
}
