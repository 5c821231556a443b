// Activations and sums of feature maps. activation.rs defines them. Counts are multiples of eight.

// Takes a gradient through an activation, in place, by the sign of what the activation gave.
KERNEL(activation_gradient, T* gradient, const T* output, float slope, int groups) {
    int index = thread_index();
    if (index >= groups) return;
    long long at = static_cast<long long>(index) * EIGHT;
    Eight value = Eight::load(gradient + at);
    value.leak_back(Eight::load(output + at), slope);
    value.store(gradient + at);
}

// out = activation(left + right); `out` may be either.
KERNEL(add, const T* left, const T* right, float slope, T* out, int groups) {
    int index = thread_index();
    if (index >= groups) return;
    long long at = static_cast<long long>(index) * EIGHT;
    Eight sum = Eight::load(left + at);
    sum.add(Eight::load(right + at));
    sum.activate(slope);
    sum.store(out + at);
}
