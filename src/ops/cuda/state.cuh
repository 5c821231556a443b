// What an update knows, floats in device memory, so that neither the host nor a recorded graph needs to know them:
// the places of optimizer.rs.
#pragma once

enum State {
    LR,
    EMA_WEIGHT,
    SCALE,
    GOOD_STEPS,
    // 1 where the gradients are finite: else nothing is stepped.
    FINITE,
    // What gradients are multiplied by: the scale's inverse, and the clipping.
    MULTIPLIER,
    NORM,
    STEPS,
    // Adam's corrections: 1 - beta1^t and sqrt(1 - beta2^t).
    CORRECTION,
    ROOT,
    // Of the update so far: the batches' mean losses times their shares.
    LOSS,
    // What a batch's loss is multiplied by before its gradient is taken: the loss scale times the batch's share. Kernels
    // are given its own address, which has to be aligned.
    BATCH_SCALE = 12,
};

// What a batch tells: `Control` of training/batch.rs.
enum Control { SHARE, NEXT_LR, NEXT_EMA_WEIGHT };

// Elements of the flat parameters of which each has its group in a byte of `groups`.
constexpr int SEGMENT = 256;
