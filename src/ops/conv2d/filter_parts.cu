// Filters that are joined of parts, each a parameter of its own: cuda/filter_parts.rs lays them out. A part is as in a
// checkpoint, [rows][inputs][own_kernel][own_kernel]; it lies in rows of the whole, [rows][kernel][kernel][wide], a
// smaller kernel in the middle of the larger, its columns from `first` on and further to the right in each group of rows.

// Copies a part into its rows of the whole, and zeros to all else of their columns from `from` to `to`. Rows beyond the
// part's own, up to `all_rows`, become zeros. A band of depthwise kernels is one row, of which a part may have other
// columns than its first, `skipped` of them.
KERNEL(join_filter, const T* part, T* whole, int rows, int inputs, int kernel, int own_kernel, int wide, int first,
       int group_rows, int skipped, int all_rows, int from, int to) {
    int columns = to - from, taps = kernel * kernel, index = thread_index();
    if (index >= all_rows * taps * columns) return;
    int column = from + index % columns, tap = index / columns % taps, row = index / columns / taps;
    int margin = (kernel - own_kernel) / 2, y = tap / kernel - margin, x = tap % kernel - margin;
    int input = column - first - row / group_rows * inputs;
    bool inside = row < rows && input >= 0 && input < inputs && y >= 0 && y < own_kernel && x >= 0 && x < own_kernel;
    long long at = static_cast<long long>(row * taps + tap) * wide + column;
    if (inside) {
        long long own = static_cast<long long>(row) * inputs + skipped + input;
        whole[at] = part[(own * own_kernel + y) * own_kernel + x];
    } else {
        from_float(0.0f, whole[at]);
    }
}

// Rows of threads that share a value's chunks.
constexpr int CHUNK_ROWS = BLOCK / WARP;

// The way back for a gradient: adds a part's places of the whole, which come in `chunks` to be summed, to `gradient`.
// What lies between the parts is left out. Grid: blocks of 32 values.
KERNEL(split_filter, const T* whole, float* gradient, int rows, int inputs, int kernel, int own_kernel, int wide,
       int first, int group_rows, int skipped, int chunks, int chunk_len) {
    int lane = threadIdx.x % WARP, chunk_row = threadIdx.x / WARP, index = blockIdx.x * WARP + lane;
    int taps = own_kernel * own_kernel;
    bool inside = index < rows * taps * inputs;
    int input = index % inputs, tap = index / inputs % taps, row = index / inputs / taps;
    int margin = (kernel - own_kernel) / 2, y = tap / own_kernel + margin, x = tap % own_kernel + margin;
    __shared__ double shared[CHUNK_ROWS][WARP];
    double sum = 0.0;
    if (inside) {
        long long line = static_cast<long long>(row) * kernel * kernel + y * kernel + x;
        const T* at = whole + line * wide + first + row / group_rows * inputs + input;
        for (int chunk = chunk_row; chunk < chunks; chunk += CHUNK_ROWS) {
            sum += to_float(at[static_cast<long long>(chunk) * chunk_len]);
        }
    }
    shared[chunk_row][lane] = sum;
    __syncthreads();
    if (chunk_row > 0 || !inside) return;
    for (int other = 1; other < CHUNK_ROWS; other++) sum += shared[other][lane];
    long long own = static_cast<long long>(row) * inputs + skipped + input;
    gradient[own * taps + tap] += static_cast<float>(sum);
}
