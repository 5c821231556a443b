//! That the deviation which a GPU's decoder is held to is measured rightly: with decoders whose deviation is known.

use std::ffi::c_int;

use serde_json::Value;

use crate::behaviour::{Behaviour, Decode, SUCCESS, decode_exactly, size};
use crate::deviation::{digits_model, measure, photographs};
use crate::stand_in::StandIn;

fn measured(decode: Decode) -> Value {
    let stand_in = StandIn::new(Behaviour { decode, ..Behaviour::default() });
    measure(&photographs(5), || stand_in.squares(), &digits_model(None))
}

#[test]
fn an_exact_decoder_deviates_by_nothing() {
    let figures = measured(decode_exactly);
    for which in ["photographs", "digits"] {
        assert_eq!(figures[which]["largest"], 0, "{figures}");
        assert_eq!(figures[which]["differing"], 0.0, "{figures}");
    }
    assert_eq!(figures["digits"]["images"], 364);
    assert_eq!(figures["changed_top1"], 0);
}

/// Every byte below the middle becomes four levels brighter.
extern "C" fn brighten(bytes: *const u8, length: usize, out: *mut u8, pitch: usize) -> c_int {
    let (mut width, mut height) = (0, 0);
    assert_eq!(size(bytes, length, &mut width, &mut height), SUCCESS);
    let status = decode_exactly(bytes, length, out, pitch);
    // SAFETY: the stand-in is given `pitch` bytes for each of the picture's lines.
    let pixels = unsafe { std::slice::from_raw_parts_mut(out, pitch * height as usize) };
    pixels.iter_mut().filter(|byte| **byte < 128).for_each(|byte| *byte += 4);
    status
}

#[test]
fn a_decoder_that_brightens_shadows_by_four_levels_is_found_out() {
    let figures = measured(brighten);
    for which in ["photographs", "digits"] {
        let figure = |name: &str| figures[which][name].as_f64().unwrap();
        assert_eq!(figure("largest"), 4.0, "{figures}");
        assert!((1.0..3.0).contains(&figure("mean")), "{figures}");
        assert!((0.25..0.75).contains(&figure("differing")), "{figures}");
        assert!(figure("by_more_than_two") <= figure("differing"), "{figures}");
    }
    // The digits are told apart all the same.
    assert!(figures["changed_top1"].as_u64().unwrap() <= 3, "{figures}");
}
