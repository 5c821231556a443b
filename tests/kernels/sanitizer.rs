//! That the sanitizer finds what is wrong with a kernel, says so in one line, and lets right ones pass: sanitizer/faults.cu
//! has kernels that are either.

use std::sync::OnceLock;

use tresnet::ops::cuda::Argument;

use crate::host::Kernels;
use crate::kernel_files::compile;
use crate::memory::Memory;

/// Runs a kernel with 256 floats, in rising order and in falling.
fn run(kernel: &str, blocks: u32, broken: i32) -> [Result<(), String>; 2] {
    static KERNELS: OnceLock<Kernels> = OnceLock::new();
    let text = include_str!("sanitizer/faults.cu");
    let kernels = KERNELS.get_or_init(|| Kernels::new(&compile("sanitizer/faults.cu", text, true)));
    [false, true].map(|falling| {
        let out = Memory::floats(&[0.0; 256]);
        let mut arguments = vec![Argument::Address(out.address())];
        if kernel == "null_pointer" {
            arguments.push(Argument::Address(0));
        }
        arguments.push(Argument::Int(broken));
        let mut sizes = vec![0; arguments.len()];
        sizes[0] = out.bytes();
        let outcome = kernels.run(kernel, [blocks, 1, 1], &arguments, &sizes, falling);
        // Also that nothing was written beside it.
        out.read_bytes();
        outcome
    })
}

/// What is said of a broken kernel in rising order; in falling order it is of the same kind, and its twin passes.
fn fault(kernel: &str, blocks: u32) -> String {
    let [rising, falling] = run(kernel, blocks, 1).map(|outcome| outcome.expect_err(kernel));
    let kind = |fault: &str| fault.split(':').next().unwrap().to_owned();
    assert_eq!(kind(&rising), kind(&falling), "{falling}");
    assert_eq!(run(kernel, blocks, 0), [Ok(()), Ok(())], "{kernel}, not broken");
    rising
}

#[test]
fn a_missing_barrier_is_a_race_in_shared_memory() {
    assert_eq!(
        fault("missing_barrier", 3),
        "read-write race: thread 1 of block (0, 0, 0) writes 4 bytes at byte 4 of shared `sums`, which thread 0 read with no \
         barrier between them"
    );
}

#[test]
fn a_shuffle_is_no_barrier() {
    assert_eq!(
        fault("shuffle_for_barrier", 1),
        "read-write race: thread 0 of block (0, 0, 0) reads 4 bytes at byte 4 of shared `values`, which thread 1 wrote with \
         no barrier between them"
    );
}

#[test]
fn what_leaves_its_memory_is_out_of_bounds() {
    assert_eq!(
        fault("past_the_end", 1),
        "out of bounds: thread 255 of block (0, 0, 0) writes 4 bytes at byte 1024 of `out` (argument 0), which has 1024"
    );
    assert_eq!(
        fault("past_the_end_by_memset", 1),
        "out of bounds: thread 0 of block (0, 0, 0) writes 1028 bytes at byte 0 of `out` (argument 0), which has 1024"
    );
    assert_eq!(
        fault("before_the_start", 1),
        "out of bounds: thread 0 of block (0, 0, 0) reads 4 bytes at byte -4 of `out` (argument 0), which has 1024"
    );
    assert_eq!(fault("null_pointer", 1), "out of bounds: thread 0 of block (0, 0, 0) reads 4 bytes by a null pointer");
    assert_eq!(
        fault("past_a_shared_variable", 1),
        "out of bounds: thread 200 of block (0, 0, 0) writes 4 bytes at byte 1028 of shared `values`, which has 1028"
    );
    assert_eq!(
        fault("stack_of_another_thread", 1),
        "out of bounds: thread 0 of block (0, 0, 0) reads 4 bytes on the stack of thread 5"
    );
}

#[test]
fn blocks_that_touch_one_byte_race_also_where_one_reads() {
    assert_eq!(
        fault("blocks_write_one_byte", 3),
        "write-write race: thread 3 of block (1, 0, 0) writes 4 bytes at byte 0 of `out` (argument 0), which thread 3 of \
         block (0, 0, 0) wrote in the same launch"
    );
    assert_eq!(
        fault("blocks_exchange", 3),
        "read-write race: thread 0 of block (1, 0, 0) writes 4 bytes at byte 8 of `out` (argument 0), which thread 0 of \
         block (0, 0, 0) read in the same launch"
    );
    assert_eq!(
        fault("read_by_earlier_blocks", 3),
        "read-write race: thread 0 of block (1, 0, 0) writes 4 bytes at byte 0 of `out` (argument 0), which thread 0 of \
         block (0, 0, 0) read in the same launch"
    );
}

#[test]
fn shared_memory_that_its_block_did_not_write_is_not_to_be_read() {
    assert_eq!(
        fault("unwritten_shared", 1),
        "unwritten memory: thread 0 of block (0, 0, 0) reads 4 bytes at byte 1020 of shared `values`, which no thread of its \
         block has written"
    );
    assert_eq!(
        fault("left_by_another_block", 3),
        "unwritten memory: thread 0 of block (1, 0, 0) reads 4 bytes at byte 0 of shared `values`, which no thread of its \
         block has written"
    );
}

#[test]
fn a_wide_access_is_aligned_to_its_width() {
    assert_eq!(
        fault("misaligned", 1),
        "misaligned: thread 0 of block (0, 0, 0) reads 16 bytes at byte 4 of `out` (argument 0), an address that is no \
         multiple of 16"
    );
}

#[test]
fn bytes_are_told_apart_whatever_the_size_of_accesses() {
    assert_eq!(
        fault("bytes_of_a_word", 1),
        "write-write race: thread 9 of block (0, 0, 0) writes 1 byte at byte 9 of `out` (argument 0), which thread 8 wrote \
         with no barrier between them"
    );
    assert_eq!(
        fault("accesses_of_many_sizes_f16", 1),
        "read-write race: thread 1 of block (0, 0, 0) reads 2 bytes at byte 2 of `out` (argument 0), which thread 0 wrote \
         with no barrier between them"
    );
}

#[test]
fn threads_that_wait_at_different_barriers_are_told() {
    assert_eq!(fault("different_barriers", 1), "threads wait at different barriers");
}
