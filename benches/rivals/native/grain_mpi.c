// MPI: graphs of dependent tasks on two ranks; each has half of the points for good.
// build: mpicc -O3
// debian: gcc libopenmpi-dev openmpi-bin
//
// Started by mpirun -np 2. Between orders the second rank sleeps on a socket: MPI's own
// waiting would take a CPU from whoever is measured then.

#include "graph.h"

#include <mpi.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static uint64_t output[2][MOST_WIDTH];

static int owner(const Graph *graph, int point) { return point >= (graph->width + 1) / 2; }

// Whether some task of that rank reads this output.
static int is_read_by(const Graph *graph, int rank, int step, int point) {
    for (int reader = 0; reader < width_at(graph, step); reader++) {
        int inputs[MOST_INPUTS], count;
        if (owner(graph, reader) != rank) continue;
        count = inputs_of(graph, step, reader, inputs);
        for (int i = 0; i < count; i++)
            if (inputs[i] == point) return 1;
    }
    return 0;
}

// Who reads what repeats itself: for fft after log2(width) steps, for spread after width.
enum { MOST_PERIOD = 64 };
static char crosses[MOST_PERIOD][MOST_WIDTH];

static int period(const Graph *graph) {
    int log = log2_of(graph->width);
    if (is(graph, "fft")) return log > 0 ? log : 1;
    return is(graph, "spread") ? graph->width : 1;
}

static void plan(const Graph *graph) {
    for (int at = 0; at < period(graph); at++)
        for (int point = 0; point < graph->width; point++) {
            // A step late enough that a tree has its full width.
            int step = 64 * period(graph) + at;
            crosses[at][point] = (char)is_read_by(graph, !owner(graph, point), step, point);
        }
}

static void run(const Graph *graph, int rank) {
    MPI_Request requests[2 * MOST_WIDTH];
    for (int step = 0; step < graph->steps; step++) {
        uint64_t *before = output[(step + 1) % 2], *now = output[step % 2];
        int count = 0;
        int width_before = step > 0 ? width_at(graph, step - 1) : 0;
        int is_full = width_before == graph->width;
        for (int point = 0; point < width_before; point++) {
            int crossing = is_full ? crosses[step % period(graph)][point]
                                   : is_read_by(graph, !owner(graph, point), step, point);
            if (!crossing) continue;
            if (owner(graph, point) == rank)
                MPI_Isend(&before[point], 1, MPI_UINT64_T, !rank, point, MPI_COMM_WORLD,
                          &requests[count++]);
            else
                MPI_Irecv(&before[point], 1, MPI_UINT64_T, !rank, point, MPI_COMM_WORLD,
                          &requests[count++]);
        }
        if (count > 0) MPI_Waitall(count, requests, MPI_STATUSES_IGNORE);
        for (int point = 0; point < width_at(graph, step); point++) {
            int inputs[MOST_INPUTS], reads;
            uint64_t value = begin_output(step, point);
            if (owner(graph, point) != rank) continue;
            reads = inputs_of(graph, step, point, inputs);
            for (int i = 0; i < reads; i++) value = mix(value, before[inputs[i]]);
            burn(graph->work);
            now[point] = value;
        }
    }
}

static int bell(struct sockaddr_un *name, socklen_t *length) {
    memset(name, 0, sizeof *name);
    name->sun_family = AF_UNIX;
    // An abstract name, which both ranks of this mpirun know.
    int written = snprintf(name->sun_path + 1, sizeof name->sun_path - 1, "grain-%d", getppid());
    *length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)written);
    return socket(AF_UNIX, SOCK_DGRAM, 0);
}

int main(int count, char **arguments) {
    int rank, ranks;
    struct sockaddr_un name;
    socklen_t length;
    MPI_Init(&count, &arguments);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    int socket = bell(&name, &length);
    if (rank == 1) bind(socket, (struct sockaddr *)&name, length);
    MPI_Barrier(MPI_COMM_WORLD);
    for (;;) {
        Graph graph;
        memset(&graph, 0, sizeof graph);
        if (rank == 0) {
            if (ranks != 2) {
                printf("! it needs two ranks\n");
                fflush(stdout);
            }
            if (!read_graph(&graph)) graph.steps = 0;
            sendto(socket, &graph, sizeof graph, 0, (struct sockaddr *)&name, length);
        } else if (recv(socket, &graph, sizeof graph, 0) <= 0) {
            graph.steps = 0;
        }
        if (graph.steps == 0) break;
        plan(&graph);
        MPI_Barrier(MPI_COMM_WORLD);
        double start = now();
        run(&graph, rank);
        MPI_Barrier(MPI_COMM_WORLD);
        double seconds = now() - start;
        uint64_t mine = 0, sum = 0;
        for (int point = 0; point < width_at(&graph, graph.steps - 1); point++)
            if (owner(&graph, point) == rank) mine += output[(graph.steps - 1) % 2][point];
        MPI_Reduce(&mine, &sum, 1, MPI_UINT64_T, MPI_SUM, 0, MPI_COMM_WORLD);
        if (rank == 0) answer(seconds, sum);
    }
    MPI_Finalize();
}
