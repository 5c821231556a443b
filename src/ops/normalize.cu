// Bytes to the network's numbers, and images to the stem's cells. normalize.rs defines them.

// A walk through a cell's channels, each of which comes from a place in the image [height, width, colours]. Those of a
// line of the cell lie one behind the other, so that only the first place takes divisions.
struct Walk {
    long long place;
    int colour, passed, colours, run, rest;

    DEVICE Walk(int pixel, int channel, int cells_high, int cells_wide, int cell, int count)
        : colours(count), run(cell * count), rest((cells_wide - 1) * run) {
        int x = pixel % cells_wide, y = pixel / cells_wide % cells_high;
        long long image = pixel / cells_wide / cells_high, line = (image * cells_high + y) * cell + channel / run;
        passed = channel % run;
        colour = passed % colours;
        place = (line * cells_wide + x) * run + passed;
    }

    DEVICE void next() {
        place++;
        if (++colour == colours) colour = 0;
        if (++passed < run) return;
        passed = 0;
        place += rest;
    }
};

// Images [.., cells_high * cell, cells_wide * cell, colours] to cells [pixels][channels], of which those beyond
// cell * cell * colours are 0. (byte / 255 - mean) / std, in f32 and in that order.
KERNEL(normalize, const unsigned char* images, const float* mean, const float* std, T* out, int pixels, int cells_high,
       int cells_wide, int cell, int colours, int channels) {
    int groups = channels / EIGHT, index = thread_index();
    if (index >= pixels * groups) return;
    int pixel = index / groups, first = index % groups * EIGHT;
    Walk walk(pixel, first, cells_high, cells_wide, cell, colours);
    Eight values = Eight::filled(0.0f);
#pragma unroll
    for (int i = 0; i < EIGHT; i++, walk.next()) {
        if (first + i >= cell * cell * colours) continue;
        float byte = images[walk.place];
        values.at[i] = (byte / 255.0f - mean[walk.colour]) / std[walk.colour];
    }
    values.store(out + static_cast<long long>(index) * EIGHT);
}

// The same rearrangement of numbers that are normalised already.
KERNEL(space_to_depth, const float* images, T* out, int pixels, int cells_high, int cells_wide, int cell, int colours,
       int channels) {
    int groups = channels / EIGHT, index = thread_index();
    if (index >= pixels * groups) return;
    int pixel = index / groups, first = index % groups * EIGHT;
    Walk walk(pixel, first, cells_high, cells_wide, cell, colours);
    Eight values = Eight::filled(0.0f);
#pragma unroll
    for (int i = 0; i < EIGHT; i++, walk.next()) {
        if (first + i < cell * cell * colours) values.at[i] = images[walk.place];
    }
    values.store(out + static_cast<long long>(index) * EIGHT);
}
