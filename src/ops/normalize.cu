// Bytes to the network's numbers, and images to the stem's cells. normalize.rs defines them.

// Where channel `channel` of a cell comes from in the image [height, width, colours].
DEVICE long long source_of(int pixel, int channel, int cells_high, int cells_wide, int cell, int colours) {
    int x = pixel % cells_wide, y = pixel / cells_wide % cells_high;
    long long image = pixel / cells_wide / cells_high;
    int colour = channel % colours, column = channel / colours % cell, row = channel / colours / cell;
    long long line = (image * cells_high + y) * cell + row;
    return (line * cells_wide * cell + x * cell + column) * colours + colour;
}

// Images [.., cells_high * cell, cells_wide * cell, colours] to cells [pixels][channels], of which those beyond
// cell * cell * colours are 0. (byte / 255 - mean) / std, in f32 and in that order.
KERNEL(normalize, const unsigned char* images, const float* mean, const float* std, T* out, int pixels, int cells_high,
       int cells_wide, int cell, int colours, int channels) {
    int groups = channels / EIGHT, index = thread_index();
    if (index >= pixels * groups) return;
    int pixel = index / groups, first = index % groups * EIGHT;
    Eight values = Eight::filled(0.0f);
#pragma unroll
    for (int i = 0; i < EIGHT; i++) {
        int channel = first + i, colour = channel % colours;
        if (channel < cell * cell * colours) {
            float byte = images[source_of(pixel, channel, cells_high, cells_wide, cell, colours)];
            values.at[i] = (byte / 255.0f - mean[colour]) / std[colour];
        }
    }
    values.store(out + static_cast<long long>(index) * EIGHT);
}

// The same rearrangement of numbers that are normalised already.
KERNEL(space_to_depth, const float* images, T* out, int pixels, int cells_high, int cells_wide, int cell, int colours,
       int channels) {
    int groups = channels / EIGHT, index = thread_index();
    if (index >= pixels * groups) return;
    int pixel = index / groups, first = index % groups * EIGHT;
    Eight values = Eight::filled(0.0f);
#pragma unroll
    for (int i = 0; i < EIGHT; i++) {
        if (first + i < cell * cell * colours) {
            values.at[i] = images[source_of(pixel, first + i, cells_high, cells_wide, cell, colours)];
        }
    }
    values.store(out + static_cast<long long>(index) * EIGHT);
}
