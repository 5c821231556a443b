//! Batches that stay on the device: each image comes to its place of a network's, and is there as long as it is wanted.

use tresnet::data::loader::{Batch, Loader, Options};
use tresnet::ops::cuda::Machine;

use crate::behaviour::Behaviour;
use crate::host;
use crate::loading::{data_set, opened, usual};
use crate::stand_in::{Processor, StandIn};

/// All batches of the data set, of `size` images each: as a device makes them, and as they are.
fn batches(stand_in: &StandIn, size: usize) -> [Vec<Batch>; 2] {
    let root = data_set();
    let (source, options) = (opened(&root), Options::new(size, 2));
    let ours = Loader::on_device(source.clone(), usual(), stand_in.squares(), options.clone()).unwrap();
    [ours.collect(), Loader::new(source, usual(), options).unwrap().collect()]
}

#[test]
fn every_image_comes_to_its_place_in_a_networks_batch_however_large_that_is() {
    let stand_in = StandIn::new(Behaviour::default());
    let [ours, expected] = batches(&stand_in, 16);
    let mixed = |batch: &&Batch| {
        batch.squares.as_ref().is_some_and(|own| own.places.contains(&None) && own.places.iter().any(Option::is_some))
    };
    assert!(ours.iter().filter(mixed).count() >= 2, "batches of both kinds of images");
    assert!(ours.iter().any(|batch| batch.squares.is_some() && !batch.skipped.is_empty()), "a batch with a gap");
    for (ours, expected) in ours.iter().zip(&expected) {
        let image_bytes = expected.pixels.len() / expected.size;
        for images in [1, 3, expected.size, 2 * expected.size] {
            let mut placed = Vec::new();
            for part in ours.images().unwrap().chunks(images, image_bytes) {
                let mut gathered = vec![0; part.host_bytes().max(1)];
                part.gather(&mut gathered);
                let [arrived, network] = [gathered.len(), part.bytes()].map(host::allocate);
                Processor.write(&arrived, &gathered).unwrap();
                part.place(&Processor, &arrived, &network).unwrap();
                placed.extend(host::read(&network));
            }
            assert!(placed == expected.pixels, "{images} images of {:?} at a time", expected.indices);
        }
    }
}

#[test]
fn what_somebody_still_holds_is_not_written_over() {
    let stand_in = StandIn::new(Behaviour::default());
    // More batches than the ring has: all of them are held.
    let [ours, expected] = batches(&stand_in, 5);
    assert!(ours.iter().filter(|batch| batch.squares.is_some()).count() > 3);
    for (ours, expected) in ours.iter().zip(&expected) {
        assert!(ours.host_pixels().unwrap() == expected.pixels, "other pixels in the batch of {:?}", ours.indices);
    }
}

#[test]
fn images_of_another_size_than_their_squares_are_refused() {
    let stand_in = StandIn::new(Behaviour::default());
    let [ours, _] = batches(&stand_in, 16);
    let mut batch = ours.into_iter().find(|batch| batch.squares.is_some()).unwrap();
    batch.pixels.pop();
    let refused = batch.images().err().unwrap().to_string();
    assert!(refused.contains("images, not "), "{refused}");
}
