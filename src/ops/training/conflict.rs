//! The proof that a schedule is sound, apart from how it was made.

use super::{TrainingSchedule, Variable};

impl TrainingSchedule {
    /// The first thing that would make a step read what another has written over, or write over what it still reads;
    /// `None` in a sound schedule. Every variable is written once, before it is read.
    pub fn conflict(&self) -> Option<String> {
        let mut alive: Vec<Variable> = Vec::new();
        let mut written = vec![false; self.slots.len()];
        for (at, step) in self.steps.iter().enumerate() {
            let say = |what: String| Some(format!("step {at}: {what}: {:?}", step.op));
            if let Some(lost) = step.reads.iter().find(|&read| !alive.contains(read)) {
                return say(format!("{lost:?} is read and nothing any more"));
            }
            for (index, &write) in step.writes.iter().enumerate() {
                let slot = self.slots[write.0];
                let over = |other: &Variable| self.slots[other.0].overlaps(&slot);
                for (read, &variable) in step.reads.iter().enumerate().filter(|(_, variable)| over(variable)) {
                    let granted = step.op.in_place().contains(&(read, index)) && self.slots[variable.0] == slot;
                    if !granted {
                        return say(format!("{write:?} is written over {variable:?}, which is read"));
                    }
                }
                if step.writes[..index].iter().any(over) {
                    return say(format!("{write:?} is written over another result"));
                }
                if slot.offset + slot.bytes > self.arena_bytes {
                    return say(format!("{write:?} is written beyond the arena"));
                }
                if std::mem::replace(&mut written[write.0], true) {
                    return say(format!("{write:?} is written twice"));
                }
                alive.retain(|other| !over(other));
            }
            alive.extend(&step.writes);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::cuda::Element;
    use crate::ops::training::{BatchLayout, TargetKind, TrainingBuilder, TrainingOp, TrainingSchedule};
    use crate::ops::{Activation, Shape, Slot};

    const SHAPE: Shape = Shape::new(1, 4, 4, 8);

    /// Cells, twice pooled; the sum of the first and a copy of it, in place.
    fn schedule() -> TrainingSchedule {
        let mut builder = TrainingBuilder::new(Element::F16, SHAPE);
        let image = builder.map(SHAPE);
        builder.push(TrainingOp::Images { image: SHAPE, cell: 1 }, [], [image]);
        let small = builder.map(Shape::new(1, 2, 2, 8));
        builder.push(TrainingOp::AveragePool2x2 { shape: SHAPE }, [image], [small]);
        let wide = builder.map(SHAPE);
        builder.push(TrainingOp::AveragePool2x2Gradient { shape: SHAPE }, [small], [wide]);
        let sum = builder.over(wide);
        builder.push(TrainingOp::Add { shape: SHAPE }, [wide, image], [sum]);
        let (behind, activation) = (builder.over(sum), Activation::Relu);
        builder.push(TrainingOp::ActivationGradient { shape: SHAPE, activation }, [sum, image], [behind]);
        builder.finish(BatchLayout::new(SHAPE, true, TargetKind::Classes, 2, &[], 0), behind).unwrap()
    }

    #[test]
    fn a_sound_schedule_has_no_conflict() {
        assert_eq!(schedule().conflict(), None);
    }

    #[test]
    fn reading_what_was_changed_in_place_is_a_conflict() {
        let mut broken = schedule();
        broken.steps[4].reads[0] = broken.steps[2].writes[0];
        let conflict = broken.conflict().unwrap();
        assert!(conflict.starts_with("step 4: ") && conflict.contains("nothing any more"), "{conflict}");
    }

    #[test]
    fn writing_over_what_is_read_is_a_conflict_unless_the_op_works_in_place() {
        let mut broken = schedule();
        let Slot { offset, .. } = broken.slots[broken.steps[1].reads[0].0];
        broken.slots[broken.steps[1].writes[0].0].offset = offset;
        assert!(broken.conflict().unwrap().starts_with("step 1: "), "{:?}", broken.conflict());
    }
}
