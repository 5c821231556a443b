//! What a run resumes from when its newest state is torn, flipped, gone, or of another network.

use std::fs;
use std::path::Path;

use tresnet::checkpoint::{Checkpoint, ResumeFiles, Resumed, TimmState};

use crate::{is_of, newest, parameters, save_state};

/// A folder with the states 1 and 2, and the path and bytes of the newer one.
fn two_states(check: impl Fn(&Path, &Path, Vec<u8>)) {
    let folder = tempfile::tempdir().unwrap();
    let mut files = ResumeFiles::new(folder.path());
    save_state(&mut files, 1).unwrap();
    save_state(&mut files, 2).unwrap();
    let last = folder.path().join(ResumeFiles::LAST);
    let bytes = fs::read(&last).unwrap();
    check(folder.path(), &last, bytes);
}

#[test]
fn a_run_goes_on_from_its_newest_state_to_the_bit() {
    two_states(|folder, last, _| {
        let resumed = newest(folder);
        assert_eq!((resumed.file(), resumed.warning()), (last, None));
        is_of(&resumed, 2);
    });
}

#[test]
fn a_torn_state_leads_to_the_one_before_it_with_the_reason() {
    two_states(|folder, last, bytes| {
        for (length, reason) in [
            (0, "empty"),
            (5, "safetensors"),
            (100, "ends at byte 100"),
            (bytes.len() / 2, "its header describes"),
            (bytes.len() - 1, "its header describes"),
        ] {
            fs::write(last, &bytes[..length]).unwrap();
            let resumed = newest(folder);
            is_of(&resumed, 1);
            let warning = resumed.warning().unwrap();
            assert!(warning.contains(ResumeFiles::LAST) && warning.contains(ResumeFiles::PREVIOUS), "{warning}");
            assert!(warning.contains(reason) || length < 8, "{length}: {warning}");
        }
    });
}

#[test]
fn one_flipped_bit_anywhere_is_noticed() {
    two_states(|folder, last, mut bytes| {
        let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        // Every part of the header, and places all over the tensors.
        let places = (0..header).step_by(29).chain((header..bytes.len()).step_by(bytes.len() / 20));
        for at in places.chain([bytes.len() - 1]) {
            let bit = 1 << (at % 8);
            bytes[at] ^= bit;
            fs::write(last, &bytes).unwrap();
            assert_eq!(newest(folder).progress.updates, 1, "a bit of byte {at}");
            bytes[at] ^= bit;
        }
    });
}

#[test]
fn a_missing_state_leads_to_the_one_before_it_and_two_to_none() {
    two_states(|folder, last, _| {
        fs::remove_file(last).unwrap();
        let resumed = newest(folder);
        is_of(&resumed, 1);
        assert!(resumed.warning().unwrap().contains("there is no such file"), "{:?}", resumed.warning());
        fs::remove_file(folder.join(ResumeFiles::PREVIOUS)).unwrap();
        assert!(ResumeFiles::new(folder).newest().unwrap().is_none());
    });
}

#[test]
fn two_damaged_states_are_an_error_that_says_why_and_not_a_fresh_start() {
    two_states(|folder, last, bytes| {
        fs::write(last, &bytes[..bytes.len() / 2]).unwrap();
        fs::write(folder.join(ResumeFiles::PREVIOUS), b"").unwrap();
        let error = format!("{:#}", ResumeFiles::new(folder).newest().unwrap_err());
        for part in [ResumeFiles::LAST, ResumeFiles::PREVIOUS, "its header describes", "--initial-checkpoint"] {
            assert!(error.contains(part), "{error}");
        }
    });
}

#[test]
fn a_state_of_another_network_is_refused_by_its_first_difference() {
    two_states(|_, last, _| {
        let resumed = Resumed::open(last).unwrap();
        let error = resumed.model(&parameters("resnet32")).unwrap_err().to_string();
        assert!(error.contains("another network"), "{error}");
        let mut wider = parameters("resnet20");
        wider.last_mut().unwrap().shape = vec![11];
        let error = resumed.model(&wider).unwrap_err().to_string();
        assert!(error.contains("[10]") && error.contains("[11]") && error.contains("--num-classes"), "{error}");
    });
}

#[test]
fn weights_are_no_state_and_say_what_they_are_good_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    let parameters = parameters("resnet20");
    let values = crate::values(&parameters, "");
    tresnet::checkpoint::TensorFile::weights(&parameters, &values, 0).unwrap().save(&path).unwrap();
    let error = format!("{:#}", Resumed::open(&path).unwrap_err());
    assert!(error.contains("w.safetensors") && error.contains("--initial-checkpoint"), "{error}");
}

fn fixture(name: &str) -> Checkpoint {
    Checkpoint::open(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/checkpoints").join(name)).unwrap()
}

#[test]
fn timms_own_state_gives_epoch_weights_and_average() {
    let state = TimmState::from_checkpoint(&fixture("training.pth.tar")).unwrap();
    // Saved after epoch 17, in timm's form 2.
    assert_eq!(state.epoch, 18);
    let first = |weights: &tresnet::checkpoint::Weights| {
        let stem = weights.tensor("body.conv1.conv.weight").unwrap();
        stem.flatten_all().unwrap().to_vec1::<f32>().unwrap()
    };
    let ema = state.ema.expect("the run kept an average");
    assert_ne!(first(&state.model), first(&ema));
    let error = TimmState::from_checkpoint(&fixture("timm.pth")).unwrap_err().to_string();
    assert!(error.contains("timm.pth") && error.contains("--initial-checkpoint"), "{error}");
}

#[test]
fn timms_optimizer_gives_each_parameter_its_own_buffers() {
    // The first step's averages of the formula's gradients.
    type Buffer = (&'static str, fn(f32) -> f32);
    let adamw: [Buffer; 2] = [("exp_avg", |g| 0.1 * g), ("exp_avg_sq", |g| 0.001 * (g * g))];
    let sgd: [Buffer; 1] = [("momentum_buffer", |g| g)];
    for (file, steps, buffers) in [("timm-adamw.pth.tar", 1, &adamw[..]), ("timm-sgd.pth.tar", 0, &sgd[..])] {
        let state = TimmState::from_checkpoint(&fixture(file)).unwrap();
        let optimizer = state.optimizer.unwrap();
        assert_eq!(optimizer.steps, steps, "{file}");
        let trained = state.model.names().filter(|(name, _)| !name.contains("running_"));
        let mut held = 0;
        for (name, shape) in trained {
            let gradient = crate::formula::value(&format!("gradient.{name}"), shape);
            for (buffer, expected) in buffers {
                let values = &optimizer.buffers[&format!("{buffer}.{name}")];
                assert_eq!(values.len(), gradient.len());
                for (value, &g) in values.iter().zip(&gradient) {
                    let allowed = 1e-6 * (g.abs() + g * g);
                    assert!((value - expected(g)).abs() <= allowed, "{file}: {buffer} of {name} is {value}");
                }
                held += 1;
            }
        }
        assert_eq!(held, optimizer.buffers.len(), "{file} holds nothing else");
    }
    let other = TimmState::from_checkpoint(&fixture("training.pth.tar")).unwrap().optimizer.unwrap_err().to_string();
    assert!(other.contains("groups of [1]"), "{other}");
}
