// One pass of Pillow's resize over many pictures, in integers, byte for byte. The room `augment` plans it and is its
// reference; resize.rs launches it.

// What a job is made of, in ints; resize.rs writes them in this order.
enum Job {
    // First byte read and written, and bytes from a line to the next.
    FROM,
    FROM_PITCH,
    TO,
    TO_PITCH,
    // Whether pixels of a column are summed, not of a line.
    IS_DOWN,
    // The first tap row, and ints from a row to the next: first pixel, number of weights, weights.
    TAPS,
    TAP_ROW,
    // What the pass computes: so many columns and lines, from this pixel of what is written on.
    LEFT,
    TOP,
    COLUMNS,
    LINES,
    // What is written; black around what is computed.
    WIDE,
    HIGH,
    JOB,
};

// Pillow's PRECISION_BITS: fractional bits of a weight.
constexpr int PRECISION = 22;

// One job a line of blocks, one pixel of three bytes a thread.
PLAIN_KERNEL(resize_pass, const int* jobs, const int* taps, const unsigned char* from, unsigned char* to) {
    const int* job = jobs + blockIdx.y * JOB;
    int index = thread_index();
    if (index >= job[WIDE] * job[HIGH]) return;
    int x = index % job[WIDE], y = index / job[WIDE];
    to += job[TO] + static_cast<long long>(y) * job[TO_PITCH] + x * 3;
    int column = x - job[LEFT], line = y - job[TOP];
    if (column < 0 || column >= job[COLUMNS] || line < 0 || line >= job[LINES]) {
        to[0] = to[1] = to[2] = 0;
        return;
    }
    bool down = job[IS_DOWN];
    const int* tap = taps + job[TAPS] + (down ? line : column) * job[TAP_ROW];
    int step = down ? job[FROM_PITCH] : 3;
    from += job[FROM] + static_cast<long long>(down ? tap[0] : line) * job[FROM_PITCH] + (down ? column : tap[0]) * 3;
    // Unsigned, since sums may wrap; one half, so that the shift rounds.
    unsigned half = 1u << (PRECISION - 1), red = half, green = half, blue = half;
    for (int k = 0; k < tap[1]; k++, from += step) {
        auto weight = static_cast<unsigned>(tap[2 + k]);
        red += from[0] * weight;
        green += from[1] * weight;
        blue += from[2] * weight;
    }
    unsigned sums[3] = {red, green, blue};
#pragma unroll
    for (int c = 0; c < 3; c++) {
        int value = static_cast<int>(sums[c]) >> PRECISION;
        to[c] = static_cast<unsigned char>(value < 0 ? 0 : value > 255 ? 255 : value);
    }
}
